/** `state verify` on a fleet: it proves what is right, finds what is not, and says what it cannot know. */
import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { ledgerKeys, shardOf } from '../../src/ledger/keys.ts';
import { type Fleet, PREFIX, startFleet } from '../support/fleet.ts';
import { type Ended, runCommand } from '../support/run-command.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { withAdmin } from '../support/topics.ts';

let fleet: Fleet;
let admin: Redis;
const baseline = join(tmpdir(), `tracetally-baseline-${process.pid}.json`);

beforeAll(async () => {
  fleet = await startFleet({ name: 'verify', brokers: sharedKafka() });
  admin = new Redis(fleet.redis.url);
}, 120_000);

afterAll(async () => {
  rmSync(baseline, { force: true });
  admin?.disconnect();
  await fleet?.stop();
}, 60_000);

const verify = (...options: string[]): Promise<Ended> =>
  runCommand(['state', 'verify', '--config', fleet.replicas[0]!.configFile, ...options]);

type Row = { tenant: string; tracker: string; measure: string; truth: number; ledger: number; verdict: string };
type Json = { verdict: string; records_read: number; unproved: { reason: string }[]; totals: Row[] };
const verifyJson = async (...options: string[]): Promise<Json & { code: number }> => {
  const { code, out, err } = await verify('--output', 'json', ...options);
  if (out === '') throw new Error(err);
  return { code, ...(JSON.parse(out) as Json) };
};

/** A tenant whose bytes are all in series, so that one can be changed behind the ledger's back. */
const someTenant = (): string => [...fleet.truth.tenants.keys()].sort()[0]!;

describe('all that was ever counted', () => {
  test('is exact, tenant by tenant, with discards', async () => {
    await fleet.write(200);
    await fleet.settle();
    const { code, totals, verdict, records_read } = await verifyJson();
    expect([code, verdict, records_read]).toEqual([0, 'exact', fleet.truth.records]);
    for (const [tenant, { bytes, spans }] of fleet.truth.tenants) {
      const own = totals.filter((row) => row.tenant === tenant);
      expect(own.map(({ measure, truth, ledger }) => [measure, truth, ledger])).toEqual([
        ['bytes', bytes, bytes],
        ['spans', spans, spans],
      ]);
    }
    const records = totals.find(({ tracker, measure }) => tracker === 'records' && measure === 'records')!;
    expect(records).toMatchObject({ truth: fleet.truth.records, ledger: fleet.truth.records, verdict: 'exact' });
    const { out } = await verify();
    expect(out).toMatch(/exact: \d+ of \d+ bytes$/);
  }, 90_000);

  test('is exact at any moment of the traffic: each shard at its own markers', async () => {
    const flow = await fleet.flow(60);
    try {
      for (let i = 0; i < 4; i++) expect(await verifyJson()).toMatchObject({ code: 0, verdict: 'exact', unproved: [] });
    } finally {
      await flow.end();
    }
    await fleet.settle();
  }, 90_000);

  test('leaves the group alone', async () => {
    const rebalances = await fleet.metric('tracetally_rebalances_total');
    await verifyJson();
    expect(await fleet.metric('tracetally_rebalances_total')).toBe(rebalances);
  }, 30_000);

  test('a byte too many is found, with its tenant', async () => {
    const tenant = someTenant();
    const { totals } = ledgerKeys(PREFIX).account(shardOf(tenant), { tenant, tracker: 'cost-attribution' });
    const held = (await admin.hget(totals, 'total'))!;
    const [bytes, spans] = held.split(' ').map(Number);
    await admin.hset(totals, 'total', `${bytes! + 1} ${spans}`);
    try {
      const { code, out } = await verify();
      expect(code).toBe(1);
      expect(out).toMatch(new RegExp(`^${tenant} +cost-attribution +bytes +${bytes} +${bytes! + 1} +1 +differs$`, 'm'));
      expect(out).toMatch(/\ndifferent: .*tenants\.from/);
    } finally {
      await admin.hset(totals, 'total', held);
    }
    expect(await verifyJson()).toMatchObject({ verdict: 'exact' });
  }, 60_000);
});

describe('a part of the log', () => {
  test('proves nothing by itself, and says so', async () => {
    const { code, verdict, unproved, records_read } = await verifyJson(
      '--partition',
      '1',
      '--from-offset',
      '3',
      '--to-offset',
      '8',
    );
    expect([code, verdict, records_read]).toEqual([0, 'unproved', 5]);
    expect(unproved).toEqual([{ reason: 'only a part of the log was asked for', shards: 64 }]);
    const { records_read: none } = await verifyJson('--from-time', '2999-01-01T00:00:00Z');
    expect(none).toBe(0);
    const { records_read: all } = await verifyJson('--from-time', '2000-01-01T00:00:00Z');
    expect(all).toBe(fleet.truth.records);
  }, 60_000);

  test.each([
    [['--from-offset', 'x'], /--from-offset must be a whole number/],
    [['--from-time', 'noon'], /--from-time must be a time/],
    [['--for', 'soon'], /--for must be a duration/],
    [['--for', '1s', '--since', 'x'], /exclude each other/],
  ])('%j is wrong usage', async (options, message) => {
    const { code, err } = await verify(...options);
    expect(code).toBe(2);
    expect(err).toMatch(message);
  });
});

describe('since a baseline', () => {
  test('proves what retention no longer lets prove from the start', async () => {
    await fleet.write(40);
    await fleet.settle();
    expect(await verify('--save', baseline)).toMatchObject({ code: 0 });
    await fleet.write(100);
    await fleet.settle();
    const { partitions, topic, brokers } = fleet;
    const below = Array.from({ length: partitions }, (_, partition) => ({ partition, offset: '3' }));
    await withAdmin(brokers, async (kafka) => {
      await kafka.fetchTopicOffsets(topic);
      await kafka.deleteTopicRecords({ topic, partitions: below });
    });
    const { code, verdict, unproved } = await verifyJson();
    expect([code, verdict]).toEqual([1, 'unproved']);
    expect(unproved[0]!.reason).toMatch(/^retention has taken records/);
    expect(await verifyJson('--since', baseline)).toMatchObject({ code: 0, verdict: 'exact', records_read: 100 });
  }, 90_000);

  test('or for a while from now on', async () => {
    const flow = await fleet.flow(40);
    const { code, verdict, records_read } = await verifyJson('--for', '4s');
    await flow.end();
    await fleet.settle();
    expect([code, verdict]).toEqual([0, 'exact']);
    expect(records_read).toBeGreaterThan(0);
  }, 60_000);

  test('a file that is none is refused', async () => {
    expect(await verify('--since', fleet.replicas[0]!.configFile)).toMatchObject({
      code: 1,
      err: expect.stringContaining('cannot be read'),
    });
  });
});

test('another group is told whose ledger it is', async () => {
  const { code, err } = await runCommand(['state', 'verify', '--config', fleet.replicas[0]!.configFile], {
    TRACETALLY_KAFKA_GROUP_ID: 'somebody-else',
  });
  expect(code).toBe(1);
  expect(err).toMatch(/belongs to the group .*redis\.key_prefix/);
}, 30_000);
