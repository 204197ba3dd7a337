/** What happens to the traffic, to the topics and to the group's commits. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { readTotals } from '../support/fleet-ledger.ts';
import { electLeaders, PREFERRED, UNCLEAN } from '../support/services/kafka-requests.ts';
import { createTopic, deleteTopic, endOffsets, withAdmin } from '../support/topics.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';
import { brokerPort, NODES, topicId, untilInSync } from './ground.ts';
import type { LoneFault, TrafficFault } from './plan.ts';
import { judgePrometheus } from './prometheus-truth.ts';
import { settle } from './settle.ts';
import { fieldsOf, type Stage, type TopicNow } from './stage.ts';
import { endReplica, type Trouble } from './trouble-replicas.ts';
import { BOMB_TENANT } from './watch.ts';

export const TRAFFIC_TROUBLES: Readonly<Record<TrafficFault, Trouble>> = {
  'aborted-transactions': async ({ writer }) => {
    const { committed, aborted } = await writer.transactions(24);
    return `${committed} transactions committed, ${aborted} aborted`;
  },
  'cardinality-bomb': async ({ writer }) => {
    await writer.bomb(BOMB_TENANT, 20, 1_500);
    return '30,000 new series of one tenant';
  },
  'partitions-added': async ({ ground, topics, writer }, { dice }) => {
    const main = topics[0]!;
    const count = main.partitions + 1 + (dice % 3);
    await withAdmin(ground.kafka.brokers, (admin) =>
      admin.createPartitions({ topicPartitions: [{ topic: main.name, count }] }),
    );
    await untilInSync(ground, [main.name]);
    const said = `${main.partitions} -> ${count}`;
    main.partitions = count;
    await writer.renew();
    return said;
  },
};

/** The traffic has ended before these, and all is settled. */
export const LONE_TROUBLES: Readonly<Record<LoneFault, Trouble>> = {
  'commits-moved': async (stage, { dice }) => {
    const { replicas, writer, ground, group, topics } = stage;
    await Promise.all(replicas.map(endReplica));
    await writer.write(20);
    const said = await meddle(stage, dice % 4);
    for (const replica of replicas) await replica.start();
    await untilInSync(
      ground,
      topics.map(({ name }) => name),
    );
    return `${said} of ${group}`;
  },
  'topic-made-again': async (stage, { dice }) => {
    const { ground, topics, book, writer } = stage;
    const main = topics[0]!;
    const { brokers } = ground.kafka;
    // By chance there are records that nobody will ever read.
    const unread = dice % 2 === 0 ? 60 : 0;
    await writer.write(unread, [{ topic: main.name, fields: fieldsOf(main), weight: 1 }]);
    await deleteTopic(brokers, main.name);
    book.bury(fieldsOf(main));
    await writer.renew();
    const { id: before } = main;
    await waitUntil(
      () => createTopic(brokers, main.name, { partitions: main.partitions, replicas: NODES.length }).then(() => true),
      { timeoutMs: 60_000, what: 'the topic to be gone', everyMs: 200 },
    );
    main.id = await topicId(ground.kafka, main.name, before);
    await writer.write(20);
    return unread === 0 ? 'all of it was counted' : 'with records that were hardly read';
  },
  'ledger-lost': async (stage) => loseLedger(stage),
  'unclean-election': async (stage) => uncleanElection(stage, stage.frail!),
};

/**
 * Every server is emptied, after Prometheus has seen all that was counted. By `ledger.on_loss: continue` it goes on at
 * the group's commits: what was counted is not counted again, and counters begin again at zero.
 */
async function loseLedger(stage: Stage): Promise<string> {
  const { prometheus, redis, book, watch } = stage;
  const totals = await readTotals(stage.ledger);
  const { problems } = await judgePrometheus(prometheus, totals, stage.judging);
  if (problems.length > 0) throw new Error(`before the loss Prometheus did not believe the truth: ${problems[0]}`);
  await watch.end();
  for (const { port } of redis.servers) {
    const admin = new Redis(port);
    await admin.flushall().catch((error: unknown) => {
      if (!String(error).includes('READONLY')) throw error;
    });
    admin.disconnect();
  }
  stage.judging.excuses.lost.push(...totals);
  book.forget();
  await waitUntil(async () => (await stage.metric('tracetally_ledger_losses_total')) > 0, {
    timeoutMs: 60_000,
    what: 'the loss to be noticed',
  });
  await stage.writer.write(60);
  await settle(stage);
  watch.begin();
  return `${totals.length} accounts, in ${redis.servers.length} servers`;
}

