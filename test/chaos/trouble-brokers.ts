/** What happens to the brokers, and to the lines to them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { electLeaders, PREFERRED } from '../support/services/kafka-requests.ts';
import { withAdmin } from '../support/topics.ts';
import { waitUntil } from '../support/wait-for.ts';
import { brokerPort, NODES, untilInSync } from './ground.ts';
import type { BrokerFault } from './plan.ts';
import type { Line } from './proxy.ts';
import type { Stage, TopicNow } from './stage.ts';
import type { Trouble } from './trouble-replicas.ts';

/** A controlled shutdown moves its leaders first. */
const SHUTDOWN_MS = 20_000;

export const BROKER_TROUBLES: Readonly<Record<BrokerFault, Trouble>> = {
  'broker-killed': async (stage, { dice, holdMs }) => {
    const node = dice % NODES.length;
    await stage.ground.kafka.kill(node, 'SIGKILL');
    await sleep(holdMs);
    await restart(stage, node);
    return `node ${node}`;
  },
  'broker-stopped': async (stage, { dice, holdMs }) => {
    const node = dice % NODES.length;
    const { kafka } = stage.ground;
    await Promise.race([kafka.kill(node, 'SIGTERM'), sleep(SHUTDOWN_MS, undefined, { ref: false })]);
    await kafka.kill(node, 'SIGKILL');
    await sleep(holdMs);
    await restart(stage, node);
    return `node ${node}`;
  },
  'leaders-moved': async (stage, { dice }) => {
    const by = 1 + (dice % 2);
    for (const topic of stage.topics) if (topic !== stage.frail) await moveLeaders(stage, topic, by);
    return `all leaders to the ${by === 1 ? 'next' : 'last'} broker of their partition`;
  },
  'kafka-slow': async (stage, { dice, holdMs }) =>
    onLines(stage, { latencyMs: 50 + (dice % 400), bytesPerSecond: 0 }, holdMs, dice),
  'kafka-thin': async (stage, { dice, holdMs }) =>
    onLines(stage, { latencyMs: 0, bytesPerSecond: 40_000 + (dice % 200_000) }, holdMs, dice),
  'kafka-cut': async (stage, { dice, holdMs }) => {
    const times = 2 + (dice % 3);
    for (let i = 0; i < times; i += 1) {
      for (const proxy of stage.ground.proxies) proxy.cut(0.6);
      await sleep(holdMs / times);
    }
    return `60 % of the connections, ${times} times, in the middle of what they carry`;
  },
  'kafka-half-open': async (stage, { holdMs }) => {
    for (const proxy of stage.ground.proxies) proxy.halfOpen(0.4);
    await sleep(holdMs);
    return '40 % of the connections, for ever';
  },
};

async function restart(stage: Stage, node: number): Promise<void> {
  await stage.ground.kafka.start(node);
  await untilInSync(
    stage.ground,
    stage.topics.map(({ name }) => name),
  );
}

async function onLines(stage: Stage, line: Line, holdMs: number, dice: number): Promise<string> {
  const share = dice % 2 === 0 ? 1 : 0.5;
  for (const proxy of stage.ground.proxies) proxy.trouble(line, share);
  try {
    await sleep(holdMs);
  } finally {
    for (const proxy of stage.ground.proxies) proxy.heal();
  }
  return describeLine(line, share);
}

export function describeLine({ latencyMs, bytesPerSecond }: Line, share: number): string {
  const what = bytesPerSecond > 0 ? `${Math.round(bytesPerSecond / 1000)} kB/s` : `${latencyMs} ms`;
  return `${what} on ${100 * share} % of the connections`;
}

/** Turns the list of replicas of every partition, and lets the first of it lead. */
async function moveLeaders({ ground }: Stage, topic: TopicNow, by: number): Promise<void> {
  const { brokers } = ground.kafka;
  const wanted = await withAdmin(brokers, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic.name] });
    const turned = topics[0]!.partitions.map(({ partitionId, replicas }) => ({
      partition: partitionId,
      replicas: [...replicas.slice(by), ...replicas.slice(0, by)],
    }));
    await admin.alterPartitionReassignments({ topics: [{ topic: topic.name, partitionAssignment: turned }] });
    return turned;
  });
  const partitions = wanted.map(({ partition }) => partition);
  await waitUntil(
    async () => {
      await electLeaders(brokerPort(ground, 0), PREFERRED, topic.name, partitions);
      const { topics } = await withAdmin(brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic.name] }));
      const leaders = new Map(topics[0]!.partitions.map(({ partitionId, leader }) => [partitionId, leader]));
      return wanted.every(({ partition, replicas }) => leaders.get(partition) === replicas[0]);
    },
    { timeoutMs: 60_000, what: `the leaders of ${topic.name} to move`, everyMs: 300 },
  );
}
