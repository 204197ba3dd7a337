/** Topics of a test's own, and a producer whose answers can be believed. */
import { randomBytes } from 'node:crypto';
import { type Admin, CompressionTypes, Kafka, logLevel, type Message, type Producer } from 'kafkajs';
import { registerCodecs } from '../../src/kafka/codecs.ts';
import { waitUntil } from './wait-for.ts';

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd';

const COMPRESSION: Record<Codec, CompressionTypes> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

export function kafkaClient(brokers: readonly string[], clientId = 'test'): Kafka {
  return new Kafka({
    brokers: [...brokers],
    clientId,
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 30 },
  });
}

/** A name that nobody else has. */
export function uniqueName(name: string): string {
  return `${name}-${randomBytes(5).toString('hex')}`;
}

/** Runs `work` with an administrator's connection. */
export async function withAdmin<T>(brokers: readonly string[], work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaClient(brokers).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

export type TopicOptions = {
  readonly partitions?: number;
  readonly replicas?: number;
  readonly config?: Readonly<Record<string, string>>;
  /** Of each partition the ids of its brokers, the preferred leader first; instead of `partitions` and `replicas`. */
  readonly assignment?: readonly (readonly number[])[];
};

/** Makes a topic and resolves when all of its partitions have a leader. */
export async function createTopic(
  brokers: readonly string[],
  topic: string,
  options: TopicOptions = {},
): Promise<void> {
  const { replicas = 1, config = {}, assignment } = options;
  const partitions = assignment?.length ?? options.partitions ?? 1;
  const layout =
    assignment === undefined
      ? { numPartitions: partitions, replicationFactor: replicas }
      : { replicaAssignment: assignment.map((nodes, partition) => ({ partition, replicas: [...nodes] })) };
  await withAdmin(brokers, async (admin) => {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    await admin.createTopics({
      // kafkajs's own waiting gives up where a broker has not heard of the topic yet.
      waitForLeaders: false,
      topics: [{ topic, ...layout, configEntries }],
    });
    const led = async () => {
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0]!.partitions.filter((p) => p.leader >= 0).length === partitions;
    };
    await waitUntil(led, { timeoutMs: 15_000, what: `leaders of ${topic}` });
  });
}

export async function deleteTopic(brokers: readonly string[], topic: string): Promise<void> {
  await withAdmin(brokers, (admin) => admin.deleteTopics({ topics: [topic] }));
}

/** The next offset of each partition, by partition. */
export async function endOffsets(brokers: readonly string[], topic: string): Promise<number[]> {
  const offsets = await withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic));
  const ends: number[] = [];
  for (const { partition, high } of offsets) ends[partition] = Number(high);
  return ends;
}

export type HonestProducer = {
  /**
   * Writes messages to one partition in one batch and answers the offset of the first. Resolves only when the broker
   * has answered for this very partition.
   */
  send(topic: string, partition: number, messages: readonly Message[], codec?: Codec): Promise<number>;
  disconnect(): Promise<void>;
};

/**
 * A producer for ground truths. kafkajs's own resolves without partitions that it has not written when a leader moves
 * during a send, so here each send is for one partition and its answer must name it; else it is sent again. The
 * producer is idempotent: a send whose answer was lost is not written twice by kafkajs's own retries.
 */
export async function connectProducer(brokers: readonly string[]): Promise<HonestProducer> {
  registerCodecs();
  const producer = kafkaClient(brokers).producer({ idempotent: true, maxInFlightRequests: 1 });
  await producer.connect();
  return {
    send: (topic, partition, messages, codec = 'none') => sendAndCheck(producer, topic, partition, messages, codec),
    disconnect: () => producer.disconnect(),
  };
}

async function sendAndCheck(
  producer: Producer,
  topic: string,
  partition: number,
  messages: readonly Message[],
  codec: Codec,
): Promise<number> {
  for (let tries = 0; tries < 20; tries += 1) {
    const answers = await producer.send({
      topic,
      acks: -1,
      compression: COMPRESSION[codec],
      messages: messages.map((message) => ({ ...message, partition })),
    });
    const answer = answers.find((a) => a.topicName === topic && a.partition === partition);
    if (answer?.errorCode === 0 && answer.baseOffset !== undefined) return Number(answer.baseOffset);
  }
  throw new Error(`no broker took the messages for ${topic}/${partition}`);
}
