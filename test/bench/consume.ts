/**
 * One consumer in a process of its own, so that its CPU time is its own: `consume.ts ours|kafkajs BROKERS TOPIC BYTES
 * [REDIS]`. Reads a whole topic of BYTES (the sum of its values) and prints one JSON object: seconds of CPU and of the
 * clock from the first record to the last, and the peak of memory. `ours` is the service's own path, from the source to
 * a ledger in Redis; `kafkajs` is a kafkajs consumer with an empty handler.
 */
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import { registerCodecs } from '../../src/kafka/codecs.ts';
import { createKafkaSource } from '../../src/kafka/source.ts';
import { systemClock } from '../../src/ledger/clock.ts';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import { Worker } from '../../src/ledger/worker.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { kafkaClient } from '../support/topics.ts';

const [kind, brokerList, topic, bytesText, redis] = process.argv.slice(2);
const brokers = brokerList!.split(',');
const expected = Number(bytesText);
const PARTITION_BYTES = 4 << 20;

type Mark = { readonly cpuUs: number; readonly ms: number };

const mark = (): Mark => {
  const { user, system } = process.cpuUsage();
  return { cpuUs: user + system, ms: performance.now() };
};

let first: Mark | null = null;
let seen = 0;

const count = (bytes: number): boolean => {
  first ??= mark();
  seen += bytes;
  return seen >= expected;
};

const finish = (): never => {
  const last = mark();
  const cpuSeconds = (last.cpuUs - first!.cpuUs) / 1e6;
  const seconds = (last.ms - first!.ms) / 1e3;
  process.stdout.write(
    `${JSON.stringify({ bytes: seen, cpuSeconds, seconds, peakMb: process.resourceUsage().maxRSS / 1e3 })}\n`,
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

async function readWithOurs(): Promise<void> {
  const quiet = () => {};
  const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const source = createKafkaSource({
    brokers,
    clientId: 'bench',
    groupId: group,
    topics: [topic!],
    maxBytesPerPartition: PARTITION_BYTES,
    logger,
  });
  const ledger = openRedisLedger({ url: redis!, keyPrefix: group });
  await ledger.claim({ clusterId: await source.clusterId(), groupId: group });
  const { dimensions } = parseDimensions(
    [
      ['service.name', 'service_name'],
      ['deployment.environment.name', 'env'],
      ['span.http.route', 'route'],
    ],
    { sharedLabels: 'refuse' },
  );
  let isComplete = false;
  const pipeline = new Pipeline({
    tenants: new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], 'bench'),
    settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 100_000, staleS: 900 }] }),
    maxLabelValueLength: 2048,
    watch: {
      accepted: (bytes) => {
        isComplete = count(bytes);
      },
      regionDiscarded: () => {},
      discarded: (reason) => {
        throw new Error(`a record of the corpus was discarded: ${reason}`);
      },
    },
  });
  const worker = new Worker({
    source,
    ledger,
    topics: [topic!],
    clock: systemClock,
    gather: pipeline.gather,
    tablesFootprint: () => pipeline.footprint,
    flushIntervalMs: 5_000,
    lookIntervalMs: 10_000,
    maxPendingBytes: 256 << 20,
    maxTenantsPerShard: 1_000,
    fromBeginning: true,
    onLoss: 'stop',
    patienceMs: 10_000,
    watch: quiet,
    fatal: (error) => {
      throw error;
    },
  });
  worker.start();
  await source.start(worker.handler);
  while (!isComplete) await new Promise((resolve) => setTimeout(resolve, 20));
  await source.quiesce();
  await worker.drain(30_000);
  finish();
}

await (kind === 'kafkajs' ? readWithKafkajs() : readWithOurs());
