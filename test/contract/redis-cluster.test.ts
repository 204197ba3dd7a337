import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { LedgerUnavailable } from '../../src/ledger/port.ts';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import { type RedisCluster, startRedisCluster } from '../support/services/redis-cluster.ts';
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

/** Moves the slot of a shard from node to node, as `redis-cli --cluster reshard` does, in halves. */
class Migration {
  readonly #slot: number;
  readonly #from: Redis;
  readonly #to: Redis;
  readonly #all: readonly Redis[];

  private constructor(slot: number, from: Redis, to: Redis, all: readonly Redis[]) {
    this.#slot = slot;
    this.#from = from;
    this.#to = to;
    this.#all = all;
  }

  static async begin(key: string): Promise<Migration> {
    const all = cluster!.nodes.map(({ host, port }) => new Redis(port, host));
    const slot = Number(await all[0]!.cluster('KEYSLOT', key));
    const held = await Promise.all(all.map((node) => node.cluster('COUNTKEYSINSLOT', slot)));
    const from = held.findIndex((count) => Number(count) > 0);
    const to = (from + 1) % all.length;
    const ids = await Promise.all(all.map((node) => node.cluster('MYID')));
    await all[to]!.cluster('SETSLOT', slot, 'IMPORTING', String(ids[from]));
    await all[from]!.cluster('SETSLOT', slot, 'MIGRATING', String(ids[to]));
    return new Migration(slot, all[from]!, all[to]!, all);
  }

  async move(keys: readonly string[]): Promise<void> {
    await this.#from.call('MIGRATE', '127.0.0.1', this.#to.options.port!, '', 0, 5000, 'KEYS', ...keys);
  }

  async end(): Promise<void> {
    const rest = (await this.#from.cluster('GETKEYSINSLOT', this.#slot, 1000)) as string[];
    await this.move(rest);
    const id = String(await this.#to.cluster('MYID'));
    for (const node of [this.#to, this.#from, ...this.#all]) await node.cluster('SETSLOT', this.#slot, 'NODE', id);
  }

  close(): void {
    for (const node of this.#all) node.disconnect();
  }
}

test('while a shard moves to another node, a commit applies as a whole or not at all', async () => {
  const prefix = newPrefix();
  const ledger = openRedisLedger({ cluster: nodes(), keyPrefix: prefix });
  const [a, b] = [account('a'), account('b')];
  const keys = { ...ledgerKeys(prefix).shard(SHARD), ...ledgerKeys(prefix).account(SHARD, a) };
  let migration: Migration | undefined;
  try {
    await ledger.claim(IDENTITY);
    await begin(ledger);
    await add(ledger, 0, a, { x: [1, 1] });
    migration = await Migration.begin(keys.meta);
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