/** As an operator does: reset to the beginning, to the end, to somewhere, or the group deleted. */
async function meddle({ ground, group, topics }: Stage, way: number): Promise<string> {
  return withAdmin(ground.kafka.brokers, async (admin) => {
    if (way === 0) {
      await admin.deleteGroups([group]);
      return 'the commits deleted';
    }
    for (const { name } of topics) {
      const ends = await admin.fetchTopicOffsets(name);
      const partitions = ends.map(({ partition, low, high }) => ({
        partition,
        offset: way === 1 ? low : way === 2 ? high : String(Math.floor(+low + (+high - +low) / 2)),
      }));
      await admin.setOffsets({ groupId: group, topic: name, partitions });
    }
    return `the commits set to the ${['', 'beginning', 'end', 'middle'][way]}`;
  });
}

/**
 * The follower stands still while records are written and counted; then the leader dies, and the follower leads a log
 * that ends earlier. What was counted stays counted; the log goes on at its new end.
 */
async function uncleanElection(stage: Stage, topic: TopicNow): Promise<string> {
  const { ground, book, writer } = stage;
  const { kafka } = ground;
  const [leader, follower, other] = NODES;
  const fields = fieldsOf(topic);
  const partitions = fields.map((_, partition) => partition);
  const leads = async (node: number) => {
    const { topics } = await withAdmin(kafka.brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic.name] }));
    return topics[0]!.partitions.every((p) => p.leader === node + 1);
  };
  await waitUntil(
    async () => {
      await electLeaders(brokerPort(ground, leader), PREFERRED, topic.name, partitions);
      return leads(leader);
    },
    { timeoutMs: 60_000, what: 'the preferred leaders', everyMs: 300 },
  );
  await kafka.kill(follower, 'SIGKILL');
  await untilAlone(stage, topic);
  await writer.renew();
  await writer.write(30, [{ topic: topic.name, fields, weight: 1 }]);
  await settle(stage);
  const before = await endOffsets(kafka.brokers, topic.name);
  const told = await stage.metric('tracetally_log_truncated_records_total');
  await stage.watch.end();
  await writer.renew();
  await kafka.kill(leader, 'SIGKILL');
  await kafka.start(follower);
  await waitUntil(
    async () => {
      if (await leads(follower)) return true;
      await electLeaders(brokerPort(ground, other), UNCLEAN, topic.name, partitions);
      return leads(follower);
    },
    { timeoutMs: 60_000, what: 'the follower to lead', everyMs: 500 },
  );
  await kafka.start(leader);
  await untilInSync(
    ground,
    stage.topics.map(({ name }) => name),
  );
  const after = await endOffsets(kafka.brokers, topic.name);
  const lost = fields.reduce((sum, field, p) => sum + book.truncate(field, after[p]!), 0);
  if (lost !== before.reduce((sum, end, p) => sum + end - after[p]!, 0))
    throw new Error(`the brokers lost other records than those that were written last: ${before} -> ${after}`);
  if (lost === 0) throw new Error('the election was clean: the brokers lost nothing');
  // Whatever was written before the replicas have noticed would go unseen where it lies below their markers.
  await waitFor(
    async () => {
      const now = (await stage.metric('tracetally_log_truncated_records_total')) - told;
      return now >= lost ? { done: true, value: undefined } : { done: false, seen: `${now} of ${lost} records` };
    },
    { timeoutMs: 90_000, what: 'the replicas to see that the log is shorter', everyMs: 300 },
  );
  stage.watch.begin();
  return `${lost} records that were counted are lost to the log`;
}

async function untilAlone(stage: Stage, topic: TopicNow): Promise<void> {
  await waitUntil(
    async () => {
      const { brokers } = stage.ground.kafka;
      const { topics } = await withAdmin(brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic.name] }));
      return topics[0]!.partitions.every(({ isr, leader }) => leader === 1 && isr.length === 1);
    },
    { timeoutMs: 60_000, what: 'the follower to fall out', everyMs: 300 },
  );
  await sleep(200);
}
