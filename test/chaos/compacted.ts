/** A topic that was compacted before anyone has read it: its offsets have holes, and what fell into them is nobody's. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { plainRecord } from '../support/fleet-records.ts';
import { connectProducer, withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Book } from './book.ts';
import { type Ground, NODES } from './ground.ts';
import { readLog } from './log-reader.ts';
import type { TopicNow } from './stage.ts';

const KEYS = 10;
const ROUNDS = 12;
/** Kafka's number for the configuration of a topic. */
const TOPIC_CONFIG = 2;
export const COMPACTING = { 'cleanup.policy': 'compact', 'min.cleanable.dirty.ratio': '0.01', 'segment.ms': '500' };
const KEEPING = { 'cleanup.policy': 'delete', 'segment.ms': '604800000' };

/**
 * Writes records with few keys, waits until the brokers have thrown some away, and ends the compaction: what is left
 * is what will be counted, for the log is read only now. Each broker compacts by itself, and each may lead later, so
 * they are let go on until all of them have thrown away the same.
 */
export async function prepareCompacted(ground: Ground, topic: TopicNow, book: Book): Promise<string> {
  const { brokers } = ground.kafka;
  const written = KEYS * ROUNDS * topic.partitions;
  const producer = await connectProducer(brokers);
  const write = async (round: number, keys: number) => {
    for (let partition = 0; partition < topic.partitions; partition += 1) {
      const messages = Array.from({ length: keys }, (_, key) => {
        const record = plainRecord('compacted', `/key-${key}`, 1 + (round % 5));
        return { key: `key-${key}`, value: record.value, headers: book.number(record).headers };
      });
      await producer.send(topic.name, partition, messages);
    }
  };
  try {
    for (let round = 0; round < ROUNDS; round += 1) await write(round, KEYS);
    const held = await waitFor(
      async () => {
        // The segment that is written to is not compacted: a later record begins another one.
        await write(ROUNDS, 1);
        const count = await countRecords(brokers, topic.name);
        if (count >= written / 2) return { done: false, seen: `${count} of ${written}` };
        await keepEverything(brokers, topic.name);
        const sizes = NODES.map((node) => bytesHeld(ground, node, topic));
        if (new Set(sizes).size === 1) return { done: true, value: count };
        await configure(brokers, topic.name, COMPACTING);
        return { done: false, seen: `brokers that hold ${sizes.join(' and ')}` };
      },
      { timeoutMs: 120_000, what: `${topic.name} to be compacted`, everyMs: 500 },
    );
    const log = await readLog(brokers, topic.name);
    for (const [partition, records] of log)
      for (const { offset, number } of records) book.place(`${topic.id}/${partition}`, offset, number!);
    book.leaveOutDoubts();
    return `compacted topic: about ${written} records written, ${held} of them left to be read`;
  } finally {
    await producer.disconnect();
  }
}

/** And lets the compaction that may be under way end. */
async function keepEverything(brokers: readonly string[], topic: string): Promise<void> {
  await configure(brokers, topic, KEEPING);
  let before = -1;
  await waitFor(
    async () => {
      const count = await countRecords(brokers, topic);
      const isSame = count === before;
      before = count;
      return isSame ? { done: true, value: undefined } : { done: false, seen: count };
    },
    { timeoutMs: 30_000, what: `${topic} to stay as it is`, everyMs: 1_500 },
  );
}

async function countRecords(brokers: readonly string[], topic: string): Promise<number> {
  const log = await readLog(brokers, topic);
  return [...log.values()].reduce((sum, records) => sum + records.length, 0);
}

function configure(
  brokers: readonly string[],
  topic: string,
  entries: Readonly<Record<string, string>>,
): Promise<unknown> {
  const configEntries = Object.entries(entries).map(([name, value]) => ({ name, value }));
  return withAdmin(brokers, (admin) =>
    admin.alterConfigs({ validateOnly: false, resources: [{ type: TOPIC_CONFIG, name: topic, configEntries }] }),
  );
}

/** The size of a broker's segments in each partition. */
function bytesHeld({ kafka }: Ground, node: number, topic: TopicNow): string {
  const partitions = Array.from({ length: topic.partitions }, (_, partition) => {
    const directory = join(kafka.dir, `node-${node}/data/${topic.name}-${partition}`);
    const segments = readdirSync(directory).filter((name) => name.endsWith('.log'));
    return segments.reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
  });
  return partitions.join('+');
}
