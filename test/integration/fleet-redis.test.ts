/** Redis away, slow, read-only, flushed, of another installation, or of the wrong kind. */

import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { type Fleet, killReplica, startFleet, untilLine, untilUnready } from '../support/fleet.ts';
import { logLines } from '../support/fleet-metrics.ts';
import { freePort } from '../support/services/ports.ts';
import type { Replica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { uniqueName } from '../support/topics.ts';

let fleet: Fleet;
let admin: Redis;

beforeAll(async () => {
  fleet = await startFleet({ name: 'redis', brokers: sharedKafka(), replicas: 0 });
  admin = new Redis(fleet.redis.url, { maxRetriesPerRequest: 1, retryStrategy: () => 100 });
  admin.on('error', () => {});
}, 120_000);

afterAll(async () => {
  admin?.disconnect();
  await fleet?.stop();
}, 60_000);

/** Every replica says that it is not ready because of the ledger, and that it lives. */
async function untilAwaySaid(): Promise<void> {
  for (const replica of fleet.replicas) {
    expect(await untilUnready(replica, 20_000)).toContain('ledger');
    await replica.scrape('/live');
    expect(await replica.scrape('/metrics')).toContain('\ntracetally_ledger_up 0\n');
  }
}

/** Ends by itself with exit code 1, and says why in one line, with the way out. */
async function expectRefused(replica: Replica, why: RegExp): Promise<void> {
  expect(await replica.exit()).toEqual({ code: 1, signal: null });
  const faults = logLines(replica, 'stopping_on_fault');
  expect(faults).toHaveLength(1);
  expect(JSON.stringify(faults[0])).toMatch(why);
  expect(logLines(replica, 'stopped_unexpectedly')).toEqual([]);
  expect(replica.log()).not.toMatch(/^\s+at .*\.[jt]s:/m);
}

describe('Redis', () => {
  test('is away at the start: the replicas wait, say so, and go on alone', async () => {
    await fleet.redis.kill('SIGKILL');
    await fleet.add();
    await fleet.add();
    for (const replica of fleet.replicas) await untilLine(replica, 'start_waits', 20_000);
    await untilAwaySaid();
    await fleet.write(30);
    await fleet.redis.start();
    await fleet.ready();
    await fleet.settle();
  }, 90_000);

  test('does not answer for longer than a call waits, and then does', async () => {
    const flow = await fleet.flow(20);
    await fleet.redis.kill('SIGSTOP');
    try {
      await untilAwaySaid();
    } finally {
      await fleet.redis.kill('SIGCONT');
    }
    await fleet.ready();
    await flow.end();
    await fleet.settle();
  }, 90_000);

  test('is read-only after a fail-over, and then is not', async () => {
    const flow = await fleet.flow(20);
    await admin.replicaof('127.0.0.1', await freePort());
    await untilAwaySaid();
    await admin.replicaof('NO', 'ONE');
    await fleet.ready();
    await flow.end();
    await fleet.settle();
    expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
    for (const replica of fleet.replicas) {
      expect(logLines(replica, 'ledger_unavailable').length).toBeGreaterThan(0);
      expect(logLines(replica, 'ledger_available').length).toBeGreaterThan(0);
      expect(replica.log()).not.toContain('"stack"');
    }
  }, 90_000);

  test('is full, and then has room', async () => {
    const flow = await fleet.flow(20);
    await admin.config('SET', 'maxmemory', '1');
    await untilAwaySaid();
    await admin.config('SET', 'maxmemory', '0');
    await fleet.ready();
    await flow.end();
    await fleet.settle();
  }, 90_000);

  test('holds the ledger of another group: refused with the way out', async () => {
    const other = await fleet.add({ kafka: { group_id: uniqueName('other') } });
    await expectRefused(other, /belongs to the group .*redis\.key_prefix/);
  }, 30_000);

  test('evicts keys: refused with the way out', async () => {
    await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
    const late = await fleet.add();
    await expectRefused(late, /allkeys-lru.*noeviction/);
    await admin.config('SET', 'maxmemory-policy', 'noeviction');
    await fleet.settle();
  }, 30_000);
});

describe('Redis is flushed: a ledger loss', () => {
  test('continue: goes on at the commit of the group, and says what was lost', async () => {
    await fleet.settle();
    await admin.flushall();
    fleet.forgetTruth();
    await fleet.write(40);
    await fleet.settle();
    expect(await fleet.metric('tracetally_ledger_losses_total')).toBeGreaterThan(0);
    const [line] = fleet.lines('ledger_loss');
    expect(line).toMatchObject({ level: 'error', topic: fleet.topic, stopped: false });
    expect(await fleet.metric('tracetally_gap_records_total')).toBe(0);
  }, 60_000);

  test('stop: ends with one clear line, also when it is started again', async () => {
    await Promise.all(fleet.replicas.map(killReplica));
    await admin.flushall();
    const stops = await fleet.add({ ledger: { on_loss: 'stop' } });
    await expectRefused(stops, /ledger\.on_loss/);
    await stops.start();
    await expectRefused(stops, /ledger\.on_loss/);
  }, 60_000);

  test('recount: everything that the log holds is counted again', async () => {
    await fleet.add({ ledger: { on_loss: 'recount' } });
    fleet.recallTruth();
    await fleet.settle();
    expect(await fleet.metric('tracetally_ledger_losses_total')).toBeGreaterThan(0);
  }, 60_000);
});
