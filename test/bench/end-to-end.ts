/**
 * From a real Kafka to a ledger in a real Redis, one process of ours, beside a kafkajs consumer with an empty handler on
 * the same topic. Both sides in turn, medians; MB are bytes of record values after decompression. Ours is measured until
 * the ledger has all of it; the first quarter of a topic is read to warm up, by both.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startKafka } from '../support/services/kafka.ts';
import { FORCED_EACH_SECOND, startRedis } from '../support/services/redis.ts';
import { type Codec, connectProducer, createTopic, type HonestProducer } from '../support/topics.ts';
import { makeCorpus, makeSmallCorpus, readCorpus } from './corpus.ts';
import { type BenchRow, median } from './row.ts';

const PARTITIONS = 6;
const ROUNDS = 3;
const MADE_BYTES = 60_000_000;
const BATCH_BYTES = 900_000;
const run = promisify(execFile);

type Run = { readonly bytes: number; readonly cpuSeconds: number; readonly seconds: number; readonly peakMb: number };

/** `quick`: the uncompressed topic alone. */
export async function rows(options: { readonly corpus?: string; readonly quick?: boolean }): Promise<BenchRow[]> {
  const records = options.corpus === undefined ? makeCorpus(MADE_BYTES, 20_260_821) : readCorpus(options.corpus);
  const small = makeSmallCorpus(MADE_BYTES / 3, 7);
  const kafka = await startKafka();
  const redis = await startRedis({ config: FORCED_EACH_SECOND });
  try {
    const producer = await connectProducer(kafka.brokers);
    const cases: { name: string; records: readonly Buffer[]; codec: Codec; times: number }[] = [
      { name: 'no compression', records, codec: 'none', times: 12 },
      ...(options.quick
        ? []
        : [
            { name: 'records of 1.4 kB', records: small, codec: 'none' as const, times: 36 },
            ...(['gzip', 'snappy', 'lz4', 'zstd'] as const).map((codec) => ({
              name: codec,
              records,
              codec,
              times: 8,
            })),
          ]),
    ];
    const found: BenchRow[] = [];
    for (const { name, records: values, codec, times } of cases) {
      const topic = `bench-${name.replaceAll(/[^a-z0-9]+/g, '-')}`;
      const bytes = await fill(producer, kafka.brokers, topic, values, codec, times);
      const compared = await compare(name, kafka.brokers, topic, bytes, redis.url);
      found.push(...compared);
      if (codec === 'none' && values === records) found.push(...besideCollector(compared[1]!));
    }
    await producer.disconnect();
    return found;
  } finally {
    await redis.stop();
    await kafka.stop();
  }
}

/**
 * CPU seconds for a GB of what the Collector's kafkareceiver with a counting connector takes, as it comes and tuned by an
 * expert: measured once, on 2 cores with the same kind of records, by those who made the corpus.
 */
const COLLECTOR = [
  ['as it comes', 7.7],
  ['tuned by an expert', 5.5],
] as const;

function besideCollector(byCpu: BenchRow): BenchRow[] {
  const ours = 1000 / byCpu.ours;
  return COLLECTOR.map(([how, yardstick]) => ({
    group: 'end-to-end',
    row: `no compression: CPU time of a GB / a Collector ${how} (figure beside the corpus; goal: 1.4)`,
    yardstick,
    ours,
    unit: 'CPU seconds per GB',
    ratio: ours / yardstick,
  }));
}

async function fill(
  producer: HonestProducer,
  brokers: readonly string[],
  topic: string,
  records: readonly Buffer[],
  codec: Codec,
  times: number,
): Promise<number> {
  await createTopic(brokers, topic, { partitions: PARTITIONS });
  let bytes = 0;
  let partition = 0;
  for (let time = 0; time < times; time++) {
    let batch: { value: Buffer }[] = [];
    let batchBytes = 0;
    const send = async (): Promise<void> => {
      if (batch.length > 0) await producer.send(topic, partition++ % PARTITIONS, batch, codec);
      batch = [];
      batchBytes = 0;
    };
    for (const value of records) {
      if (batchBytes + value.length > BATCH_BYTES) await send();
      batch.push({ value });
      batchBytes += value.length;
      bytes += value.length;
    }
    await send();
  }
  return bytes;
}

async function compare(
  name: string,
  brokers: readonly string[],
  topic: string,
  bytes: number,
  redis: string,
): Promise<BenchRow[]> {
  const consume = async (kind: 'ours' | 'kafkajs'): Promise<Run> => {
    const script = join(import.meta.dirname, 'consume.ts');
    const { stdout } = await run(process.execPath, [
      '--no-warnings',
      script,
      kind,
      brokers.join(','),
      topic,
      String(bytes),
      redis,
    ]);
    return JSON.parse(stdout) as Run;
  };
  const theirs: Run[] = [];
  const ours: Run[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    theirs.push(await consume('kafkajs'));
    ours.push(await consume('ours'));
  }
  const row = (what: string, unit: string, of: (run: Run) => number): BenchRow => {
    const yardstick = median(theirs.map(of));
    const mine = median(ours.map(of));
    return { group: 'end-to-end', row: `${name}: ${what}`, yardstick, ours: mine, unit, ratio: mine / yardstick };
  };
  return [
    row('speed / kafkajs with an empty handler', 'MB per second', (r) => r.bytes / 1e6 / r.seconds),
    row('the same by CPU time', 'MB per CPU second', (r) => r.bytes / 1e6 / r.cpuSeconds),
  ];
}
