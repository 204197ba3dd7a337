import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster } from 'ioredis';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { LedgerUnavailable } from '../../src/ledger/port.ts';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import { type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts';
import { SlotMigration } from '../support/services/redis-migration.ts';
import { waitUntil } from '../support/wait-for.ts';
import { account, add, begin, call, commit, entry, expectConserved, field, SHARD, section, valuesOf } from './calls.ts';
import { IDENTITY, newPrefix, redisFixture } from './fixture.ts';
import { describeLedger } from './ledger-contract.ts';

let cluster: RedisCluster | undefined;
beforeAll(async () => {
  cluster = await startRedisCluster();
}, 60_000);
afterAll(() => cluster?.stop());
const nodes = (): string[] => cluster!.nodes.map(({ host, port }) => `${host}:${port}`);

describeLedger('a cluster of three masters', async () =>
  redisFixture({ cluster: nodes() }, new Cluster([...cluster!.nodes])),
);

test('while a shard moves to another node, a commit applies as a whole or not at all', async () => {
  const prefix = newPrefix();
  const ledger = openRedisLedger({ cluster: nodes(), keyPrefix: prefix });
  const [a, b] = [account('a'), account('b')];
  const keys = { ...ledgerKeys(prefix).shard(SHARD), ...ledgerKeys(prefix).account(SHARD, a) };
  let migration: SlotMigration | undefined;
  try {
    await ledger.claim(IDENTITY);
    await begin(ledger);
    await add(ledger, 0, a, { x: [1, 1] });
    migration = await SlotMigration.begin(cluster!.nodes, keys.meta);
    const next = call([a, b], [section(0, 1, 2, [entry(0, { x: [2, 1], y: [4, 1] }), entry(1, { z: [1, 1] })])]);
    for (const moved of [[keys.series], [keys.meta, keys.totals]]) {
      await migration.move(moved);
      await expect(ledger.commit(next)).rejects.toThrow(LedgerUnavailable);
      // A shard of which half is elsewhere must not look like one that was lost.
      const view = await ledger.view(SHARD).catch((error) => error);
      if (!(view instanceof LedgerUnavailable)) expect(view.markers.get(field(0))).toBe(1);
    }
    await migration.end();
    await waitUntil(async () => (await ledger.view(SHARD)) !== null, { timeoutMs: 10_000, what: 'the new node' });
    expect((await ledger.view(SHARD))!.markers.get(field(0))).toBe(1);
    expect(await valuesOf(ledger, a, 'x', 'y')).toEqual([[1, 1], undefined]);
    expect((await commit(ledger, next)).sections).toEqual([{ kind: 'applied', marker: 2 }]);
    expect(await valuesOf(ledger, a, 'x', 'y')).toEqual([
      [3, 2],
      [4, 1],
    ]);
    await expectConserved(ledger, SHARD, b);
  } finally {
    migration?.close();
    await ledger.close();
  }
}, 60_000);
