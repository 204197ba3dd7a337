/** The procedures of docs/operations.md, as an operator does them; `state verify` proves each. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { runCommand } from '../support/run-command.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import type { Replica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { uniqueName } from '../support/topics.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

let fleet: Fleet;
let admin: Redis;
let second: RedisServer | undefined;

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
}, 60_000);

/** Exact, by every record of the log, in the ledger that the replica works with. */
const untilProved = (replica: Replica): Promise<unknown> =>
  waitFor(
    async () => {
      const { out, err } = await runCommand(['state', 'verify', '--output', 'json', '--config', replica.configFile]);
      if (out === '') return { done: false, seen: err };
      const { verdict, records_read } = JSON.parse(out) as { verdict: string; records_read: number };
      const isDone = verdict === 'exact' && records_read === fleet.truth.records;
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
    const { out } = await runCommand(['state', 'inspect', '--json', '--config', replica!.configFile]);
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
