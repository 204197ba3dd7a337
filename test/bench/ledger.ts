/**
 * The ledger in a real Redis: what a commit costs it, by its own CPU time, beside the same updates as plain pipelined
 * HINCRBYs (two measures each), and what a series takes of its memory.
 */
import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import type { Account, Entry, MarkerField, Section } from '../../src/ledger/port.ts';
import { SERIES_ID_BYTES, SHARDS } from '../../src/ledger/port.ts';
import { openRedisLedger, type RedisLedger } from '../../src/ledger/redis-ledger.ts';
import { FORCED_EACH_SECOND, type RedisServer, startRedis } from '../support/services/redis.ts';
import { type BenchRow, median } from './row.ts';

const LIVE = 100_000;
const ROUNDS = 5;
/** Updates in a round, of each side. */
const UPDATES = 50_000;
const PARTITIONS = 8;
const FLUSH_S = 5;
const REPLICAS = 10;
const ACCOUNT: Account = { tenant: 'bench', tracker: 'cost-attribution', measures: 2, limit: 2_000_000, staleS: 900 };
const SHARD = 0;
const CALLS = [
  { size: 500, partitions: 1, goalMs: 5 },
  { size: 10_000, partitions: 1, goalMs: 60 },
  { size: 1_600, partitions: 6, goalMs: 60 },
] as const;

