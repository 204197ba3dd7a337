/**
 * What a byte costs as things become more: tenants, series, partitions, replicas. From a real Kafka to a ledger in a
 * real Redis, by the processor time of the replicas and of Redis, after everything was seen once. Each load is written
 * while the replicas stand still, so that what they do is reading. Draws docs/growth.svg.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { on, once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startKafka } from '../support/services/kafka.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import { connectProducer, createTopic, type HonestProducer } from '../support/topics.ts';
import { makeSmallCorpus } from './corpus.ts';
import { type Curve, drawCurves } from './curves.ts';
import type { BenchRow } from './row.ts';

/** Enough for every series to be seen once (records are a little smaller), and for each process to be compiled to the end. */
const warmBytes = ({ series, tenants, replicas }: Load): number =>
  Math.max(120e6 * replicas, 1_500 * Math.max(series, tenants));
/** A flush costs something for each tenant and each replica, whatever it carries: this is about what one carries. */
const loadBytes = ({ tenants, replicas }: Load): number => Math.max(200e6, 60e6 * replicas, 16e3 * tenants);
const BATCH_BYTES = 900_000;
const SMALL_BYTES = 15e6;
/** Of Linux, for the times in /proc: USER_HZ. */
const TICKS_PER_S = 100;

/** One point of a curve: how many there are of each. */
type Load = {
  readonly tenants: number;
  readonly series: number;
  readonly partitions: number;
  readonly replicas: number;
};

const USUAL: Load = { tenants: 1, series: 1_000, partitions: 8, replicas: 1 };
const CURVES: Readonly<Record<keyof Load, readonly number[]>> = {
  tenants: [1, 10, 100, 1_000, 10_000],
  series: [1, 100, 10_000, 100_000],
  partitions: [1, 4, 16, 64],
  replicas: [1, 2, 4, 8],
};

export async function rows({ quick = false }: { readonly quick?: boolean }): Promise<BenchRow[]> {
  const kafka = await startKafka();
  const redis = await startRedis();
  const producer = await connectProducer(kafka.brokers);
  try {
    const bench = { brokers: kafka.brokers, redis, producer, records: makeSmallCorpus(SMALL_BYTES, 7) };
    // The first run of all meets a cold broker.
    await measure(bench, 'warm-up', USUAL);
    const curves: Curve[] = [];
    for (const [what, counts] of Object.entries(CURVES)) {
      const points = [];
      for (const count of quick ? [counts[0]!, counts.at(-1)!] : counts) {
        const load = what === 'replicas' ? { ...USUAL, partitions: 16 } : USUAL;
        const cost = await measure(bench, `${what}-${count}`, { ...load, [what]: count });
        points.push({ count, ...cost });
      }
      curves.push({ what, points });
    }
    if (!quick) writeFileSync(join(import.meta.dirname, '../../docs/growth.svg'), drawCurves(curves));
    return curves.map(rowOf);
  } finally {
    await producer.disconnect();
    await redis.stop();
    await kafka.stop();
  }
}

const rowOf = ({ what, points }: Curve): BenchRow => {
  const [first, last] = [points[0]!, points.at(-1)!];
  return {
    group: 'growth',
    row: `${last.count.toLocaleString('en')} ${what} / ${first.count.toLocaleString('en')}: replicas and Redis`,
    yardstick: first.replicas + first.redis,
    ours: last.replicas + last.redis,
    unit: 'CPU seconds per GB',
    ratio: (last.replicas + last.redis) / (first.replicas + first.redis),
  };
};

type Bench = {
  readonly brokers: readonly string[];
  readonly redis: RedisServer;
  readonly producer: HonestProducer;
  readonly records: readonly Buffer[];
};

/** CPU seconds per GB. */
type Cost = { readonly replicas: number; readonly redis: number };

