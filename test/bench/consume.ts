/**
 * One consumer in a process of its own, so that its CPU time is its own: `consume.ts ours|kafkajs BROKERS TOPIC BYTES
 * [REDIS]`. Reads a whole topic of BYTES (the sum of its values) and prints one JSON object: seconds of CPU and of the
 * clock from the end of its first quarter to the last record, the bytes read in them, and the peak of memory. `ours` is the service's own path, from the source to
 * a ledger in Redis; `kafkajs` is a kafkajs consumer with an empty handler.
 */
import { registerCodecs } from '../../src/kafka/codecs.ts';
import { kafkaClient } from '../support/topics.ts';
import { readWithOurs } from './ours.ts';

const [kind, brokerList, topic, bytesText, redis] = process.argv.slice(2);
const brokers = brokerList!.split(',');
const expected = Number(bytesText);
const PARTITION_BYTES = 4 << 20;
/** Not measured, of either side: code is being compiled and series are new, which is a start and not a service. */
const WARM_SHARE = 0.25;

type Mark = { readonly cpuUs: number; readonly ms: number };

const mark = (): Mark => {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system, ms: performance.now() };
};

let first: Mark | null = null;
let warm = 0;
let seen = 0;

const count = (bytes: number): boolean => {
  seen += bytes;
  if (first === null && seen >= expected * WARM_SHARE) {
    first = mark();
    warm = seen;
  }
  return seen >= expected;
};

const finish = (): never => {
  const last = mark();
  const cpuSeconds = (last.cpuUs - first!.cpuUs) / 1e6;
  const seconds = (last.ms - first!.ms) / 1e3;
  process.stdout.write(
    `${JSON.stringify({ bytes: seen - warm, cpuSeconds, seconds, peakMb: process.resourceUsage().maxRSS / 1e3 })}\n`,
  );
  process.exit(0);
};

const group = `bench-${process.pid}-${Date.now()}`;

async function readWithKafkajs(): Promise<void> {
  registerCodecs();
  const consumer = kafkaClient(brokers).consumer({
    groupId: group,
    maxBytesPerPartition: PARTITION_BYTES,
    maxBytes: PARTITION_BYTES,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [topic!], fromBeginning: true });
  await consumer.run({
    eachBatch: async ({ batch }) => {
      let bytes = 0;
      for (const { value } of batch.messages) bytes += value?.length ?? 0;
      if (count(bytes)) finish();
    },
  });
}

async function readOurs(): Promise<void> {
  let isComplete = false;
  const reading = await readWithOurs({
    brokers,
    redis: redis!,
    topic: topic!,
    group,
    attributes: [
      ['service.name', 'service_name'],
      ['deployment.environment.name', 'env'],
      ['span.http.route', 'route'],
    ],
    partitionBytes: PARTITION_BYTES,
    accepted: (bytes) => {
      isComplete = count(bytes);
    },
  });
  while (!isComplete) await new Promise((resolve) => setTimeout(resolve, 20));
  await reading.settle();
  finish();
}

await (kind === 'kafkajs' ? readWithKafkajs() : readOurs());
