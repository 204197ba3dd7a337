import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import type { CommitCall, MarkerField } from '../../../src/ledger/port.ts';

const SHARD = 3;
const field = 'topic/0' as MarkerField;
const name = { tenant: 'a', tracker: 'x' };

const claimed = async (): Promise<MemoryLedger> => {
  let nowUs = 1e15;
  const ledger = new MemoryLedger({ nowUs: () => nowUs++, random: () => 'life' });
  await ledger.claim({ clusterId: 'cluster', groupId: 'group' });
  await ledger.setMarkers(SHARD, [[field, 0]], 'first');
  return ledger;
};

const add = (from: number, series: number): CommitCall => ({
  shard: SHARD,
  maxTenants: 10,
  accounts: [{ ...name, measures: 1, limit: 3, staleS: 10 }],
  sections: [
    {
      field,
      from,
      to: from + 1,
      replay: false,
      entries: [
        {
          account: 0,
          ids: Buffer.alloc(16, series),
          values: Float64Array.of(1 + series),
          keys: [Buffer.from([series])],
          overflow: null,
        },
      ],
    },
  ],
});

const whatever = fc.constantFrom('commit', 'purge', 'retire', 'remove', 'move', 'take', 'forget', 'set');

const run = async (ledger: MemoryLedger, what: string, series: number): Promise<void> => {
  const marker = (await ledger.view(SHARD))?.markers.get(field) ?? 0;
  if (what === 'commit') await ledger.commit(add(marker, series));
  if (what === 'purge') await ledger.purge(SHARD, name, -1, null, 1);
  if (what === 'retire') await ledger.retireAll(SHARD);
  if (what === 'remove') await ledger.removeAccount(SHARD, name, -1);
  if (what === 'move') await ledger.move(SHARD, field, marker, series, 'seek');
  if (what === 'take') await ledger.take(SHARD, 'replica', `token ${series}`, 1);
  if (what === 'forget') await ledger.forgetShard(SHARD);
  if (what === 'set') await ledger.setMarkers(SHARD, [[field, series]], 'after-loss');
};

describe('a snapshot of a shard', () => {
  test('is the shard as it was, whatever is written afterwards, any number of times', async () => {
    const steps = fc.array(fc.tuple(whatever, fc.nat(5)), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(steps, steps, steps, async (before, between, after) => {
        const ledger = await claimed();
        for (const [what, series] of before) await run(ledger, what, series);
        const snapshot = ledger.snapshotShard(SHARD);
        const picture = structuredClone(ledger.inspectShard(SHARD));
        for (const steps of [between, after]) {
          for (const [what, series] of steps) await run(ledger, what, series);
          ledger.restoreShard(SHARD, snapshot);
          expect(structuredClone(ledger.inspectShard(SHARD))).toEqual(picture);
        }
      }),
    );
  });

  test('may be nothing at all, and touches no other shard', async () => {
    const ledger = await claimed();
    await ledger.setMarkers(4, [[field, 7]], 'first');
    ledger.restoreShard(SHARD, null);
    expect(await ledger.view(SHARD)).toBeNull();
    expect(await ledger.commit(add(0, 1))).toEqual({ kind: 'absent' });
    expect((await ledger.view(4))?.markers.get(field)).toBe(7);
  });
});

describe('what lies outside of the shards', () => {
  test('is put back on its own', async () => {
    const ledger = await claimed();
    await ledger.firstSight('other', 3);
    const snapshot = ledger.snapshotOutside();
    await ledger.firstSight('third', 4);
    await ledger.signIn('replica', 1000);
    ledger.restoreOutside(snapshot);
    expect(await ledger.firstSight('other', 9)).toBe(3);
    expect(await ledger.firstSight('third', 9)).toBe(9);
    expect(await ledger.signIn('second', 1000)).toEqual(['second']);
    ledger.restoreOutside(null);
    await expect(ledger.firstSight('other', 9)).rejects.toThrow('claimed');
    await ledger.claim({ clusterId: 'cluster', groupId: 'group' });
    expect(await ledger.firstSight('topic', 9)).toBe(1);
  });
});

test('keys and ids that the caller goes on using are copied', async () => {
  const ledger = await claimed();
  const call = add(0, 1);
  await ledger.commit(call);
  const [entry] = call.sections[0]!.entries;
  entry!.ids.fill(9);
  entry!.keys[0]!.fill(9);
  entry!.values.fill(9);
  const { ids } = await ledger.liveIds(SHARD, name);
  expect(ids).toEqual(Buffer.alloc(16, 1));
  expect(await ledger.keys(SHARD, name, ids)).toEqual([Buffer.from([1])]);
});
