/** What several seeds share: three brokers, with a proxy before each, and what is known of their topics. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { seeded } from '../support/random.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';
import { FaultyProxy } from './proxy.ts';

export type Ground = {
  readonly kafka: KafkaCluster;
  /** The brokers as the replicas reach them. */
  readonly proxied: readonly string[];
  readonly proxies: readonly FaultyProxy[];
  stop(): Promise<void>;
};

export const NODES = [0, 1, 2] as const;

export async function startGround(): Promise<Ground> {
  const kafka = await startKafka({
    nodes: 3,
    detour: true,
    // A log that is to be compacted is, at once.
    config: { 'log.cleaner.backoff.ms': '500', 'log.initial.task.delay.ms': '500' },
  });
  const proxies: FaultyProxy[] = [];
  const stop = async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await kafka.stop();
  };
  try {
    const random = seeded(4_711);
    for (const { port, advertisedPort } of kafka.detours)
      proxies.push(await FaultyProxy.listen(advertisedPort, port, random));
    const proxied = kafka.detours.map(({ advertisedPort }) => `127.0.0.1:${advertisedPort}`);
    return { kafka, proxied, proxies, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export function brokerPort(ground: Ground, node: number): number {
  return Number(ground.kafka.brokers[node]!.split(':')[1]);
}

/** The id that the brokers gave a topic, in hex, as their own files say; another one than `before`. */
export function topicId(kafka: KafkaCluster, topic: string, before = ''): Promise<string> {
  return waitFor(
    () => {
      for (const node of NODES) {
        const file = join(kafka.dir, `node-${node}/data/${topic}-0/partition.metadata`);
        const text = existsSync(file) ? /topic_id: (\S+)/.exec(readFileSync(file, 'utf8'))?.[1] : undefined;
        const id = Buffer.from(text ?? '', 'base64url').toString('hex');
        if (id.length === 32 && id !== before) return { done: true, value: id };
      }
      return { done: false, seen: 'no partition.metadata' };
    },
    { timeoutMs: 30_000, what: `the id of ${topic}` },
  );
}

/** Every partition has a leader and all of its replicas in sync. */
export function untilInSync(ground: Ground, topics: readonly string[], timeoutMs = 60_000): Promise<void> {
  return waitFor(
    async () => {
      const behind = await withAdmin(ground.kafka.brokers, async (admin) => {
        const metadata = await admin.fetchTopicMetadata({ topics: [...topics] });
        return metadata.topics.flatMap(({ name, partitions }) =>
          partitions
            .filter(({ leader, isr, replicas }) => leader < 0 || isr.length < replicas.length)
            .map(({ partitionId }) => `${name}/${partitionId}`),
        );
      }).catch((error: unknown) => [String(error)]);
      return behind.length === 0 ? { done: true, value: undefined } : { done: false, seen: behind };
    },
    { timeoutMs, what: 'all replicas of the topics to be in sync', everyMs: 250 },
  );
}
