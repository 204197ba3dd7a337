/**
 * The promise over hours: real servers, replicas, traffic at a rate, a fault every half minute or so. Ends with the
 * summary of docs/reliability.md; exit code 1 where a byte differs, a counter fell, or memory does not stay flat.
 * MINUTES (60), RATE_MB a second (50), REPLICAS (3), SEED. Where the machine is slower than the rate, the traffic waits.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { groupCommits } from '../support/consumer-lag.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { seeded } from '../support/random.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { connectProducer, endOffsets } from '../support/topics.ts';
import { DIMENSIONS } from '../support/traffic-world.ts';
import { waitFor } from '../support/wait-for.ts';
import { FAULTS, type Stage } from './soak-faults.ts';
import { type FaultRecord, report } from './soak-report.ts';
import { judge, WARM_UP_S } from './soak-samples.ts';
import { feedPool, Pool, RELEASE_ATTRIBUTE } from './soak-traffic.ts';
import { type Watch, watchFleet } from './soak-watch.ts';

const MINUTES = Number(process.env.MINUTES || 60);
const RATE = Number(process.env.RATE_MB || 50) * 1e6;
const REPLICAS = Number(process.env.REPLICAS || 3);
const SEED = Number(process.env.SEED || 20_261_121);

const PARTITIONS = 6;
const PRODUCERS = 3;
const POOL_BYTES = 80e6;
const RELEASE_EVERY_MS = 60_000;
/** What the topic keeps of each partition. Traffic waits while a third of it is unread: retention must never pass the group. */
const RETENTION_BYTES = 1 << 30;
const HOLD_BACK_BYTES = (PARTITIONS * RETENTION_BYTES) / 3;
const SAMPLE_MS = 10_000;
const LAG_MS = 2_000;
/** Everything that was written until a fault was over is counted. */
const RECOVERY_TIMEOUT_MS = 240_000;
const SETTLE_TIMEOUT_MS = 300_000;
/** Of a run too short for the whole warm-up: so ten minutes are judged, too. */
const WARM_UP_SHARE = 0.35;

const startedMs = performance.now();
const tell = (text: string): void => {
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  process.stdout.write(`${String(seconds).padStart(5)}s  ${text}\n`);
};

const TOPIC_CONFIG = {
  'retention.bytes': String(RETENTION_BYTES),
  'segment.bytes': String(128 << 20),
  'file.delete.delay.ms': '5000',
};

/** The shipped times, but for a session that a test can wait for, and series that become stale within the run. */
const CONFIG = {
  kafka: { session_timeout: '10s' },
  ledger: { flush_interval: '5s' },
  publish: { lease: '15s', birth_hold: '75s' },
  usage: { cost_attribution: { max_cardinality: 4000, stale_duration: '3m' } },
  overrides: {
    defaults: { cost_attribution: { dimensions: { ...DIMENSIONS, [`resource.${RELEASE_ATTRIBUTE}`]: 'release' } } },
  },
};

async function main(): Promise<boolean> {
  tell(`seed ${SEED}: ${MINUTES} minutes, ${REPLICAS} replicas, up to ${RATE / 1e6} MB a second`);
  const kafka = await startKafka({ config: { 'log.retention.check.interval.ms': '10000' } });
  const fleet = await startFleet({
    name: 'soak',
    brokers: kafka.brokers,
    replicas: REPLICAS,
    partitions: PARTITIONS,
    topicConfig: TOPIC_CONFIG,
    config: CONFIG,
  });
  try {
    return await soak(kafka, fleet);
  } finally {
    tell('stopping everything');
    await fleet.stop();
    await kafka.stop();
  }
}

