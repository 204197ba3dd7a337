/**
 * Which format and coding a request asks for:
 *   accept = item *( "," item )      item = range *( ";" name "=" value )      weight: q, 0 to 1, default 1
 */
import type { Format } from './exposition.ts';

type Item = { readonly range: string; readonly parameters: ReadonlyMap<string, string>; readonly weight: number };

const itemsOf = (header: string): Item[] =>
  header.split(',').map((part) => {
    const [range = '', ...rest] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const parameters = new Map<string, string>();
    for (const piece of rest) {
      const [name = '', value = ''] = piece.split('=', 2);
      parameters.set(name.trim(), value.trim().replace(/^"(.*)"$/, '$1'));
    }
    const weight = Number(parameters.get('q') ?? 1);
    return { range, parameters, weight: weight >= 0 && weight <= 1 ? weight : 0 };
  });

/** Of two that are wanted alike, the one that was named; then the first. */
const OFFERS: readonly { readonly format: Format; readonly type: string; readonly version: string }[] = [
  { format: 'text', type: 'text/plain', version: '0.0.4' },
  { format: 'openmetrics', type: 'application/openmetrics-text', version: '1.0.0' },
];

/** What is not acceptable at all is answered as text: a scraper that says so understands it all the same. */
export const formatFor = (accept: string | undefined): Format => {
  const items = itemsOf(accept ?? '*/*');
  let best: { readonly format: Format; readonly weight: number; readonly named: number } | null = null;
  for (const { format, type, version } of OFFERS) {
    let weight = 0;
    let named = 0;
    for (const item of items) {
      const precision =
        item.range === type ? 3 : item.range === `${type.split('/')[0]}/*` ? 2 : item.range === '*/*' ? 1 : 0;
      if (precision === 0 || (precision === 3 && (item.parameters.get('version') ?? version) !== version)) continue;
      if (precision > named) [weight, named] = [item.weight, precision];
      else if (precision === named) weight = Math.max(weight, item.weight);
    }
    if (weight > 0 && (best === null || weight > best.weight || (weight === best.weight && named > best.named)))
      best = { format, weight, named };
  }
  return best?.format ?? 'text';
};

export const acceptsGzip = (acceptEncoding: string | undefined): boolean => {
  const items = itemsOf(acceptEncoding ?? '');
  const item = items.find(({ range }) => range === 'gzip') ?? items.find(({ range }) => range === '*');
  return item !== undefined && item.weight > 0;
};
