import { describe, expect, test } from '@jest/globals';
import { waitUntil } from '../support/wait-for.ts';
import { account, add, begin, field, SHARD } from './calls.ts';
import type { Given } from './ledger-contract.ts';

const LONG_MS = 60_000;
const taken = { kind: 'taken', released: false, counter: expect.any(Number) };
const within = { timeoutMs: 5_000, everyMs: 20 };

export const leaseContract = (given: () => Given): void => {
  describe('a lease', () => {
    test('has one holder at a time, and moves the change counter', async () => {
      const { ledger } = given();
      await begin(ledger);
      const counter = async () => (await ledger.view(SHARD))!.counter;
      const before = await counter();
      const taking = await ledger.take(SHARD, 'one', 't1', LONG_MS);
      const afterTake = await counter();
      expect(afterTake).toBeGreaterThan(before);
      expect(taking).toEqual({ kind: 'taken', released: false, counter: afterTake });
      expect(await ledger.take(SHARD, 'two', 't2', LONG_MS)).toEqual({ kind: 'held' });
      expect(await ledger.renew(SHARD, 't2', LONG_MS)).toBe(false);
      expect(await counter()).toBe(afterTake);
      expect(await ledger.renew(SHARD, 't1', LONG_MS)).toBe(true);
      expect(await counter()).toBeGreaterThan(afterTake);
    });

    test('a take that was sent twice has the effect of one', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      expect(await ledger.take(SHARD, 'one', 't1', LONG_MS)).toEqual(taken);
      expect(await ledger.take(SHARD, 'one', 't2', LONG_MS)).toEqual({ kind: 'held' });
    });

    test('runs out by the time of the server, and is not revived', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', 100);
      await waitUntil(async () => (await ledger.free('two', [SHARD]))[0]!, { ...within, what: 'the lease to run out' });
      expect(await ledger.renew(SHARD, 't1', LONG_MS)).toBe(false);
      expect(await ledger.take(SHARD, 'two', 't2', LONG_MS)).toEqual(taken);
    });

    test('lives on when it is renewed', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', 1_000);
      await ledger.renew(SHARD, 't1', LONG_MS);
      await ledger.take(6, 'one', 't1', 1_000);
      await ledger.setMarkers(6, [], 'first');
      await ledger.take(6, 'one', 't1', 1_000);
      await waitUntil(async () => (await ledger.free('two', [6]))[0]!, {
        ...within,
        what: 'the other lease to run out',
      });
      expect(await ledger.free('two', [SHARD])).toEqual([false]);
    });

    test('released to nobody is free for all', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      await ledger.release(SHARD, 'not mine', null, LONG_MS);
      expect(await ledger.free('two', [SHARD])).toEqual([false]);
      await ledger.release(SHARD, 't1', null, LONG_MS);
      expect(await ledger.free('two', [SHARD])).toEqual([true]);
      expect(await ledger.renew(SHARD, 't1', LONG_MS)).toBe(false);
      expect(await ledger.take(SHARD, 'two', 't2', LONG_MS)).toEqual(taken);
    });

    test('released to a replica is for that one alone, and it is told', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      await ledger.release(SHARD, 't1', 'two', LONG_MS);
      expect(await ledger.renew(SHARD, 't1', LONG_MS)).toBe(false);
      expect(await ledger.take(SHARD, 'three', 't3', LONG_MS)).toEqual({ kind: 'held' });
      expect([await ledger.free('three', [SHARD]), await ledger.free('two', [SHARD])]).toEqual([[false], [true]]);
      expect(await ledger.take(SHARD, 'two', 't2', LONG_MS)).toEqual({ ...taken, released: true });
      expect(await ledger.renew(SHARD, 't2', LONG_MS)).toBe(true);
    });

    test('a release runs out as well', async () => {
      const { ledger } = given();
      await begin(ledger);
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      await ledger.release(SHARD, 't1', 'two', 100);
      await waitUntil(async () => (await ledger.free('three', [SHARD]))[0]!, {
        ...within,
        what: 'the release to run out',
      });
      expect(await ledger.take(SHARD, 'two', 't2', LONG_MS)).toEqual(taken);
    });

    test('belongs to its shard', async () => {
      const { ledger } = given();
      await begin(ledger);
      await begin(ledger, 6);
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      expect(await ledger.free('two', [6, SHARD, 7])).toEqual([true, false, false]);
      expect(await ledger.take(6, 'two', 't1', LONG_MS)).toEqual(taken);
    });

    test('of many shards renewed at once are renewed each for itself', async () => {
      const { ledger } = given();
      const shards = Array.from({ length: 40 }, (_, shard) => shard);
      for (const shard of shards.slice(1)) await begin(ledger, shard);
      for (const shard of shards) await ledger.take(shard, 'one', `t${shard}`, LONG_MS);
      const counters = () => Promise.all(shards.map(async (shard) => (await ledger.view(shard))?.counter ?? 0));
      const before = await counters();
      const mine = (shard: number) => shard > 0 && shard % 3 !== 0;
      const renewed = shards.map((shard) => ledger.renew(shard, mine(shard) ? `t${shard}` : 'not mine', LONG_MS));
      expect(await Promise.all(renewed)).toEqual(shards.map(mine));
      const after = await counters();
      expect(after.map((counter, shard) => counter > before[shard]!)).toEqual(shards.map(mine));
    });

    test('changes nothing that is counted', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, account('a'), { x: [1, 1] });
      const { accounts } = (await ledger.changes(SHARD, 0))!;
      await ledger.take(SHARD, 'one', 't1', LONG_MS);
      await ledger.release(SHARD, 't1', 'one\nheld t9', LONG_MS);
      expect(await ledger.take(SHARD, 'one\nheld t9', 't2', LONG_MS)).toMatchObject({ released: true });
      expect((await ledger.changes(SHARD, 0))!.accounts).toEqual(accounts);
      expect((await ledger.view(SHARD))!.markers.get(field(0))).toBe(1);
    });
  });

  describe('who is alive', () => {
    test('signed in not long ago', async () => {
      const { ledger } = given();
      expect(await ledger.signIn('b', LONG_MS)).toEqual(['b']);
      expect(await ledger.signIn('a', LONG_MS)).toEqual(['a', 'b']);
      expect(await ledger.signIn('a', LONG_MS)).toEqual(['a', 'b']);
      await ledger.signOut('b');
      expect(await ledger.signIn('c', LONG_MS)).toEqual(['a', 'c']);
      await waitUntil(async () => (await ledger.signIn('c', 100)).length === 1, {
        ...within,
        what: 'a to be forgotten',
      });
    });
  });
};
