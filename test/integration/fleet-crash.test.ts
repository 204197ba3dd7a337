/** A process dies or sleeps in the middle of the traffic: a replica, Redis, the broker. Nothing is lost or counted twice. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Fleet, killReplica, startFleet } from '../support/fleet.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { waitUntil } from '../support/wait-for.ts';

let kafka: KafkaCluster;
let fleet: Fleet;

beforeAll(async () => {
  kafka = await startKafka();
  fleet = await startFleet({ name: 'crash', brokers: kafka.brokers, replicas: 3, partitions: 6 });
}, 120_000);

afterAll(async () => {
  await fleet?.stop();
  await kafka?.stop();
}, 60_000);

/** Until the ledger has taken so many bytes more. */
async function untilCounted(bytes: number): Promise<void> {
  const before = await fleet.metric('tracetally_bytes_consumed_total');
  await waitUntil(async () => (await fleet.metric('tracetally_bytes_consumed_total')) - before >= bytes, {
    timeoutMs: 30_000,
    what: `${bytes} more bytes gathered`,
  });
}

describe('in the middle of the traffic', () => {
  test('a replica is killed by SIGKILL and started again', async () => {
    const flow = await fleet.flow();
    await untilCounted(1_000_000);
    const victim = fleet.replicas[1]!;
    await killReplica(victim);
    await untilCounted(1_000_000);
    await victim.start();
    await victim.waitReady(30_000);
    await flow.end();
    await fleet.settle();
  }, 90_000);

  test('a replica sleeps past its session, and wakes as a zombie', async () => {
    const zombie = fleet.replicas[2]!;
    const flow = await fleet.flow();
    await untilCounted(500_000);
    zombie.signal('SIGSTOP');
    try {
      await waitUntil(() => isHeldByOthers(zombie.pid), {
        timeoutMs: 30_000,
        what: 'the others to hold its partitions',
        everyMs: 200,
      });
    } finally {
      zombie.signal('SIGCONT');
    }
    await zombie.waitReady(30_000);
    await flow.end();
    await fleet.settle();
    expect(zombie.running()).toBe(true);
  }, 90_000);

  test('Redis is killed by SIGKILL and comes back with its append-only file', async () => {
    const flow = await fleet.flow();
    await untilCounted(500_000);
    await fleet.redis.kill('SIGKILL');
    await waitUntil(async () => (await fleet.metric('tracetally_ledger_up')) === 0, {
      timeoutMs: 10_000,
      what: 'every replica to notice',
    });
    await untilCounted(200_000);
    await fleet.redis.start();
    await fleet.ready();
    await flow.end();
    await fleet.settle();
  }, 90_000);

  test('the broker is killed and comes back', async () => {
    const flow = await fleet.flow();
    await untilCounted(500_000);
    await kafka.kill(0, 'SIGKILL');
    await kafka.start(0);
    await untilCounted(500_000);
    await fleet.ready();
    await flow.end();
    await fleet.settle(40_000);
  }, 120_000);
});

/** The other two replicas hold all partitions between them. */
async function isHeldByOthers(pid: number): Promise<boolean> {
  const others = fleet.replicas.filter((replica) => replica.pid !== pid);
  const held = await Promise.all(others.map((replica) => replica.scrape('/metrics')));
  const count = (text: string) => Number(/^tracetally_assigned_partitions (\d+)$/m.exec(text)?.[1] ?? 0);
  return held.reduce((sum, text) => sum + count(text), 0) === fleet.partitions;
}
