/** How a replica ends: by SIGTERM, by a second signal, by a fault, and how it does not even begin. */
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { accountMember, ledgerKeys, RECORDS_TRACKER, shardOf } from '../../src/ledger/keys.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import { parseExposition } from '../support/exposition.ts';
import { type Fleet, killReplica, PREFIX, startFleet, untilLine, untilUnready } from '../support/fleet.ts';
import { logLines, selfMetrics } from '../support/fleet-metrics.ts';
import type { Replica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

const LEASE_MS = 15_000;

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({
    name: 'life',
    brokers: sharedKafka(),
    replicas: 0,
    config: { publish: { lease: `${LEASE_MS}ms` } },
  });
}, 120_000);

afterAll(async () => {
  await fleet?.stop();
}, 60_000);

const shownBytes = async (replica: Replica): Promise<number> =>
  parseExposition(await replica.scrape('/usage_metrics'))
    .filter(({ name }) => name === 'tempo_usage_tracker_bytes_received_total')
    .reduce((sum, { value }) => sum + value, 0);

async function untilShown(replicas: readonly Replica[], timeoutMs: number): Promise<void> {
  await waitFor(
    async () => {
      const shown = await Promise.all(replicas.map(shownBytes));
      const sum = shown.reduce((all, bytes) => all + bytes, 0);
      const isAll = sum === fleet.truth.acceptedBytes;
      return isAll ? { done: true, value: undefined } : { done: false, seen: shown };
    },
    { timeoutMs, what: 'everything to be shown', everyMs: 100 },
  );
}

/** How many shards' leases Redis says it holds: the token begins with the host and the process. */
async function leasesOf({ pid }: Replica): Promise<number> {
  const redis = new Redis(fleet.redis.url);
  try {
    const keys = Array.from({ length: SHARDS }, (_, shard) => ledgerKeys(PREFIX).shard(shard).owner);
    return (await redis.mget(keys)).filter((text) => text?.startsWith(`held ${hostname()}-${pid}-`)).length;
  } finally {
    redis.disconnect();
  }
}

describe('SIGTERM', () => {
  test('flushes, commits, releases, and ends with exit code 0; the other shows everything', async () => {
    const stays = await fleet.add();
    const leaves = await fleet.add({ kafka: { session_timeout: '50s' }, ledger: { flush_interval: '40s' } });
    await fleet.ready();
    await fleet.write(100);
    // What it holds is in no ledger yet: its flush is far away.
    await waitUntil(async () => (await fleet.metric('tracetally_records_consumed_total')) === fleet.truth.records, {
      timeoutMs: 20_000,
      what: 'everything to be gathered',
    });
    const gathered = await selfMetrics(leaves);
    expect(gathered('tracetally_pending_series')).toBeGreaterThan(0);
    const owned = async (replica: Replica) => (await selfMetrics(replica))('tracetally_owned_shards');
    await waitUntil(async () => (await owned(leaves)) > 0 && (await fleet.metric('tracetally_owned_shards')) === 64, {
      timeoutMs: 4 * LEASE_MS,
      what: 'every shard to be owned, some of them by the one that leaves',
    });
    expect(await leasesOf(leaves)).toBeGreaterThan(0);
    const began = performance.now();
    leaves.signal('SIGTERM');
    expect(await untilUnready(leaves, 2_000).catch(() => 'stopping')).toContain('stopping');
    expect(await leaves.exit()).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(20_000);
    const stopped = logLines(leaves).at(-1)!;
    expect(stopped).toMatchObject({ msg: 'stopped', exit_code: 0 });
    // Nothing keeps a process that has stopped.
    expect(Date.now() - Date.parse(String(stopped.time))).toBeLessThan(4_900);
    // A lease that was not released would have to run out first, and be waited for once more.
    expect(await leasesOf(leaves)).toBe(0);
    await untilShown([stays], 4 * LEASE_MS);
    await fleet.settle();
    // What it had gathered was flushed: nobody has read it again.
    const byOther = await fleet.metric('tracetally_records_consumed_total');
    expect(byOther).toBe(fleet.truth.records - gathered('tracetally_records_consumed_total'));
  }, 120_000);

  test('ends within the bound while Redis does not answer, and what was not flushed is read again', async () => {
    const other = await fleet.add({ server: { shutdown_timeout: '3s' } });
    await fleet.ready();
    const flow = await fleet.flow();
    await fleet.redis.kill('SIGSTOP');
    try {
      const began = performance.now();
      other.signal('SIGTERM');
      expect(await other.exit()).toEqual({ code: 0, signal: null });
      expect(performance.now() - began).toBeLessThan(15_000);
    } finally {
      await fleet.redis.kill('SIGCONT');
    }
    await flow.end();
    await fleet.settle();
  }, 60_000);

  test('a second one ends it at once', async () => {
    const other = await fleet.add();
    await fleet.ready();
    await fleet.write(20);
    await fleet.redis.kill('SIGSTOP');
    try {
      other.signal('SIGTERM');
      await untilLine(other, 'stopping', 5_000);
      const began = performance.now();
      other.signal('SIGTERM');
      expect(await other.exit()).toEqual({ code: 1, signal: null });
      expect(performance.now() - began).toBeLessThan(10_000);
    } finally {
      await fleet.redis.kill('SIGCONT');
    }
    await fleet.settle();
  }, 60_000);
});

/** One clear line, nothing else of that level, and no stack trace outside of it. */
function expectOneFault(replica: Replica, why: RegExp): void {
  const errors = logLines(replica).filter(({ level }) => level === 'error');
  expect(errors).toHaveLength(1);
  expect(errors[0]!.msg).toBe('stopping_on_fault');
  expect(JSON.stringify(errors[0])).toMatch(why);
}

describe('a fault', () => {
  test('the port is taken: exit code 1, one clear line', async () => {
    const [first] = fleet.replicas;
    const second = await fleet.add({ server: { port: first!.port } });
    expect(await second.exit()).toEqual({ code: 1, signal: null });
    expectOneFault(second, /EADDRINUSE/);
  }, 30_000);

  test('a wrong configuration: every problem in one list, exit code 1, no stack trace', async () => {
    const other = await fleet.add();
    await killReplica(other);
    writeFileSync(
      other.configFile,
      'kafka: {brokers: [nowhere], session_timeout: soon}\nledger: {flush_intervall: 1s}\npublish: {lease: 1ms}\n',
    );
    await other.start();
    expect(await other.exit()).toEqual({ code: 1, signal: null });
    const log = other.log();
    for (const path of ['kafka.brokers', 'kafka.session_timeout', 'ledger.flush_intervall', 'publish.lease'])
      expect(log).toContain(path);
    expect(log).not.toMatch(/^\s+at /m);
  }, 30_000);

  test('a value in the ledger that cannot be: exit code 1, one clear line', async () => {
    await fleet.settle();
    const redis = new Redis(fleet.redis.url);
    const shard = shardOf(RECORDS_TENANT);
    const account = { tenant: RECORDS_TENANT, tracker: RECORDS_TRACKER };
    const { totals } = ledgerKeys(PREFIX).account(shard, account);
    expect(await redis.type(totals)).toBe('hash');
    await redis.del(totals);
    await redis.set(totals, `not a hash: ${accountMember(account)}`);
    redis.disconnect();
    await fleet.write(10);
    const running = fleet.replicas.filter((replica) => replica.running());
    const ended = await Promise.race(running.map((replica) => replica.exit().then((status) => ({ replica, status }))));
    expect(ended.status).toEqual({ code: 1, signal: null });
    expectOneFault(ended.replica, /LEDGER_BROKEN/);
  }, 60_000);
});