export async function rows({ quick = false }: { readonly quick?: boolean }): Promise<BenchRow[]> {
  const server = await startRedis({ config: FORCED_EACH_SECOND });
  const redis = new Redis(server.url);
  try {
    return [
      ...(await commits(server, redis)),
      await emptyFlush(server, redis),
      ...(await memory(server, redis, quick ? [100, 10_000] : [100, 10_000, 1_000_000])),
    ];
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

/** A ledger with series of one account, and the position of its one partition. */
class Filled {
  readonly ledger: RedisLedger;
  readonly prefix: string;
  readonly #ids: Buffer;
  readonly #markers = new Array<number>(PARTITIONS).fill(0);
  #next = 0;

  private constructor(ledger: RedisLedger, prefix: string, series: number) {
    this.ledger = ledger;
    this.prefix = prefix;
    this.#ids = Buffer.concat(Array.from({ length: series }, (_, i) => idOf(i)));
  }

  static async open(server: RedisServer, prefix: string, series: number): Promise<Filled> {
    const ledger = openRedisLedger({ url: server.url, keyPrefix: prefix });
    await ledger.claim({ clusterId: 'bench', groupId: 'bench' });
    await ledger.setMarkers(
      SHARD,
      Array.from({ length: PARTITIONS }, (_, partition) => [fieldOf(partition), 0] as const),
      'first',
    );
    const filled = new Filled(ledger, prefix, series);
    for (let at = 0; at < series; at += 1000) await filled.commit(Math.min(1000, series - at), { withKeys: true });
    return filled;
  }

  /** One call with the next `count` series in turn, the same in the sections of so many partitions. */
  async commit(count: number, { withKeys = false, partitions = 1 } = {}): Promise<void> {
    const first = this.#next;
    const total = this.#ids.length / SERIES_ID_BYTES;
    if (first + count > total) this.#next = 0;
    const at = this.#next;
    this.#next = (at + count) % total;
    const entry: Entry = {
      account: 0,
      ids: this.#ids.subarray(at * SERIES_ID_BYTES, (at + count) * SERIES_ID_BYTES),
      values: Float64Array.from({ length: count * 2 }, (_, i) => (i % 2 === 0 ? 877 : 1)),
      keys: Array.from({ length: count }, (_, i) => (withKeys ? keyOf(at + i) : null)),
      overflow: null,
    };
    const sections = Array.from({ length: partitions }, (_, partition): Section => {
      const from = this.#markers[partition]!;
      this.#markers[partition] = from + 1;
      return { field: fieldOf(partition), from, to: from + 1, replay: false, entries: [entry] };
    });
    const reply = await this.ledger.commit({ shard: SHARD, maxTenants: 100, accounts: [ACCOUNT], sections });
    if (reply.kind !== 'answered' || reply.sections.some(({ kind }) => kind !== 'applied'))
      throw new Error(`a commit of the bench was not applied: ${JSON.stringify(reply)}`);
  }
}

async function commits(server: RedisServer, redis: Redis): Promise<BenchRow[]> {
  const filled = await Filled.open(server, 'commits', LIVE);
  const ids = Array.from({ length: LIVE }, (_, i) => idOf(i));
  let next = 0;
  const plain = async (count: number): Promise<void> => {
    const pipeline = redis.pipeline();
    for (let i = 0; i < count; i++) {
      const id = ids[next++ % LIVE]!;
      pipeline.hincrby('plain:bytes', id, 877).hincrby('plain:spans', id, 1);
    }
    await pipeline.exec();
  };
  for (let at = 0; at < LIVE; at += 1000) await plain(1000);
  const found: BenchRow[] = [];
  for (const { size, partitions, goalMs } of CALLS) {
    const speeds: [number[], number[]] = [[], []];
    const blocks: number[] = [];
    const updates = size * partitions;
    for (let round = 0; round < ROUNDS; round++) {
      speeds[0].push(await updatesPerSecond(redis, updates, () => plain(updates)));
      await redis.config('SET', 'slowlog-log-slower-than', '0');
      await redis.slowlog('RESET');
      speeds[1].push(await updatesPerSecond(redis, updates, () => filled.commit(size, { partitions })));
      blocks.push(await longestScriptMs(redis));
      await redis.config('SET', 'slowlog-log-slower-than', '-1');
    }
    const [yardstick, ours] = [median(speeds[0]), median(speeds[1])];
    const name = `${size.toLocaleString('en')}${partitions > 1 ? ` in the sections of ${partitions} partitions each` : ''}`;
    found.push(
      row(`commits of ${name} at ${LIVE.toLocaleString('en')} live series / pipelined HINCRBY`, {
        unit: 'updates per second of Redis CPU',
        yardstick,
        ours,
      }),
      row(`a commit of ${name} blocks Redis for (goal: ${goalMs})`, {
        unit: 'ms',
        yardstick: goalMs,
        ours: median(blocks),
      }),
    );
  }
  await filled.ledger.close();
  return found;
}

const row = (name: string, figures: Pick<BenchRow, 'unit' | 'yardstick' | 'ours'>): BenchRow => ({
  group: 'ledger',
  row: name,
  ...figures,
  ratio: figures.ours / figures.yardstick,
});

async function updatesPerSecond(redis: Redis, size: number, call: () => Promise<void>): Promise<number> {
  const before = await cpuSeconds(redis);
  for (let done = 0; done < UPDATES; done += size) await call();
  return UPDATES / ((await cpuSeconds(redis)) - before);
}

/** Of the main thread: what its clients share. */
async function cpuSeconds(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const of = (name: string) => Number(new RegExp(`^${name}:([0-9.]+)`, 'm').exec(info)?.[1]);
  return of('used_cpu_sys_main_thread') + of('used_cpu_user_main_thread');
}

async function longestScriptMs(redis: Redis): Promise<number> {
  const entries = (await redis.slowlog('GET', 1000)) as [number, number, number, string[]][];
  const scripts = entries.filter(([, , , [command]]) => command?.toUpperCase() === 'EVALSHA');
  return Math.max(...scripts.map(([, , us]) => us)) / 1000;
}

/** All shards told only that eight partitions went on, as often as ten replicas with the default interval do. */
async function emptyFlush(server: RedisServer, redis: Redis): Promise<BenchRow> {
  const ledger = openRedisLedger({ url: server.url, keyPrefix: 'empty' });
  await ledger.claim({ clusterId: 'bench', groupId: 'bench' });
  const fields = Array.from({ length: PARTITIONS }, (_, partition) => fieldOf(partition));
  for (let shard = 0; shard < SHARDS; shard++)
    await ledger.setMarkers(
      shard,
      fields.map((field) => [field, 0] as const),
      'first',
    );
  const flush = async (to: number): Promise<void> => {
    const calls = Array.from({ length: SHARDS }, (_, shard) =>
      ledger.commit({
        shard,
        maxTenants: 100,
        accounts: [],
        sections: fields.map((field) => ({ field, from: to - 1, to, replay: false, entries: [] })),
      }),
    );
    await Promise.all(calls);
  };
  await flush(1);
  const before = await cpuSeconds(redis);
  const flushes = 50;
  for (let i = 0; i < flushes; i++) await flush(2 + i);
  const perFlush = ((await cpuSeconds(redis)) - before) / flushes;
  await ledger.close();
  const share = ((perFlush * REPLICAS) / FLUSH_S) * 100;
  return row('flushes with nothing but markers, 64 shards, 8 partitions each, 10 replicas (goal: 2)', {
    unit: '% of a Redis core',
    yardstick: 2,
    ours: share,
  });
}

/** The key that holds the series, without labels; the least a series could take: its id and two values. */
async function memory(server: RedisServer, redis: Redis, sizes: readonly number[]): Promise<BenchRow[]> {
  const found: BenchRow[] = [];
  for (const size of sizes) {
    const filled = await Filled.open(server, `memory-${size}`, size);
    const { series } = ledgerKeys(filled.prefix).account(SHARD, ACCOUNT);
    const bytes = Number(await redis.call('MEMORY', 'USAGE', series, 'SAMPLES', '0'));
    await filled.ledger.close();
    found.push(
      row(`Redis memory of a series, labels aside, of ${size.toLocaleString('en')} (goal: 120)`, {
        unit: 'B',
        yardstick: 120,
        ours: bytes / size,
      }),
    );
  }
  return found;
}

const fieldOf = (partition: number): MarkerField => `bench/${partition}` as MarkerField;
const keyOf = (i: number): Buffer => Buffer.from(`service-${i % 97}\0/api/v1/route/${i}`);
const idOf = (i: number): Buffer => createHash('sha256').update(keyOf(i)).digest().subarray(0, SERIES_ID_BYTES);
