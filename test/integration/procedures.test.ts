/** The procedures of docs/operations.md, as an operator does them; `state verify` proves each. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { runUpgrade } from '../../src/commands/state-upgrade.ts';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { LEDGER_FORMAT, SHARDS } from '../../src/ledger/port.ts';
import { RedisConnection } from '../../src/ledger/redis-connection.ts';
import type { Migration } from '../../src/ledger/upgrade.ts';
import { type Fleet, PREFIX, startFleet } from '../support/fleet.ts';
import { selfMetrics } from '../support/fleet-metrics.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { runCommand } from '../support/run-command.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import type { Replica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { createTopic, uniqueName } from '../support/topics.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

let fleet: Fleet;
let admin: Redis;
let second: RedisServer | undefined;
let third: RedisServer | undefined;
const snapshots = mkdtempSync(join(tmpdir(), 'tracetally-snapshot-'));

beforeAll(async () => {
  fleet = await startFleet({ name: 'procedures', brokers: sharedKafka(), replicas: 1 });
  admin = new Redis(fleet.redis.url, { maxRetriesPerRequest: 1, retryStrategy: () => 100 });
  admin.on('error', () => {});
  await fleet.write(80);
  await fleet.settle(60_000);
}, 180_000);

afterAll(async () => {
  admin?.disconnect();
  await fleet?.stop();
  await second?.stop();
  await third?.stop();
  rmSync(snapshots, { recursive: true, force: true });
}, 60_000);

/** Exact, by every record of the log, in the ledger that the replica works with. */
const untilProved = (replica: Replica, records = () => fleet.truth.records): Promise<unknown> =>
  waitFor(
    async () => {
      const { out, err } = await runCommand(['state', 'verify', '--output', 'json', '--config', replica.configFile]);
      if (out === '') return { done: false, seen: err };
      const { verdict, records_read } = JSON.parse(out) as { verdict: string; records_read: number };
      const isDone = verdict === 'exact' && records_read === records();
      return isDone ? { done: true, value: null } : { done: false, seen: { verdict, records_read } };
    },
    { timeoutMs: 90_000, what: 'a ledger that is proved' },
  );

async function stopAll(): Promise<void> {
  for (const replica of fleet.replicas) {
    if (!replica.running()) continue;
    replica.signal('SIGTERM');
    expect(await replica.exit()).toEqual({ code: 0, signal: null });
  }
}

test('the append-only file is switched on without emptying the ledger', async () => {
  await admin.config('SET', 'appendonly', 'no');
  await admin.config('SET', 'appendonly', 'yes');
  await waitUntil(async () => /aof_enabled:1[\s\S]*aof_rewrite_in_progress:0/.test(await admin.info('persistence')), {
    timeoutMs: 30_000,
    what: 'the first append-only file',
  });
  await fleet.redis.kill('SIGKILL');
  await fleet.redis.start();
  await fleet.write(20);
  await fleet.settle(60_000);
  expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
}, 150_000);

test('a tenant is forgotten, and every sum stays exact', async () => {
  const [replica] = fleet.replicas;
  const forget = (...options: string[]) => runCommand(['state', 'forget', '--config', replica!.configFile, ...options]);
  const tenants = async () => {
    const { out } = await runCommand(['state', 'inspect', '--output', 'json', '--config', replica!.configFile]);
    return (JSON.parse(out) as { accounts: { tenant: string; live: number }[] }).accounts;
  };
  const tenant = [...fleet.truth.tenants.keys()].sort()[0]!;
  const args = ['--tenant', tenant];
  expect(await forget(...args)).toMatchObject({ code: 0, out: expect.stringContaining('nothing was changed') });
  expect((await tenants()).some((one) => one.tenant === tenant)).toBe(true);
  expect(await forget(...args, '--label', 'no=such', '--execute')).toMatchObject({
    code: 1,
    err: expect.stringContaining('no live series with exactly these labels'),
  });
  expect(await forget(...args, '--execute')).toMatchObject({ code: 0, out: expect.stringContaining(': forgotten') });
  expect((await tenants()).some((one) => one.tenant === tenant)).toBe(false);
  await untilProved(replica!);
  expect(await forget('--tenant', '__records__')).toMatchObject({ code: 2 });
  expect(await forget(...args)).toMatchObject({ code: 1, err: expect.stringContaining('holds nothing') });
}, 120_000);

test('another group and another prefix count the log anew, beside the first', async () => {
  const beside = uniqueName('beside');
  const replica = await fleet.add({ kafka: { group_id: beside }, redis: { key_prefix: beside } });
  await untilProved(replica);
  await untilProved(fleet.replicas[0]!);
  replica.signal('SIGTERM');
  await replica.exit();
}, 200_000);

/** As if an older version had written it: amounts of retired series have another name. */
const OLDER: Migration = {
  from: LEDGER_FORMAT - 1,
  what: 'what was called gone is called retired',
  shard: (redis, keys, shard) => renameTotals(redis, keys.shard(shard).tenants, 'gone', 'retired'),
};

async function renameTotals(redis: RedisConnection, tenants: string, from: string, to: string): Promise<void> {
  for (const member of (await redis.call('zrange', tenants, 0, -1)) as Buffer[]) {
    const totals = tenants.replace(/tenants$/, `totals:${String(member)}`);
    const held = await redis.call('hget', totals, from);
    if (held === null) continue;
    await redis.call('hset', totals, to, String(held));
    await redis.call('hdel', totals, from);
  }
}

