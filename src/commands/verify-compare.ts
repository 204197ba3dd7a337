/** Truth and ledger side by side. Pure. */
import { overflowTenant, removedTenant } from '../attribution/reserved.ts';
import { RECORDS_MEASURES, RECORDS_TRACKER } from '../ledger/keys.ts';
import type { ShardCut } from '../ledger/port.ts';
import type { Baseline } from './baseline.ts';
import { accountKey, type Truth } from './verify-count.ts';
import type { ShardPlan } from './verify-plan.ts';

/**
 * `exact`: equal. `elsewhere`: not under this tenant, but the shard's sum is exact: a tenant that had no place is counted
 * under the overflow tenant, one that was removed under the tenant of those. `unproved`: see the shard's reasons; it
 * holds no less than what was read.
 */
export type Verdict = 'exact' | 'elsewhere' | 'unproved' | 'differs';

export type Comparison = {
  readonly tenant: string;
  readonly tracker: string;
  readonly shard: number;
  readonly measure: string;
  readonly truth: number;
  readonly ledger: number;
  readonly difference: number;
  readonly verdict: Verdict;
};

export const measuresOf = (tracker: string): readonly string[] =>
  tracker === RECORDS_TRACKER ? RECORDS_MEASURES : ['bytes', 'spans'];

type Pair = { readonly tenant: string; readonly tracker: string; readonly truth: number[]; readonly ledger: number[] };

/** Sorted by tenant, tracker, measure as it comes. Accounts without anything on either side are left out. */
export const compare = (
  cuts: readonly (ShardCut | null)[],
  baseline: Baseline | null,
  truth: ReadonlyMap<string, Truth>,
  plans: readonly ShardPlan[],
): readonly Comparison[] => {
  const rows = plans.flatMap(({ shard, unproved }) => {
    const pairs = pairsOf(shard, cuts[shard]!, baseline, truth);
    const trackers = new Set(pairs.map(({ tracker }) => tracker));
    return [...trackers].flatMap((tracker) =>
      compareTracker(
        shard,
        pairs.filter((pair) => pair.tracker === tracker),
        unproved.length === 0,
      ),
    );
  });
  return rows.sort((a, b) => (a.tenant === b.tenant ? order(a.tracker, b.tracker) : order(a.tenant, b.tenant)));
};

const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const pairsOf = (
  shard: number,
  cut: ShardCut,
  baseline: Baseline | null,
  truth: ReadonlyMap<string, Truth>,
): readonly Pair[] => {
  const pairs = new Map<string, Pair>();
  const pairOf = (tenant: string, tracker: string): Pair => {
    const key = accountKey(shard, { tenant, tracker });
    const found = pairs.get(key) ?? { tenant, tracker, truth: [0, 0], ledger: [0, 0] };
    pairs.set(key, found);
    return found;
  };
  const add = (sum: number[], amounts: readonly number[], sign: 1 | -1): void =>
    amounts.forEach((amount, i) => {
      sum[i] = (sum[i] ?? 0) + sign * amount;
    });
  for (const { tenant, tracker, totals } of cut.accounts) add(pairOf(tenant, tracker).ledger, totals.total, 1);
  for (const { tenant, tracker, total } of baseline?.shards[shard]?.totals ?? [])
    add(pairOf(tenant, tracker).ledger, total, -1);
  for (const one of truth.values()) if (one.shard === shard) add(pairOf(one.tenant, one.tracker).truth, one.amounts, 1);
  return [...pairs.values()].filter(({ truth: t, ledger: l }) => [...t, ...l].some((amount) => amount !== 0));
};

const compareTracker = (shard: number, pairs: readonly Pair[], isProved: boolean): readonly Comparison[] => {
  const names = measuresOf(pairs[0]?.tracker ?? '');
  const differenceOf = ({ truth, ledger }: Pair, i: number): number => (ledger[i] ?? 0) - (truth[i] ?? 0);
  const heirs = new Set([overflowTenant(shard), removedTenant(shard)]);
  // What one lacks, an heir has, and nobody else has more than belongs to him.
  const isShifted = names.every(
    (_, i) =>
      pairs.reduce((sum, pair) => sum + differenceOf(pair, i), 0) === 0 &&
      pairs.every((pair) => heirs.has(pair.tenant) || differenceOf(pair, i) <= 0),
  );
  const lacks = names.some((_, i) => pairs.reduce((sum, pair) => sum + differenceOf(pair, i), 0) < 0);
  return pairs.flatMap((pair) =>
    names.map((measure, i): Comparison => {
      const difference = differenceOf(pair, i);
      const verdict = isProved
        ? provedVerdict(difference, isShifted)
        : difference < 0 && lacks
          ? 'differs'
          : 'unproved';
      const { tenant, tracker, truth, ledger } = pair;
      return { tenant, tracker, shard, measure, truth: truth[i] ?? 0, ledger: ledger[i] ?? 0, difference, verdict };
    }),
  );
};

const provedVerdict = (difference: number, isShifted: boolean): Verdict =>
  difference === 0 ? 'exact' : isShifted ? 'elsewhere' : 'differs';