async function soak(kafka: KafkaCluster, fleet: Fleet): Promise<boolean> {
  const pool = new Pool(POOL_BYTES, SEED);
  const watch = watchFleet(fleet, startedMs);
  const end = new AbortController();
  const faults: FaultRecord[] = [];
  const beganMs = performance.now();
  let heldBackS = 0;
  const isHeldBack = (): boolean => {
    const { records, bytes } = fleet.truth;
    return records > 0 && watch.unread * (bytes / records) > HOLD_BACK_BYTES;
  };
  const producers = await Promise.all(Array.from({ length: PRODUCERS }, () => connectProducer(fleet.brokers)));
  const flowing = feedPool({
    producers,
    topic: fleet.topic,
    partitions: PARTITIONS,
    pool,
    truth: fleet.truth,
    bytesPerSecond: RATE,
    releaseEveryMs: RELEASE_EVERY_MS,
    isHeldBack,
    until: end.signal,
  });
  const watching = [
    every(SAMPLE_MS, end.signal, async () => {
      await watch.look();
      tellSample(fleet, watch);
    }),
    every(LAG_MS, end.signal, async () => {
      if (isHeldBack()) heldBackS += LAG_MS / 1000;
      await watch.lookAtLag();
    }),
  ];
  const stage: Stage = { kafka, redis: fleet.redis, replicas: fleet.replicas, random: seeded(SEED), tell };
  try {
    // Whichever fails first ends it.
    await Promise.race([breakThings(stage, fleet, beganMs + MINUTES * 60_000, faults), ...watching, flowing]);
  } finally {
    end.abort();
  }
  await flowing;
  await Promise.all(producers.map((producer) => producer.disconnect()));
  const minutes = (performance.now() - beganMs) / 60_000;
  tell('traffic ended; waiting until everything is counted');
  await fleet.ready();
  await fleet.settle(SETTLE_TIMEOUT_MS);
  await watch.look();
  tell('the ledger holds exactly what was written');
  const warmUpS = Math.min(WARM_UP_S, MINUTES * WARM_UP_SHARE * 60);
  const flatness = watch.lives.flatMap((life) => judge(life, warmUpS) ?? []);
  const { bytes, records, acceptedBytes } = fleet.truth;
  process.stdout.write(
    `\n${report({
      seed: SEED,
      minutes,
      replicas: REPLICAS,
      bytes,
      records,
      tenantBytes: acceptedBytes,
      targetRate: RATE,
      heldBackS,
      faults,
      lives: watch.lives.length,
      flatness,
      dips: watch.dips,
    })}\n\n`,
  );
  for (const dip of watch.dips.slice(0, 20)) process.stdout.write(`FELL ${dip}\n`);
  verdict = `exact: ${acceptedBytes} of ${acceptedBytes} bytes`;
  return watch.dips.length === 0 && flatness.every(({ isFlat }) => isFlat);
}

let verdict = 'NOT exact';

async function breakThings(stage: Stage, fleet: Fleet, untilMs: number, done: FaultRecord[]): Promise<void> {
  const { random } = stage;
  while (performance.now() < untilMs) {
    await sleep(Math.min(random.between(10_000, 35_000), Math.max(0, untilMs - performance.now())));
    if (performance.now() >= untilMs) return;
    const fault = random.weighted(FAULTS);
    await fault.run(stage);
    const overMs = performance.now();
    await untilCounted(fleet);
    const recoveryS = (performance.now() - overMs) / 1000;
    done.push({ kind: fault.kind, recoveryS });
    tell(`recovered from "${fault.kind}" ${recoveryS.toFixed(1)} s after its end`);
  }
}

/** Resolves when everything that is in the log now is in the ledger, and the group has committed it. */
async function untilCounted({ brokers, group, topic }: Fleet): Promise<void> {
  let ends: readonly number[] | null = null;
  await waitFor(
    async () => {
      ends ??= await endOffsets(brokers, topic).catch(() => null);
      if (ends === null) return { done: false, seen: 'no answer from the broker' };
      const commits = await groupCommits(brokers, group, topic).catch((): number[] => []);
      const isDone = ends.every((end, partition) => (commits[partition] ?? 0) >= end);
      return isDone ? { done: true, value: undefined } : { done: false, seen: { ends, commits } };
    },
    {
      timeoutMs: RECOVERY_TIMEOUT_MS,
      what: 'everything written before the end of the fault to be counted',
      everyMs: 500,
    },
  );
}

let lastBytes = 0;
let lastMs = performance.now();

function tellSample({ truth }: Fleet, { unread, memory, inside }: Watch): void {
  const now = performance.now();
  const rate = (truth.bytes - lastBytes) / 1e3 / (now - lastMs);
  lastBytes = truth.bytes;
  lastMs = now;
  const sizes = memory.map((mb) => (mb === null ? 'down' : mb.toFixed(0))).join(' ');
  tell(
    `${rate.toFixed(1)} MB/s, ${(truth.bytes / 1e9).toFixed(2)} GB written, ${unread} records unread, memory ${sizes} MB (${inside})`,
  );
}

async function every(ms: number, until: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!until.aborted) {
    await work();
    await sleep(ms, undefined, { signal: until }).catch(() => {});
  }
}

try {
  const isGood = await main();
  process.stdout.write(`${verdict}\n`);
  process.exit(isGood ? 0 : 1);
} catch (error) {
  process.stdout.write(`the soak failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
