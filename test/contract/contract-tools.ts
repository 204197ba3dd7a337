/** What the state commands ask of a ledger: cuts, moves with their notes, series taken out of it. */
import { describe, expect, test } from '@jest/globals';
import type { ShardCut } from '../../src/ledger/port.ts';
import {
  account,
  add,
  begin,
  call,
  commit,
  entry,
  expectConserved,
  field,
  idOf,
  SHARD,
  section,
  valuesOf,
} from './calls.ts';
import type { Given } from './ledger-contract.ts';

const totalsOf = (cut: ShardCut | null): Record<string, readonly number[]> =>
  Object.fromEntries(
    (cut?.accounts ?? []).map(({ tenant, tracker, totals }) => [`${tenant} ${tracker}`, totals.total]),
  );

export const toolsContract = (given: () => Given): void => {
  describe('a cut', () => {
    test('holds all totals and the markers that they stand for', async () => {
      const { ledger } = given();
      expect(await ledger.cut(SHARD)).toBeNull();
      await begin(ledger);
      expect(await ledger.cut(SHARD)).toMatchObject({ accounts: [], moves: [], movesForgotten: 0 });
      await add(ledger, 0, account('a'), { x: [5, 1], y: [6, 1] });
      await add(ledger, 1, account('b', { limit: 0 }), { x: [7, 1] });
      await add(ledger, 2, account('a', { tracker: 'other' }), { x: [1, 2] });
      const cut = (await ledger.cut(SHARD))!;
      expect(totalsOf(cut)).toEqual({ 'a cost-attribution': [11, 2], 'b cost-attribution': [7, 1], 'a other': [1, 2] });
      expect(cut.view).toEqual(await ledger.view(SHARD));
      expect(cut.view.markers.get(field(0))).toBe(3);
      const b = cut.accounts.find(({ tenant }) => tenant === 'b')!;
      expect(b.totals).toMatchObject({ live: 0, admissions: 0, total: [7, 1], overflow: [7, 1], retired: [0, 0] });
    });

    test('is of one instant, whoever commits meanwhile', async () => {
      const { ledger } = given();
      await begin(ledger);
      const writing = (async () => {
        for (let from = 0; from < 60; from++) {
          const what = [entry(0, { x: [1, 1] }), entry(1, { x: [1, 1] })];
          const accounts = [account('a'), account(`t${from % 20}`)];
          await ledger.commit(call(accounts, [section(0, from, from + 1, what)]));
        }
      })();
      for (let cuts = 0; cuts < 20; cuts++) {
        const cut = (await ledger.cut(SHARD))!;
        const marker = cut.view.markers.get(field(0))!;
        expect(totalsOf(cut)['a cost-attribution']?.[0] ?? 0).toBe(marker);
        expect(Object.values(totalsOf(cut)).reduce((sum, [bytes]) => sum + bytes!, 0)).toBe(2 * marker);
      }
      await writing;
    });
  });

  describe('a move', () => {
    test('is noted with its reason, once', async () => {
      const { ledger } = given();
      await begin(ledger);
      const before = (await ledger.view(SHARD))!.counter;
      await ledger.move(SHARD, field(0), 0, 9, 'gap');
      await ledger.move(SHARD, field(0), 0, 9, 'gap');
      await ledger.move(SHARD, field(0), 9, 9, 'seek');
      await ledger.move(SHARD, field(0), 9, 2, 'seek');
      const { moves, view } = (await ledger.cut(SHARD))!;
      expect(moves).toEqual([
        { at: expect.any(Number), field: field(0), from: 0, to: 9, why: 'gap' },
        { at: view.counter, field: field(0), from: 9, to: 2, why: 'seek' },
      ]);
      expect(moves[0]!.at).toBeGreaterThan(before);
    });

    test('takes a marker away', async () => {
      const { ledger } = given();
      await begin(ledger);
      expect(await ledger.move(SHARD, field(0), 1, null, 'forget')).toBe(0);
      expect(await ledger.move(SHARD, field(0), 0, null, 'forget')).toBeNull();
      expect(await ledger.move(SHARD, field(0), 0, null, 'forget')).toBeNull();
      const { moves, view } = (await ledger.cut(SHARD))!;
      expect(view.markers.size).toBe(0);
      expect(moves).toEqual([{ at: view.counter, field: field(0), from: 0, to: null, why: 'forget' }]);
    });

    test('a thousand are remembered, and how many are not', async () => {
      const { ledger } = given();
      await begin(ledger);
      for (let to = 1; to <= 1010; to++) await ledger.move(SHARD, field(0), to - 1, to, 'seek');
      const { moves, movesForgotten } = (await ledger.cut(SHARD))!;
      expect([moves.length, movesForgotten, moves[0]!.to, moves[999]!.to]).toEqual([1000, 10, 11, 1010]);
    }, 60_000);

    test('is not known to the next life of the shard', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.move(SHARD, field(0), 0, 9, 'seek');
      await ledger.forgetShard(SHARD);
      await begin(ledger);
      expect((await ledger.cut(SHARD))!.moves).toEqual([]);
    });
  });

  describe('retiring series by name', () => {
    test('keeps the totals, and they are born again from zero', async () => {
      const { ledger } = given();
      await begin(ledger);
      const a = account('a');
      await add(ledger, 0, a, { x: [5, 1], y: [6, 1] });
      const before = (await ledger.view(SHARD))!.counter;
      const ids = Buffer.concat([idOf('x'), idOf('x'), idOf('not there')]);
      expect(await ledger.retireSeries(SHARD, a, ids)).toBe(1);
      expect(await ledger.retireSeries(SHARD, a, ids)).toBe(0);
      await expectConserved(ledger, SHARD, a);
      expect(await valuesOf(ledger, a, 'x', 'y')).toEqual([undefined, [6, 1]]);
      const changed = await ledger.changes(SHARD, before);
      expect(changed!.accounts).toEqual([{ tenant: 'a', tracker: a.tracker }]);
      await commit(ledger, call([a], [section(0, 1, 2, [entry(0, { x: [1, 1] })])]));
      expect(await valuesOf(ledger, a, 'x')).toEqual([[1, 1]]);
      expect(totalsOf(await ledger.cut(SHARD))).toEqual({ 'a cost-attribution': [12, 3] });
    });

    test('of an account or a shard that is not there does nothing', async () => {
      const { ledger } = given();
      expect(await ledger.retireSeries(SHARD, account('a'), idOf('x'))).toBe(0);
      await begin(ledger);
      expect(await ledger.retireSeries(SHARD, account('a'), idOf('x'))).toBe(0);
    });
  });
};
