/** A topic that was compacted before anyone has read it: its offsets have holes, and what fell into them is nobody's. */
import { plainRecord } from '../support/fleet-records.ts';
import { connectProducer, withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Book } from './book.ts';
import type { Ground } from './ground.ts';
import { readLog } from './log-reader.ts';
import type { TopicNow } from './stage.ts';

const KEYS = 10;
const ROUNDS = 12;
/** Kafka's number for the configuration of a topic. */
const TOPIC_CONFIG = 2;

/**
 * Writes records with few keys, waits until the brokers have thrown some away, and ends the compaction: what is left
 * is what will be counted, for the log is read only now.
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
    // The segment that is written to is not compacted: a later record begins another one.
    const held = await waitFor(
      async () => {
        await write(ROUNDS, 1);
        const log = await readLog(brokers, topic.name);
        const count = [...log.values()].reduce((sum, records) => sum + records.length, 0);
        return count < written / 2 ? { done: true, value: count } : { done: false, seen: `${count} of ${written}` };
      },
      { timeoutMs: 60_000, what: `${topic.name} to be compacted`, everyMs: 500 },
    );
    await keepEverything(brokers, topic.name);
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
  await withAdmin(brokers, async (admin) => {
    const configEntries = [
      { name: 'cleanup.policy', value: 'delete' },
      { name: 'segment.ms', value: '604800000' },
    ];
    await admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: TOPIC_CONFIG, name: topic, configEntries }],
    });
  });
  let before = -1;
  await waitFor(
    async () => {
      const log = await readLog(brokers, topic);
      const count = [...log.values()].reduce((sum, records) => sum + records.length, 0);
      const isSame = count === before;
      before = count;
      return isSame ? { done: true, value: undefined } : { done: false, seen: count };
    },
    { timeoutMs: 30_000, what: `${topic} to stay as it is`, everyMs: 1_500 },
  );
}