async function measure(bench: Bench, name: string, load: Load): Promise<Cost> {
  const { brokers, redis } = bench;
  const topic = `growth-${name}`;
  await createTopic(brokers, topic, { partitions: load.partitions });
  const writer = new LoadWriter(bench, topic, load);
  const warm = await writer.write(warmBytes(load));
  const args = [brokers.join(','), redis.url, topic, topic, SERIES_ATTRIBUTE];
  const replicas = Array.from({ length: load.replicas }, () =>
    fork(join(import.meta.dirname, 'growth-replica.ts'), args, { execArgv: ['--no-warnings'] }),
  );
  try {
    const seen = new Seen(replicas);
    await seen.reach(warm);
    // A rebalance reads some of it again; by now nobody has anything in hand.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    for (const replica of replicas) replica.kill('SIGSTOP');
    const from = seen.total;
    const bytes = await writer.write(loadBytes(load));
    const before = { replicas: cpuOf(replicas), redis: await redisCpu(redis) };
    for (const replica of replicas) replica.kill('SIGCONT');
    await seen.reach(from + bytes);
    const settled = replicas.map((replica) => saysSettled(replica));
    for (const replica of replicas) replica.send('end');
    await Promise.all(settled);
    const after = { replicas: cpuOf(replicas), redis: await redisCpu(redis) };
    return {
      replicas: (after.replicas - before.replicas) / (bytes / 1e9),
      redis: (after.redis - before.redis) / (bytes / 1e9),
    };
  } finally {
    for (const replica of replicas) if (replica.exitCode === null) replica.kill('SIGKILL');
  }
}

const saysSettled = async (replica: ChildProcess): Promise<void> => {
  for await (const [message] of on(replica, 'message')) if (message === 'settled') return;
};

/** Bytes that the replicas have gathered, in all. */
class Seen {
  readonly #byReplica: number[];
  #wake: () => void = () => {};
  #failed: Error | null = null;

  constructor(replicas: readonly ChildProcess[]) {
    this.#byReplica = replicas.map(() => 0);
    replicas.forEach((replica, i) => {
      replica.on('message', (message) => {
        if (typeof message === 'number') this.#byReplica[i] = message;
        this.#wake();
      });
      void once(replica, 'exit').then(([code]) => {
        if (code !== null) this.#failed = new Error(`a replica of the bench ended with code ${String(code)}`);
        this.#wake();
      });
    });
  }

  get total(): number {
    return this.#byReplica.reduce((sum, bytes) => sum + bytes, 0);
  }

  async reach(bytes: number): Promise<void> {
    while (this.total < bytes) {
      if (this.#failed !== null) throw this.#failed;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const SERIES_ATTRIBUTE = 'service.instance.id';
const DIGITS = 32;

/** Writes the records again and again, each of the next tenant and the next series. */
class LoadWriter {
  readonly #bench: Bench;
  readonly #topic: string;
  readonly #load: Load;
  readonly #idAt: readonly number[];
  #record = 0;
  #partition = 0;

  constructor(bench: Bench, topic: string, load: Load) {
    this.#bench = bench;
    this.#topic = topic;
    this.#load = load;
    this.#idAt = bench.records.map((record) => placeOfId(record));
  }

  async write(least: number): Promise<number> {
    const { producer, records } = this.#bench;
    let bytes = 0;
    while (bytes < least) {
      const batch = [];
      for (let inBatch = 0; inBatch < BATCH_BYTES; ) {
        const which = this.#record % records.length;
        const value = Buffer.from(records[which]!);
        value.write(String(this.#record % this.#load.series).padStart(DIGITS, '0'), this.#idAt[which]!, 'latin1');
        const tenant = `tenant-${this.#record % this.#load.tenants}`;
        batch.push({ value, headers: { 'X-Scope-OrgID': tenant } });
        inBatch += value.length;
        this.#record++;
      }
      await producer.send(this.#topic, this.#partition++ % this.#load.partitions, batch);
      bytes += batch.reduce((sum, { value }) => sum + value.length, 0);
    }
    return bytes;
  }
}

/** Where the value of SERIES_ATTRIBUTE lies, 32 digits: in what a Collector writes it stands before its key. */
const placeOfId = (record: Buffer): number => {
  const key = record.indexOf(SERIES_ATTRIBUTE);
  const at = key - 2 - DIGITS;
  if (key < 0 || !/^[0-9a-f]{32}$/.test(record.toString('latin1', at, at + DIGITS)))
    throw new Error('a record of the corpus has its instance id elsewhere');
  return at;
};

/** utime and stime of proc_pid_stat(5), behind the name in brackets. */
const cpuOf = (replicas: readonly ChildProcess[]): number =>
  replicas.reduce((sum, { pid }) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
  }, 0);

const redisCpu = async ({ url }: RedisServer): Promise<number> => {
  const { Redis } = await import('ioredis');
  const client = new Redis(url);
  try {
    const info = await client.info('cpu');
    const of = (name: string) => Number(new RegExp(`^${name}:([0-9.]+)`, 'm').exec(info)?.[1]);
    return of('used_cpu_sys_main_thread') + of('used_cpu_user_main_thread');
  } finally {
    client.disconnect();
  }
};