test('a ledger of an older format is refused, upgraded with every replica stopped, and goes on', async () => {
  const [replica] = fleet.replicas;
  const keys = ledgerKeys(PREFIX);
  const redis = new RedisConnection({ url: fleet.redis.url });
  const said: string[] = [];
  const io = { env: {}, out: (line: string) => void said.push(line), err: (line: string) => void said.push(line) };
  const upgradeIt = () => runUpgrade(redis, PREFIX, io, { dryRun: false, migrations: [OLDER] });
  const setFormat = (format: number) =>
    Promise.all(
      [keys.ledger, ...Array.from({ length: SHARDS }, (_, shard) => keys.shard(shard).meta)].map(async (key) => {
        if ((await admin.exists(key)) === 1) await admin.hset(key, 'format', format);
      }),
    );
  try {
    await fleet.write(20);
    await stopAll();
    for (let shard = 0; shard < SHARDS; shard++)
      await renameTotals(redis, keys.shard(shard).tenants, 'retired', 'gone');
    await setFormat(LEDGER_FORMAT - 1);
    await replica!.start();
    expect((await replica!.exit()).code).toBe(1);
    expect(replica!.log()).toContain('run `tracetally state upgrade`');
    const shipped = await runCommand(['state', 'upgrade', '--dry-run', '--config', replica!.configFile]);
    expect(shipped).toMatchObject({ code: 1, err: expect.stringContaining('knows no way from format 0') });
    expect(await upgradeIt()).toBe(0);
    expect(said.join('\n')).toContain(`to format ${LEDGER_FORMAT}; start the replicas of this version`);
    await replica!.start();
    await replica!.waitReady(40_000);
    await fleet.write(20);
    await untilProved(replica!);
    expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBe(0);
    const done = await runCommand(['state', 'upgrade', '--config', replica!.configFile]);
    expect(done).toMatchObject({ code: 0, out: expect.stringContaining('nothing to do') });
    // Forgotten while it runs: it is told so, and what it cannot write is read again by whoever comes after.
    await setFormat(LEDGER_FORMAT - 1);
    await fleet.write(5);
    expect((await replica!.exit()).code).toBe(1);
    await setFormat(LEDGER_FORMAT);
    await replica!.start();
    await untilProved(replica!);
  } finally {
    await redis.close();
  }
}, 200_000);

test('the ledger moves to another Redis by replication', async () => {
  second = await startRedis();
  const target = new Redis(second.url);
  try {
    const { hostname, port } = new URL(fleet.redis.url);
    await target.replicaof(hostname, Number(port));
    await waitUntil(async () => (await target.info('replication')).includes('master_link_status:up'), {
      timeoutMs: 30_000,
      what: 'a replica in sync',
    });
    await fleet.write(20);
    await stopAll();
    const offset = async (redis: Redis) =>
      /(?:master_repl|slave_repl)_offset:(\d+)/.exec(await redis.info('replication'))![1];
    await waitUntil(async () => (await offset(target)) === (await offset(admin)), {
      timeoutMs: 30_000,
      what: 'a replica that has everything',
    });
    await target.replicaof('NO', 'ONE');
  } finally {
    target.disconnect();
  }
  const moved = await fleet.add({ redis: { url: second.url } });
  await moved.waitReady();
  await fleet.write(20);
  await untilProved(moved);
  expect(await moved.scrape('/metrics')).toContain('\ntracetally_ledger_lost_writes_total 0\n');
}, 200_000);

test('a copied snapshot is started as a fresh Redis, and what came after it is read again', async () => {
  const source = new Redis(second!.url);
  const before = Number(await source.lastsave());
  const dir = String(((await source.config('GET', 'dir')) as string[])[1]);
  await waitUntil(async () => Date.now() / 1000 > before + 1, { timeoutMs: 5_000, what: 'another second' });
  await source.bgsave();
  await waitUntil(async () => (await source.lastsave()) > before, { timeoutMs: 30_000, what: 'the snapshot' });
  copyFileSync(join(dir, 'dump.rdb'), join(snapshots, 'dump.rdb'));
  source.disconnect();
  await fleet.write(20);
  await untilProved(fleet.replicas.at(-1)!);
  await stopAll();
  // With `appendonly yes` it would begin with an empty append-only file, and ignore the snapshot.
  third = await startRedis({ dataDir: snapshots, config: { appendonly: 'no' } });
  const fresh = new Redis(third.url);
  expect(await fresh.exists(`${PREFIX}:ledger`)).toBe(1);
  await fresh.config('SET', 'appendonly', 'yes');
  fresh.disconnect();
  const replica = await fleet.add({ redis: { url: third.url } });
  await replica.waitReady(40_000);
  await untilProved(replica);
  const metric = await selfMetrics(replica);
  expect(metric('tracetally_ledger_lost_writes_total')).toBeGreaterThan(0);
  expect(metric('tracetally_ledger_losses_total')).toBe(0);
}, 200_000);

test('another topic is counted from its first record, beside what the old one held', async () => {
  await stopAll();
  const topic = uniqueName('other');
  await createTopic(fleet.brokers, topic, { partitions: 2 });
  const { value, headers } = plainRecord('other', '/x', 2);
  const send = async () =>
    (await fleet.producer()).send(topic, 1, [
      { value, headers },
      { value, headers },
    ]);
  await send();
  const replica = await fleet.add({ redis: { url: third!.url }, kafka: { topics: [topic] } });
  await replica.waitReady(40_000);
  await send();
  await waitUntil(
    async () => {
      const { out } = await runCommand(['state', 'verify', '--output', 'json', '--config', replica.configFile], {
        TRACETALLY_KAFKA_TOPICS: `${fleet.topic},${topic}`,
      });
      const { verdict, records_read } = JSON.parse(out) as { verdict: string; records_read: number };
      expect([verdict, records_read]).toEqual(['exact', fleet.truth.records + 4]);
      return true;
    },
    { timeoutMs: 60_000, what: 'both topics, proved' },
  );
}, 150_000);
