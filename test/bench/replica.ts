/**
 * What a replica takes when nothing comes, and what a worker holds for series that are gathered and not yet in the
 * ledger. Beside each figure stands the goal.
 */
import { readFileSync } from 'node:fs';
import { setImmediate, setTimeout as sleep } from 'node:timers/promises';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { SeriesTable } from '../../src/attribution/series-table.ts';
import { PartitionPending, RowCount } from '../../src/ledger/pending.ts';
import { STRING } from '../../src/otlp/scan.ts';
import { startKafka } from '../support/services/kafka.ts';
import { FORCED_EACH_SECOND, startRedis } from '../support/services/redis.ts';
import { startReplica } from '../support/services/replica.ts';
import { createTopic } from '../support/topics.ts';
import type { BenchRow } from './row.ts';

const SERIES = 1_000_000;
const IDLE_S = 60;
const SETTLED_AFTER_S = 30;
const PARTITIONS = 6;
/** Of Linux, for the times in /proc: USER_HZ. */
const TICKS_PER_S = 100;

export async function rows({ quick = false }: { readonly quick?: boolean }): Promise<BenchRow[]> {
  const found = [await pending(quick ? SERIES / 10 : SERIES)];
  return [...found, await idle(quick ? 5 : IDLE_S)];
}

/** Memory of `series` rows pending, with the table that knows their labels: 1,000 values in each of two, and a third. */
async function pending(series: number): Promise<BenchRow> {
  const { dimensions } = parseDimensions(
    ['service.name', 'http.route', 'env'].map((attribute) => [attribute, ''] as const),
    { sharedLabels: 'refuse' },
  );
  const trackers = [{ name: 'cost-attribution', dimensions, limit: series, staleS: 900 }];
  const before = await heldBytes();
  const table = new SeriesTable({ settings: () => ({ trackers }), maxLabelValueLength: 2048 });
  const [shape] = table.plan('bench').shapes;
  const value = (text: string): number => {
    const bytes = Buffer.from(text);
    return table.value(STRING, bytes, 0, bytes.length);
  };
  const services = Array.from({ length: 1000 }, (_, i) => value(`service-${i}`));
  const routes = Array.from({ length: 1000 }, (_, i) => value(`/api/v1/resource-${i}/{id}`));
  const tuple = Uint32Array.of(0, 0, value('production'));
  const waiting = new PartitionPending(new RowCount(16_000));
  const segment = waiting.open(0, table, 0, 0);
  for (let i = 0; i < series; i++) {
    tuple[0] = services[i % 1000]!;
    tuple[1] = routes[Math.floor(i / 1000) % 1000]!;
    waiting.add(0, segment, table.slot(shape!, tuple), 877, 1);
  }
  const held = (await heldBytes()) - before;
  if (table.size !== series || waiting.first(0)?.rows !== series) throw new Error('the bench made other series');
  return against('worker memory of a pending series', { goal: 100, ours: held / series, unit: 'B' }, series);
}

/** Once the groups before have left nothing to be collected. */
async function heldBytes(): Promise<number> {
  let held = Number.POSITIVE_INFINITY;
  for (;;) {
    globalThis.gc?.();
    await setImmediate();
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    if (heapUsed + arrayBuffers > held - 100_000) return heapUsed + arrayBuffers;
    held = heapUsed + arrayBuffers;
  }
}

/** CPU time of a real replica, ready and without traffic, owner of every shard. */
async function idle(seconds: number): Promise<BenchRow> {
  const kafka = await startKafka();
  const redis = await startRedis({ config: FORCED_EACH_SECOND });
  try {
    await createTopic(kafka.brokers, 'idle', { partitions: PARTITIONS });
    const replica = await startReplica({
      name: 'bench-idle',
      config: {
        kafka: { brokers: [...kafka.brokers], topics: ['idle'], group_id: 'bench-idle' },
        redis: { url: redis.url },
        tenants: { default: 'bench' },
      },
    });
    try {
      await replica.waitReady();
      // By then the shards are taken, and the compiler has come to rest.
      await sleep(SETTLED_AFTER_S * 1000);
      const before = cpuSecondsOf(replica.pid);
      await sleep(seconds * 1000);
      const share = ((cpuSecondsOf(replica.pid) - before) / seconds) * 100;
      return against('an idle replica', { goal: 1, ours: share, unit: '% of a core' });
    } finally {
      await replica.stop();
    }
  } finally {
    await redis.stop();
    await kafka.stop();
  }
}

/** utime and stime of proc_pid_stat(5), behind the name in brackets. */
function cpuSecondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S;
}

function against(name: string, { goal, ours, unit }: { goal: number; ours: number; unit: string }, of = 0): BenchRow {
  const row = `${name}${of > 0 ? `, of ${of.toLocaleString('en')}` : ''} (goal: ${goal})`;
  return { group: 'replica', row, yardstick: goal, ours, unit, ratio: ours / goal };
}
