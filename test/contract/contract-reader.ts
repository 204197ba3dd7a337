import { describe, expect, test } from '@jest/globals';
import { removedTenant } from '../../src/attribution/reserved.ts';
import type { AccountPage } from '../../src/ledger/port.ts';
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
  read,
  SHARD,
  section,
  TRACKER,
  valuesOf,
} from './calls.ts';
import type { Given } from './ledger-contract.ts';

const a = account('a');
const b = account('b');
const MAX_COUNTER = Number.MAX_SAFE_INTEGER;

export const readerContract = (given: () => Given): void => {
  describe('changes', () => {
    test('are the accounts written after a change counter', async () => {
      const { ledger } = given();
      await begin(ledger);
      const first = await add(ledger, 0, a, { x: [1, 1] });
      const second = await add(ledger, 1, b, { x: [1, 1] });
      const changed = async (since: number) =>
        (await ledger.changes(SHARD, since))!.accounts.map(({ tenant }) => tenant);
      expect((await changed(0)).sort()).toEqual(['a', 'b']);
      expect(await changed(first.counter - 1)).toHaveLength(2);
      expect(await changed(first.counter)).toEqual(['b']);
      expect(await changed(second.counter)).toEqual([]);
      await commit(ledger, call([a], [section(0, 2, 2)]));
      expect(await changed(second.counter)).toEqual([]);
      const answer = (await ledger.changes(SHARD, 0))!;
      expect(answer.view).toEqual(await ledger.view(SHARD));
      expect(answer.view.markers.get(field(0))).toBe(2);
    });

    test('of many shards asked for at once are of each for itself', async () => {
      const { ledger } = given();
      const shards = Array.from({ length: 40 }, (_, shard) => shard);
      for (const shard of shards.slice(1)) {
        await begin(ledger, shard);
        await commit(ledger, call([a], [section(0, 0, shard, [entry(0, { x: [shard, 1] })])], { shard }));
      }
      const ask = () => Promise.all(shards.map((shard) => ledger.changes(shard, shard % 2 === 0 ? 0 : MAX_COUNTER)));
      const first = await ask();
      expect(first.map((answer) => answer?.view.markers.get(field(0)) ?? 0)).toEqual(shards);
      expect(first.map((answer) => answer?.accounts.length ?? 0)).toEqual(
        shards.map((s) => (s > 0 && s % 2 === 0 ? 1 : 0)),
      );
      await commit(ledger, call([a], [section(0, 7, 8)], { shard: 7 }));
      const second = await ask();
      second.forEach((answer, shard) => {
        if (shard !== 7) expect(answer).toEqual(first[shard]);
        else
          expect([answer!.view.markers.get(field(0)), answer!.view.counter > first[7]!.view.counter]).toEqual([
            8,
            true,
          ]);
      });
    });

    test('tell of a purge and of an account that was removed', async () => {
      const { ledger } = given();
      await begin(ledger);
      const { counter } = await add(ledger, 0, a, { x: [1, 1] });
      await ledger.purge(SHARD, a, -1, null, 10);
      const purged = (await ledger.changes(SHARD, counter))!;
      expect(purged.accounts).toEqual([{ tenant: 'a', tracker: TRACKER }]);
      await ledger.removeAccount(SHARD, a, -1);
      const removed = (await ledger.changes(SHARD, purged.view.counter))!;
      expect(removed.accounts).toEqual([{ tenant: removedTenant(SHARD), tracker: TRACKER }]);
    });
  });

  describe('pages', () => {
    test('hold every series, with one state of the shard each', async () => {
      const { ledger } = given();
      await begin(ledger);
      const big = account('a', { limit: 5000 });
      const many = Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`s${i}`, [i, 1]]));
      const { counter } = await add(ledger, 0, big, many, { overflow: [9, 1] });
      let cursor: string | null = null;
      const seen = new Map<string, readonly number[]>();
      let pages = 0;
      do {
        const page: AccountPage = (await ledger.page(SHARD, a, cursor, 500))!;
        expect(page.changedAt).toBe(counter);
        expect(page.view).toEqual(await ledger.view(SHARD));
        expect(page.totals).toMatchObject({ live: 3000, admissions: 3000, overflow: [9, 1], retired: [0, 0] });
        for (const { id, values } of page.rows) seen.set(id.toString('hex'), values);
        cursor = page.cursor;
        pages++;
      } while (cursor !== null);
      expect(pages).toBeGreaterThan(3);
      expect(seen.size).toBe(3000);
      for (const [name, values] of Object.entries(many)) expect(seen.get(idOf(name).toString('hex'))).toEqual(values);
    });

    test('tell a change between them', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [1, 1] });
      const before = (await ledger.page(SHARD, a, null, 10))!;
      await add(ledger, 1, a, { x: [1, 1] });
      const after = (await ledger.page(SHARD, a, null, 10))!;
      expect(after.changedAt).toBeGreaterThan(before.changedAt);
    });

    test('an account that is not there has none', async () => {
      const { ledger } = given();
      await begin(ledger);
      expect(await ledger.page(SHARD, a, null, 10)).toBeNull();
    });
  });

  describe('a purge', () => {
    test('retires what is stale by the clock of the shard, and nothing else', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [1, 1], y: [2, 1] });
      await fixture.passTime(ledger, SHARD, 30);
      expect(await ledger.purge(SHARD, a, 10, null, 100)).toEqual({ cursor: null, purged: 0 });
      await add(ledger, 1, a, { y: [4, 1] });
      const before = (await ledger.view(SHARD))!;
      expect(await ledger.purge(SHARD, a, 30, null, 100)).toEqual({ cursor: null, purged: 0 });
      expect((await ledger.view(SHARD))!.counter).toBe(before.counter);
      expect(await ledger.purge(SHARD, a, 29, null, 100)).toEqual({ cursor: null, purged: 1 });
      expect(await valuesOf(ledger, a, 'x', 'y')).toEqual([undefined, [6, 2]]);
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({
        total: [7, 3],
        retired: [1, 1],
        admissions: 2,
        live: 1,
      });
      await expectConserved(ledger, SHARD, a);
      expect(await ledger.keys(SHARD, a, idOf('x'))).toEqual([null]);
      expect((await ledger.view(SHARD))!.counter).toBeGreaterThan(before.counter);
    });

    test('goes in bounded steps over all series', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`s${i}`, [1, 1]]));
      await add(ledger, 0, account('a', { limit: 5000 }), many);
      await fixture.passTime(ledger, SHARD, 50);
      await add(ledger, 1, account('a', { limit: 5000 }), { s7: [1, 1], s8: [1, 1] });
      let cursor: string | null = null;
      const purged: number[] = [];
      do {
        const step: { cursor: string | null; purged: number } = await ledger.purge(SHARD, a, 30, cursor, 300);
        purged.push(step.purged);
        cursor = step.cursor;
      } while (cursor !== null);
      expect(purged.reduce((x, y) => x + y)).toBe(1998);
      expect(purged.length).toBeGreaterThan(4);
      await expectConserved(ledger, SHARD, a);
      expect((await ledger.liveIds(SHARD, a)).ids.length).toBe(32);
    });
  });

  describe('retiring all', () => {
    test('empties every account; series are born again', async () => {
      const { ledger } = given();
      await begin(ledger);
      const { counter } = await add(ledger, 0, a, { x: [1, 1], y: [2, 1] }, { overflow: [4, 1] });
      await add(ledger, 1, b, { x: [1, 1] });
      await ledger.retireAll(SHARD);
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({
        live: 0,
        admissions: 2,
        total: [7, 3],
        overflow: [4, 1],
        retired: [3, 2],
      });
      expect((await ledger.changes(SHARD, counter))!.accounts).toHaveLength(2);
      await add(ledger, 2, a, { x: [8, 1] });
      expect(await valuesOf(ledger, a, 'x')).toEqual([[8, 1]]);
      expect((await read(ledger, SHARD, a))!.totals.admissions).toBe(3);
    });
  });

  describe('removing an account', () => {
    test('asks that it has no series, and has rested', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      const rest = async (seconds: number) => {
        await fixture.passTime(ledger, SHARD, seconds);
        const marker = (await ledger.view(SHARD))!.markers.get(field(0))!;
        await commit(ledger, call([], [section(0, marker, marker)]));
      };
      await add(ledger, 0, a, { x: [1, 1] }, { overflow: [2, 1] });
      await rest(50);
      expect(await ledger.removeAccount(SHARD, a, 10)).toBe(false);
      await ledger.purge(SHARD, a, 30, null, 10);
      expect(await ledger.removeAccount(SHARD, a, 10)).toBe(false);
      await rest(10);
      expect(await ledger.removeAccount(SHARD, a, 10)).toBe(false);
      await rest(1);
      expect(await ledger.removeAccount(SHARD, a, 10)).toBe(true);
      expect(await ledger.removeAccount(SHARD, a, 10)).toBe(false);
      expect(await read(ledger, SHARD, a)).toBeNull();
      expect(await ledger.tenants(SHARD, TRACKER)).toEqual([removedTenant(SHARD)]);
    });

    test('keeps its totals for the shard', async () => {
      const { ledger } = given();
      await begin(ledger);
      const heir = account(removedTenant(SHARD));
      await add(ledger, 0, a, { x: [1, 1] }, { overflow: [2, 1] });
      await add(ledger, 1, b, { x: [8, 1] });
      await ledger.retireAll(SHARD);
      expect(await ledger.removeAccount(SHARD, a, -1)).toBe(true);
      expect(await ledger.removeAccount(SHARD, b, -1)).toBe(true);
      expect(await ledger.removeAccount(SHARD, heir, -1)).toBe(false);
      expect((await read(ledger, SHARD, heir))!.totals).toMatchObject({
        live: 0,
        admissions: 0,
        total: [11, 3],
        overflow: [0, 0],
        retired: [11, 3],
      });
      const again = await add(ledger, 2, a, { x: [1, 1] });
      expect(again.accounts[0]).toMatchObject({ live: 1, admissions: 1 });
      expect((await read(ledger, SHARD, a))!.totals.total).toEqual([1, 1]);
    });
  });
};
