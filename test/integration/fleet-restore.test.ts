/** Redis is put back to an earlier state. What is missing is read again from Kafka. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Fleet, killReplica, startFleet } from '../support/fleet.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { waitUntil } from '../support/wait-for.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({ name: 'restore', brokers: sharedKafka() });
}, 120_000);

afterAll(async () => {
  await fleet?.stop();
}, 60_000);

async function putBack(snapshot: string): Promise<void> {
  await fleet.redis.kill('SIGKILL');
  await fleet.redis.restore(snapshot);
  await fleet.redis.start();
}

async function killAll(): Promise<void> {
  await Promise.all(fleet.replicas.map(killReplica));
}

async function startAll(): Promise<void> {
  for (const replica of fleet.replicas) await replica.start();
  await fleet.ready();
}

async function expectCountedAndLogged(): Promise<void> {
  expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBeGreaterThan(0);
  expect(await fleet.metric('tracetally_ledger_recounted_records_total')).toBeGreaterThan(0);
  expect(await fleet.metric('tracetally_ledger_sections_replayed_total')).toBeGreaterThan(0);
  expect(fleet.lines('ledger_lost_writes').length).toBeGreaterThan(0);
  expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
  expect(await fleet.metric('tracetally_gap_records_total')).toBe(0);
}

describe('Redis is put back', () => {
  test('to before the first record, with everything dead, without new traffic', async () => {
    const before = await fleet.redis.snapshot();
    await fleet.write(150);
    await fleet.settle();
    await killAll();
    await putBack(before);
    await startAll();
    await fleet.settle();
    await expectCountedAndLogged();
  }, 90_000);

  test('by much of the traffic, with everything dead, with new traffic', async () => {
    const before = await fleet.redis.snapshot();
    await fleet.write(150);
    await fleet.settle();
    await killAll();
    await putBack(before);
    await fleet.write(60);
    await startAll();
    await fleet.settle();
    await expectCountedAndLogged();
  }, 90_000);

  test('under a living fleet, in the middle of the traffic', async () => {
    const lost = await fleet.metric('tracetally_ledger_lost_writes_total');
    const flow = await fleet.flow();
    const before = await fleet.redis.snapshot();
    const commits = await fleet.metric('tracetally_ledger_commits_total');
    await waitUntil(async () => (await fleet.metric('tracetally_ledger_commits_total')) > commits + 100, {
      timeoutMs: 20_000,
      what: 'commits that will be lost',
    });
    await putBack(before);
    await fleet.ready();
    await flow.end();
    await fleet.settle();
    expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBeGreaterThan(lost);
  }, 90_000);

  test('under a living fleet that has nothing to do', async () => {
    const lost = await fleet.metric('tracetally_ledger_lost_writes_total');
    const before = await fleet.redis.snapshot();
    await fleet.write(60);
    await fleet.settle();
    await putBack(before);
    await fleet.settle(40_000);
    expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBeGreaterThan(lost);
  }, 90_000);
});
