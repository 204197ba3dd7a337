/** The service's own answer, line by line against the text of the real endpoint for the same series. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Labels } from '../../../src/attribution/series-key.ts';
import { goNumber } from '../../../src/publish/go-number.ts';
import { PublishServer } from '../../../src/publish/server.ts';
import { SERVER_LIMITS } from '../../support/server-limits.ts';
import { deviationOf } from '../../support/tempo-deviations.ts';
import { readVectors, refusals, runVector, type Vector } from '../../support/tempo-vectors.ts';
import { OneShard } from '../publish/tables.ts';

const FAMILY = 'tempo_usage_tracker_bytes_received';
const BYTES = `${FAMILY}_total`;

const hasText = (vector: Vector): boolean =>
  vector.expected_text !== undefined &&
  vector.expected_text_status === 200 &&
  deviationOf(vector, refusals(vector).length > 0) === null &&
  vector.expected_series.every(({ tenant, bytes_signed }) => tenant === undefined && bytes_signed === undefined);

/** The text of the bytes family: its head, then its lines, which the service writes in no order. */
const familyOf = (text: string): string => {
  const lines = text
    .split('\n')
    .filter((line) => line.startsWith(BYTES) || [BYTES, FAMILY].includes(line.split(' ')[2]!));
  return [...lines.slice(0, 2), ...lines.slice(2).sort()].join('\n');
};

/** As the Go client writes the same family in OpenMetrics, but for amounts, which are in digits: Tempo never answers so. */
const asOpenMetrics = (text: string): string =>
  text
    .replaceAll(`# HELP ${BYTES} `, `# HELP ${FAMILY} `)
    .replaceAll(`# TYPE ${BYTES} `, `# TYPE ${FAMILY} `)
    .replace(/^([^#].*) (\S+)$/gm, (_, labels: string, amount: string) => `${labels} ${Number(amount)}`);

const serve = async (one: OneShard): Promise<PublishServer> =>
  new PublishServer(
    {
      snapshot: () => one.snapshot(),
      exposition: { prefix: 'tempo_usage_tracker', settings: one.settings, created: false, numbers: 'go' },
      selfMetrics: async () => ({ contentType: '', body: '' }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: () => {} },
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0 },
  );

/** Of Accept and Accept-Encoding; gzip is unpacked. */
const scrape = async (port: number, headers: Record<string, string>) => {
  const answer = await fetch(`http://127.0.0.1:${port}/usage_metrics`, { headers });
  return {
    type: answer.headers.get('content-type'),
    coding: answer.headers.get('content-encoding'),
    text: await answer.text(),
  };
};

const OPEN_METRICS = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';

test('the family of bytes is answered as the real endpoint answers it, in either format, packed or not', async () => {
  const failures: string[] = [];
  const vectors = readVectors().filter(hasText);
  for (const vector of vectors) {
    const { series } = await runVector(vector, 'tempo');
    const one = await new OneShard(vector.tenant, 1_000_000, series[0]?.labels.map(([name]) => name) ?? []).begin();
    const rows = series.map(({ labels, bytes, spans }) => [labels as Labels, bytes, spans] as const);
    if (rows.length > 0) await one.add(vector.tenant, rows);
    await one.show();
    const server = await serve(one);
    const port = await server.listen();
    for (const coding of ['identity', 'gzip']) {
      const text = await scrape(port, { Accept: 'text/plain', 'Accept-Encoding': coding });
      const open = await scrape(port, { Accept: OPEN_METRICS, 'Accept-Encoding': coding });
      const isSame =
        familyOf(text.text) === familyOf(vector.expected_text) &&
        familyOf(open.text) === familyOf(asOpenMetrics(vector.expected_text)) &&
        open.text.endsWith('# EOF\n') &&
        text.type === 'text/plain; version=0.0.4; charset=utf-8' &&
        open.type === 'application/openmetrics-text; version=1.0.0; charset=utf-8' &&
        [text, open].every((answer) => answer.coding === (coding === 'gzip' ? 'gzip' : null));
      if (!isSame) failures.push(`${vector.name}, ${coding}`);
    }
    await server.close(0);
  }
  expect(failures).toEqual([]);
  expect(vectors.length).toBeGreaterThan(300);
});

test.each([
  [0, '0'],
  [999_999, '999999'],
  [1_000_000, '1e+06'],
  [1_230_000, '1.23e+06'],
  [1_234_567, '1.234567e+06'],
  [20_000_000_000, '2e+10'],
  [2 ** 53 - 1, '9.007199254740991e+15'],
])('%d is %s in Go', (value, text) => {
  expect(goNumber(value)).toBe(text);
});

test('a number in the form of Go is the same number', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (value) => expect(Number(goNumber(value))).toBe(value)));
});
