/** Broker away, topic missing, made again, with more partitions, and records that retention took. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Fleet, killReplica, startFleet, untilLine, untilUnready } from '../support/fleet.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import type { Replica } from '../support/services/replica.ts';
import { createTopic, deleteTopic, withAdmin } from '../support/topics.ts';
import { waitUntil } from '../support/wait-for.ts';

let kafka: KafkaCluster;
let fleet: Fleet;

beforeAll(async () => {
  kafka = await startKafka();
  fleet = await startFleet({ name: 'kafka', brokers: kafka.brokers, replicas: 0, createTopic: false });
}, 120_000);

afterAll(async () => {
  await fleet?.stop();
  await kafka?.stop();
}, 60_000);

describe('Kafka', () => {
  test('the broker is away at the start: the replicas wait and say so', async () => {
    await kafka.kill(0, 'SIGKILL');
    try {
      await fleet.add();
      await fleet.add();
      for (const replica of fleet.replicas) {
        expect(await untilUnready(replica, 20_000)).toContain('Kafka');
        await replica.scrape('/live');
        const line = await untilLine(replica, 'start_waits', 20_000);
        expect(line).toMatchObject({ level: 'warn', waiting_for: expect.stringContaining('Kafka') });
      }
    } finally {
      await kafka.start(0);
    }
  }, 90_000);

  test('the topic is missing: they wait for it, and count it from its first record', async () => {
    for (const replica of fleet.replicas) {
      await waitUntil(() => replica.log().includes('waiting for topics that do not exist'), {
        timeoutMs: 20_000,
        what: `${replica.name} to say that the topic is missing`,
      });
      expect(await untilUnready(replica, 1_000)).toContain('consumer group');
    }
    await createTopic(kafka.brokers, fleet.topic, { partitions: fleet.partitions });
    await fleet.write(40);
    await fleet.ready();
    await fleet.settle();
  }, 60_000);

  test('partitions are added: they are counted from their first record', async () => {
    const more = fleet.partitions + 3;
    await withAdmin(kafka.brokers, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: fleet.topic, count: more }] }),
    );
    fleet.partitions = more;
    await fleet.write(70);
    await fleet.settle();
    expect(await fleet.metric('tracetally_assigned_partitions')).toBe(more);
  }, 60_000);

  test('the broker goes away while they consume: they say so at once, and go on with it', async () => {
    await kafka.kill(0, 'SIGKILL');
    try {
      for (const replica of fleet.replicas)
        expect(await untilUnready(replica, 30_000)).toContain('Kafka does not answer');
    } finally {
      await kafka.start(0);
    }
    await fleet.ready();
    await fleet.write(20);
    await fleet.settle();
  }, 120_000);

  test('the topic is made again: the new one is counted from its first record, beside what the old one held', async () => {
    await fleet.settle();
    await deleteTopic(kafka.brokers, fleet.topic);
    fleet.forgetLog();
    fleet.partitions = 4;
    await waitUntil(() => createTopic(kafka.brokers, fleet.topic, { partitions: fleet.partitions }).then(() => true), {
      timeoutMs: 20_000,
      what: 'the topic to be gone',
    });
    await fleet.write(80);
    await fleet.settle();
    await fleet.ready();
    expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
    expect(await fleet.metric('tracetally_gap_records_total')).toBe(0);
  }, 60_000);

  test('the commits of the group expire, or somebody moves them: the ledger knows where to go on', async () => {
    await fleet.settle();
    const meddlings = [
      () => withAdmin(kafka.brokers, (admin) => admin.deleteGroups([fleet.group])),
      () => moveCommits('1'),
    ];
    for (const meddle of meddlings) {
      await Promise.all(fleet.replicas.map(endReplica));
      await fleet.write(20);
      await meddle();
      for (const replica of fleet.replicas) await replica.start();
      await fleet.settle();
    }
    expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
  }, 60_000);

  test('retention takes records that nobody has read: the gap is counted, and it goes on', async () => {
    await fleet.settle();
    await Promise.all(fleet.replicas.map(killReplica));
    const lost = await fleet.writeInVain(50);
    await removeRecords();
    await fleet.write(30);
    for (const replica of fleet.replicas) await replica.start();
    await fleet.settle(40_000);
    const records = lost.reduce((sum, count) => sum + count, 0);
    expect(await fleet.metric('tracetally_gap_records_total')).toBe(records);
    const lines = fleet.lines('gap');
    expect(lines.reduce((sum, line) => sum + Number(line.records), 0)).toBe(records);
    expect(lines[0]).toMatchObject({ level: 'error', topic: fleet.topic });
  }, 60_000);
});

/** By SIGTERM: it leaves its group. */
async function endReplica(replica: Replica): Promise<void> {
  replica.signal('SIGTERM');
  expect(await replica.exit()).toEqual({ code: 0, signal: null });
}

/** As an operator's reset of offsets does. */
async function moveCommits(offset: string): Promise<void> {
  const partitions = Array.from({ length: fleet.partitions }, (_, partition) => ({ partition, offset }));
  await withAdmin(kafka.brokers, (admin) => admin.setOffsets({ groupId: fleet.group, topic: fleet.topic, partitions }));
}

/** As retention does: the log begins at its present end. */
async function removeRecords(): Promise<void> {
  await withAdmin(kafka.brokers, async (admin) => {
    const ends = await admin.fetchTopicOffsets(fleet.topic);
    const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }));
    await admin.deleteTopicRecords({ topic: fleet.topic, partitions });
  });
}
