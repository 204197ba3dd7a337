/** Reads whole topics with kafkajs's own consumer, which shares no code with the service: the witness of what the brokers hold. */
import { kafkaClient, uniqueName, withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';
import { NUMBER_HEADER } from './book.ts';

export type LogRecord = { readonly offset: number; readonly number: number | null; readonly bytes: number };

const TIMEOUT_MS = 60_000;

/** By partition, the records that a reader of committed records sees, in their order. Nobody may write meanwhile. */
export async function readLog(brokers: readonly string[], topic: string): Promise<ReadonlyMap<number, LogRecord[]>> {
  const ends = await waitFor(
    () =>
      withAdmin(brokers, (admin) => admin.fetchTopicOffsets(topic)).then(
        (value) => ({ done: true, value }) as const,
        (error: unknown) => ({ done: false, seen: error }) as const,
      ),
    { timeoutMs: TIMEOUT_MS, what: `the ends of ${topic}`, everyMs: 200 },
  );
  const open = new Map(ends.filter(({ low, high }) => low !== high).map(({ partition, high }) => [partition, +high]));
  // By offset: kafkajs hands a batch out again where a heartbeat failed.
  const records = new Map(ends.map(({ partition }) => [partition, new Map<number, LogRecord>()]));
  const answer = () => new Map([...records].map(([partition, found]) => [partition, [...found.values()]]));
  if (open.size === 0) return answer();
  const consumer = kafkaClient(brokers, 'witness').consumer({ groupId: uniqueName('witness'), maxWaitTimeInMs: 100 });
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${topic} was not read in ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
      const reached = (partition: number, next: number) => {
        if (next >= (open.get(partition) ?? Number.POSITIVE_INFINITY)) open.delete(partition);
        if (open.size > 0) return;
        clearTimeout(timer);
        resolve();
      };
      // A batch of control records alone does not come to `eachBatch`: it is only told that it begins.
      consumer.on(consumer.events.START_BATCH_PROCESS, ({ payload }) => {
        if (payload.batchSize === 0) reached(payload.partition, Number(payload.lastOffset) + 1);
      });
      consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) =>
        reached(payload.partition, Number(payload.lastOffset) + 1),
      );
      consumer
        .run({
          eachBatch: async ({ batch }) => {
            for (const { offset, headers, value } of batch.messages) {
              const number = headers?.[NUMBER_HEADER];
              const found = number === undefined ? null : Number(String(number));
              const record = { offset: +offset, number: found, bytes: value?.length ?? 0 };
              records.get(batch.partition)!.set(record.offset, record);
            }
          },
        })
        .catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
  return answer();
}
