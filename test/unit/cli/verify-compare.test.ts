import { describe, expect, test } from '@jest/globals';
import type { KnownPartition } from '../../../src/commands/state-open.ts';
import { compare } from '../../../src/commands/verify-compare.ts';
import { accountKey, type Truth } from '../../../src/commands/verify-count.ts';
import { planOf } from '../../../src/commands/verify-plan.ts';
import type { MarkerField, Move, ShardCut } from '../../../src/ledger/port.ts';

const TRACKER = 'cost-attribution';
const FIELD = 'id/0' as MarkerField;

const cutOf = (
  totals: Record<string, [number, number]>,
  more: Partial<ShardCut> & { marker?: number } = {},
): ShardCut => ({
  view: {
    life: 'life',
    counter: 50,
    replayedAt: 0,
    afterLoss: false,
    clockS: 0,
    markers: new Map([[FIELD, more.marker ?? 10]]),
  },
  moves: more.moves ?? [],
  movesForgotten: 0,
  accounts: Object.entries(totals).map(([tenant, total]) => ({
    tenant,
    tracker: TRACKER,
    totals: { live: 0, admissions: 0, total, overflow: [0, 0], retired: [0, 0], unattributed: new Map() },
  })),
});

const truthOf = (amounts: Record<string, [number, number]>): Map<string, Truth> =>
  new Map(
    Object.entries(amounts).map(([tenant, own]) => {
      const name = { tenant, tracker: TRACKER };
      return [accountKey(0, name), { ...name, shard: 0, amounts: own }];
    }),
  );

const verdicts = (
  ledger: Record<string, [number, number]>,
  truth: Record<string, [number, number]>,
  unproved: readonly string[] = [],
): Record<string, string> => {
  const rows = compare([cutOf(ledger)], null, truthOf(truth), [{ shard: 0, counted: new Map(), unproved }]);
  return Object.fromEntries(rows.map(({ tenant, measure, verdict }) => [`${tenant} ${measure}`, verdict]));
};

describe('the verdict', () => {
  test('is exact where both are equal', () => {
    expect(verdicts({ a: [5, 1] }, { a: [5, 1] })).toEqual({ 'a bytes': 'exact', 'a spans': 'exact' });
  });

  test('knows tenants that are counted under an heir, while the sum of the shard is exact', () => {
    expect(verdicts({ a: [5, 1], __overflow_0__: [7, 2] }, { a: [5, 1], b: [7, 2] })).toEqual({
      'a bytes': 'exact',
      'a spans': 'exact',
      'b bytes': 'elsewhere',
      'b spans': 'elsewhere',
      '__overflow_0__ bytes': 'elsewhere',
      '__overflow_0__ spans': 'elsewhere',
    });
    expect(verdicts({ __removed_0__: [7, 2] }, { b: [8, 2] })).toMatchObject({ 'b bytes': 'differs' });
  });

  test('does not let one tenant have what another lacks', () => {
    expect(verdicts({ a: [6, 1], b: [4, 1] }, { a: [5, 1], b: [5, 1] })).toMatchObject({
      'a bytes': 'differs',
      'b bytes': 'differs',
    });
  });

  test('where only a part was read, finds only what is missing', () => {
    expect(verdicts({ a: [9, 9] }, { a: [5, 1] }, ['why'])).toEqual({ 'a bytes': 'unproved', 'a spans': 'unproved' });
    expect(verdicts({ a: [4, 9] }, { a: [5, 1] }, ['why'])).toMatchObject({ 'a bytes': 'differs' });
  });
});

describe('what cannot be proved', () => {
  const partition = (start: number | null, log = { start: 0, end: 99 }): KnownPartition => ({
    topic: 't',
    partition: 0,
    field: FIELD,
    log,
    commit: null,
    start,
  });
  const reasons = (cut: ShardCut, partitions: readonly KnownPartition[]): readonly string[] =>
    planOf([cut], null, partitions, null).shards[0]!.unproved;
  const moved = (why: Move['why'], from: number | null = 4, to: number | null = 2): ShardCut =>
    cutOf({}, { moves: [{ at: 1, field: FIELD, from, to, why }] });

  test('is told', () => {
    expect(reasons(cutOf({}), [partition(0)])).toEqual([]);
    expect(reasons(cutOf({}), [partition(null)])[0]).toMatch(/no commit of ours/);
    expect(reasons(cutOf({}), [])[0]).toMatch(/not consumed any more/);
    expect(reasons(cutOf({}), [partition(0, { start: 1, end: 99 })])[0]).toMatch(/retention/);
    expect(reasons(cutOf({}), [partition(0, { start: 0, end: 9 })])[0]).toMatch(/ends before/);
    expect(reasons(moved('truncated'), [partition(0)])[0]).toMatch(/lost records/);
    expect(reasons(moved('forget', 4, null), [partition(0)])[0]).toMatch(/forgotten/);
  });

  test('a seek or a gap is no obstacle: it is known what was jumped over', () => {
    expect(reasons(moved('seek'), [partition(0)])).toEqual([]);
    const { reads } = planOf([moved('gap', 3, 6)], null, [partition(0)], null);
    expect(reads[0]!.ranges).toEqual([
      { from: 0, to: 3 },
      { from: 6, to: 10 },
    ]);
  });
});
