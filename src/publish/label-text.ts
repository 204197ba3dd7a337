/**
 * The text of a label set, as both exposition formats write it:
 *   labels = "{" [ pair *( "," pair ) ] "} "
 *   pair   = name "=" DQUOTE *( escaped ) DQUOTE      with \\ for \, \" for ", \n for a line feed
 * Names are in ascending order, so one label set has one text.
 */
import { OVERFLOW } from '../attribution/label-value.ts';
import type { AccountName } from '../ledger/port.ts';

export type LabelPair = readonly [name: string, value: string];

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SPECIAL = /[\\"\n]/g;

const escapeValue = (value: string): string =>
  value.replace(SPECIAL, (char) => (char === '\n' ? '\\n' : char === '"' ? '\\"' : '\\\\'));

/** Names must be valid and different. */
export const labelText = (pairs: readonly LabelPair[]): string => {
  const sorted = pairs.toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([name, value]) => `${name}="${escapeValue(value)}"`).join(',')}} `;
};

const ofAccount = ({ tenant, tracker }: AccountName): LabelPair[] => [
  ['tenant', tenant],
  ['tracker', tracker],
];

export const accountText = (account: AccountName): string => labelText(ofAccount(account));

/** The text of what an account has without a value for the label of a dimension. */
export const dimensionText = (account: AccountName, dimension: string): string =>
  labelText([['dimension', dimension], ...ofAccount(account)]);

/** The text of a series, or null where a scraper would refuse the whole answer because of it. */
export const seriesText = (account: AccountName, pairs: readonly LabelPair[]): string | null => {
  const names = new Set(['tenant', 'tracker']);
  for (const [name] of pairs) {
    if (!NAME.test(name) || names.has(name)) return null;
    names.add(name);
  }
  return labelText([...pairs, ...ofAccount(account)]);
};

/** What does not fit under the limit is shown as the series whose every dimension says so. */
export const overflowText = (account: AccountName, dimensions: readonly string[]): string =>
  seriesText(
    account,
    [...new Set(dimensions)].map((name) => [name, OVERFLOW] as const),
  ) ?? accountText(account);

/** Whether the series may have the text of an overflow series. */
export const looksLikeOverflow = (pairs: readonly LabelPair[]): boolean =>
  pairs.every(([, value]) => value === OVERFLOW);
