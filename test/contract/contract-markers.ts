import { describe, expect, test } from '@jest/globals';
import { LedgerBroken } from '../../src/ledger/port.ts';
import { account, add, begin, call, field, read, SHARD, section, TRACKER } from './calls.ts';
import type { Given } from './ledger-contract.ts';

export const markerContract = (given: () => Given): void => {
  describe('a shard without state', () => {
    test('answers so, and nothing makes it by the way', async () => {
      const { ledger } = given();
      const name = account('a');
      expect(await ledger.view(SHARD)).toBeNull();
      expect(await ledger.setMarkers(SHARD, [[field(0), 3]], 'no')).toBeNull();
      expect(await ledger.move(SHARD, field(0), null, 3, 'seek')).toBeNull();
      expect(await ledger.commit(call([name], [section(0, 0, 0)]))).toEqual({ kind: 'absent' });
      expect(await ledger.liveIds(SHARD, name)).toEqual({ admissions: 0, ids: Buffer.alloc(0) });
      expect(await ledger.tenants(SHARD, TRACKER)).toEqual([]);
      await ledger.retireAll(SHARD);
      await ledger.forgetShard(SHARD);
      expect(await ledger.changes(SHARD, 0)).toBeNull();
      expect(await ledger.page(SHARD, name, null, 10)).toBeNull();
      expect(await ledger.purge(SHARD, name, 1, null, 10)).toEqual({ cursor: null, purged: 0 });
      expect(await ledger.removeAccount(SHARD, name, 1)).toBe(false);
      expect(await ledger.take(SHARD, 'r', 't', 1000)).toEqual({ kind: 'absent' });
      expect(await ledger.renew(SHARD, 't', 1000)).toBe(false);
      await ledger.release(SHARD, 't', 'r', 1000);
      expect(await ledger.free('r', [SHARD])).toEqual([false]);
      expect(await ledger.view(SHARD)).toBeNull();
    });
  });

  describe('markers', () => {
    test('are set where they are absent, and only there', async () => {
      const { ledger } = given();
      const first = await ledger.setMarkers(SHARD, [[field(0), 3]], 'first');
      expect(first).toMatchObject({ replayedAt: 0, afterLoss: false, clockS: 0 });
      const second = await ledger.setMarkers(
        SHARD,
        [
          [field(0), 9],
          [field(1), 4],
        ],
        'no',
      );
      expect([...second!.markers].sort()).toEqual([
        [field(0), 3],
        [field(1), 4],
      ]);
      expect(second!.life).toBe(first!.life);
      expect(await ledger.view(SHARD)).toEqual(second);
    });

    test('a shard that is there is not made again, and says why it was made', async () => {
      const { ledger } = given();
      const made = await ledger.setMarkers(SHARD, [[field(0), 3]], 'after-loss');
      expect(made!.afterLoss).toBe(true);
      const again = await ledger.setMarkers(SHARD, [[field(0), 5]], 'first');
      expect(again).toMatchObject({ life: made!.life, afterLoss: true });
      expect(again!.markers.get(field(0))).toBe(3);
    });

    test('lives differ between shards', async () => {
      const { ledger } = given();
      const one = await ledger.setMarkers(1, [], 'first');
      const two = await ledger.setMarkers(2, [], 'first');
      expect(one!.life).not.toBe(two!.life);
      expect(one!.markers.size).toBe(0);
    });

    test('move from what is expected to anywhere, or not at all', async () => {
      const { ledger } = given();
      await begin(ledger);
      expect(await ledger.move(SHARD, field(0), 0, 9, 'seek')).toBe(9);
      expect(await ledger.move(SHARD, field(0), 0, 5, 'seek')).toBe(9);
      expect(await ledger.move(SHARD, field(0), 9, 2, 'seek')).toBe(2);
      expect(await ledger.move(SHARD, field(0), null, 7, 'seek')).toBe(2);
      expect(await ledger.move(SHARD, field(1), 0, 7, 'seek')).toBeNull();
      expect(await ledger.move(SHARD, field(1), null, 7, 'seek')).toBe(7);
      expect([...(await ledger.view(SHARD))!.markers].sort()).toEqual([
        [field(0), 2],
        [field(1), 7],
      ]);
    });

    test('hold any offset that can be told apart from its neighbours', async () => {
      const { ledger } = given();
      const top = Number.MAX_SAFE_INTEGER;
      await ledger.setMarkers(SHARD, [[field(0), top - 1]], 'first');
      await add(ledger, top - 1, account('a'), { x: [1, 1] });
      expect((await ledger.view(SHARD))!.markers.get(field(0))).toBe(top);
      await expect(ledger.setMarkers(SHARD, [[field(1), 2 ** 53]], 'no')).rejects.toThrow(LedgerBroken);
      await expect(ledger.move(SHARD, field(0), top, -1, 'seek')).rejects.toThrow(LedgerBroken);
    });
  });

  describe('forgetting a shard', () => {
    test('ends its life; the next one has nothing of it', async () => {
      const { ledger } = given();
      await begin(ledger);
      const before = (await ledger.view(SHARD))!;
      await add(ledger, 0, account('a'), { x: [5, 1], y: [6, 1] });
      await add(ledger, 1, account('b'), { x: [5, 1] });
      await ledger.take(SHARD, 'r', 't', 60_000);
      await ledger.forgetShard(SHARD);
      expect(await ledger.view(SHARD)).toBeNull();
      expect(await ledger.tenants(SHARD, TRACKER)).toEqual([]);

      await ledger.setMarkers(SHARD, [[field(0), 9]], 'after-loss');
      const after = (await ledger.view(SHARD))!;
      expect(after.life).not.toBe(before.life);
      expect(await read(ledger, SHARD, account('a'))).toBeNull();
      expect(await ledger.free('anyone', [SHARD])).toEqual([true]);
      const reply = await add(ledger, 9, account('a'), { x: [1, 1] });
      expect(reply.accounts[0]).toMatchObject({ live: 1, admissions: 1 });
      expect((await read(ledger, SHARD, account('a')))!.totals.total).toEqual([1, 1]);
    });

    test('leaves the others alone', async () => {
      const { ledger } = given();
      await begin(ledger, 4);
      await begin(ledger);
      await ledger.forgetShard(SHARD);
      expect(await ledger.view(4)).not.toBeNull();
    });
  });
};
