/**
 * The promise in two minutes: real servers, three replicas, traffic whose truth is known, and one replica killed by
 * SIGKILL in the middle of it. Ends with `exact: N of N bytes`, or with exit code 1. KEEP=1 leaves it running.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { consumerLag } from '../support/consumer-lag.ts';
import type { Replica } from '../support/services/replica.ts';
import { connectProducer, type HonestProducer } from '../support/topics.ts';
import { confirmTruth, feed, Traffic, Truth } from '../support/traffic.ts';
import { type Look, waitFor } from '../support/wait-for.ts';
import { type Count, count, differences, increases, unlikeScrapes } from './demo-count.ts';
import { type Fleet, GROUP, PARTITIONS, SERIES_LIMIT, startFleet, TOPIC } from './demo-fleet.ts';
import { discardTable, format, tenantTable } from './demo-table.ts';

const KILL_AFTER_MS = 20_000;
const DOWN_FOR_MS = 10_000;
const TRAFFIC_MS = 60_000;
const PROGRESS_EVERY_MS = 5_000;
const RECORDS_PER_SECOND = 40;
/** After the last record: the session of a killed member, a flush, a hand-over, a reading. */
const SETTLE_TIMEOUT_MS = 60_000;
/** How long an exact sum must stay as it is: several flushes and readings. */
const STAY_MS = 6_000;

const startedMs = performance.now();

function tell(text: string): void {
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(6);
  process.stdout.write(`${seconds}s  ${text}\n`);
}

async function main(): Promise<boolean> {
  tell('starting Kafka, Redis and three replicas (what is missing is fetched first)');
  const fleet = await startFleet(tell);
  const truth = new Truth();
  try {
    const producer = await connectProducer(fleet.kafka.brokers);
    const traffic = new Traffic(Number(process.env.SEED ?? 20_260_821));
    await runTraffic(fleet, producer, traffic, truth);
    await confirmTruth(fleet.kafka.brokers, TOPIC, truth);
    const exact = await report(fleet, truth);
    if (process.env.KEEP === '1') await keepRunning(fleet, producer, traffic, truth);
    await producer.disconnect();
    return exact;
  } catch (error) {
    for (const replica of fleet.replicas)
      process.stderr.write(`\n--- ${replica.name}\n${replica.log().slice(-3000)}\n`);
    throw error;
  } finally {
    tell('stopping everything');
    await fleet.stop();
  }
}

async function runTraffic(fleet: Fleet, producer: HonestProducer, traffic: Traffic, truth: Truth): Promise<void> {
  const seconds = TRAFFIC_MS / 1000;
  tell(
    `traffic: ${RECORDS_PER_SECOND} records a second for ${seconds} s, all codecs, both field orders, some of it broken`,
  );
  const end = new AbortController();
  const progress = setInterval(
    () => void tellProgress(fleet, truth).catch((error: unknown) => tell(String(error))),
    PROGRESS_EVERY_MS,
  );
  try {
    const flowing = feed({
      producer,
      topic: TOPIC,
      partitions: PARTITIONS,
      traffic,
      truth,
      recordsPerSecond: RECORDS_PER_SECOND,
      until: end.signal,
    });
    await Promise.race([
      flowing,
      killOne(fleet.replicas[1]!).then(() => sleep(TRAFFIC_MS - KILL_AFTER_MS - DOWN_FOR_MS)),
    ]);
    end.abort();
    await flowing;
  } finally {
    end.abort();
    clearInterval(progress);
  }
  tell(`traffic ended: ${format(truth.records)} records, ${format(truth.bytes)} bytes`);
}

async function killOne(replica: Replica): Promise<void> {
  await sleep(KILL_AFTER_MS);
  tell(`killing ${replica.name} with SIGKILL, in the middle of the traffic`);
  replica.signal('SIGKILL');
  await replica.exit();
  await sleep(DOWN_FOR_MS);
  tell(`starting ${replica.name} again`);
  await replica.start();
}

async function tellProgress(fleet: Fleet, truth: Truth): Promise<void> {
  const counted = await count(fleet.replicas);
  const up = fleet.replicas.filter((replica) => replica.running()).length;
  tell(
    `sent ${megabytes(truth.acceptedBytes)} for tenants, counted ${megabytes(counted.bytes)}, ${up} of 3 replicas up`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Prints the tables; true where nothing differs. */
async function report(fleet: Fleet, truth: Truth): Promise<boolean> {
  const down = fleet.replicas.filter((replica) => !replica.running()).map((replica) => replica.name);
  if (down.length > 0) throw new Error(`ended by itself: ${down.join(', ')}`);
  await untilNoLag(fleet);
  const { counted, problems } = await untilSettled(fleet, truth);
  const seen = fleet.prometheus === undefined ? undefined : await untilPrometheus(fleet, truth);
  process.stdout.write(`\n${tenantTable(truth, counted, seen)}\n\n${discardTable(truth, counted)}\n\n`);
  process.stdout.write(`limit: ${SERIES_LIMIT} live series per tenant, held over all replicas\n`);
  if (seen !== undefined) {
    const sum = [...seen.values()].reduce((total, value) => total + value, 0);
    process.stdout.write(`increase() in Prometheus: ${format(sum)} of ${format(truth.acceptedBytes)} bytes\n`);
    if (sum !== truth.acceptedBytes) {
      for (const text of (await unlikeScrapes(fleet.prometheus!, fleet.replicas)).slice(0, 10))
        process.stdout.write(`  ${text}\n`);
    }
  }
  for (const problem of problems) process.stdout.write(`DIFFERENCE ${problem}\n`);
  const word = problems.length === 0 ? 'exact' : 'NOT exact';
  // Plain digits: scripts read this line.
  verdict = `${word}: ${counted.bytes} of ${truth.acceptedBytes} bytes`;
  if (process.env.KEEP === '1') process.stdout.write(`${verdict}\n`);
  return problems.length === 0;
}

let verdict = 'NOT exact: nothing was counted';

async function untilNoLag(fleet: Fleet): Promise<void> {
  tell('waiting until the group has no lag');
  await waitFor(
    async () => {
      const lag = await consumerLag(fleet.kafka.brokers, GROUP, TOPIC);
      return lag === 0 ? { done: true, value: undefined } : { done: false, seen: `${lag} records` };
    },
    { timeoutMs: SETTLE_TIMEOUT_MS, what: 'lag 0', everyMs: 500 },
  );
  tell('lag 0');
}

type Settled = { readonly counted: Count; readonly problems: readonly string[] };

/** Looks until the sums are exact and stay so, or the time is over. */
async function untilSettled(fleet: Fleet, truth: Truth): Promise<Settled> {
  tell('summing /usage_metrics over the replicas');
  const look = async (): Promise<Settled> => {
    const counted = await count(fleet.replicas);
    return { counted, problems: differences(truth, counted) };
  };
  const toldAt = performance.now();
  let last = await look();
  while (last.problems.length > 0 && performance.now() - toldAt < SETTLE_TIMEOUT_MS) {
    await sleep(1000);
    last = await look();
  }
  const stayUntil = performance.now() + STAY_MS;
  while (last.problems.length === 0 && performance.now() < stayUntil) {
    await sleep(1000);
    last = await look();
  }
  return last;
}

/** Prometheus shows a new series as 0 first, so its sums come later than those of a plain scrape. */
async function untilPrometheus(fleet: Fleet, truth: Truth): Promise<Map<string, number>> {
  tell('waiting for the last scrape by Prometheus');
  let seen = new Map<string, number>();
  const look = async (): Promise<Look<void>> => {
    seen = await increases(fleet.prometheus!, truth.tenants.keys());
    const sum = [...seen.values()].reduce((total, value) => total + value, 0);
    return sum === truth.acceptedBytes ? { done: true, value: undefined } : { done: false, seen: sum };
  };
  await waitFor(look, { timeoutMs: 40_000, what: `${truth.acceptedBytes} in Prometheus`, everyMs: 1000 }).catch(
    (error: unknown) => tell(String(error)),
  );
  return seen;
}

async function keepRunning(fleet: Fleet, producer: HonestProducer, traffic: Traffic, truth: Truth): Promise<void> {
  process.stdout.write('\nstill running, with a little traffic. Ctrl-C stops everything.\n');
  for (const replica of fleet.replicas)
    process.stdout.write(`  ${replica.name}  ${replica.url}/usage_metrics  (log: ${replica.logFile})\n`);
  if (fleet.prometheus !== undefined) process.stdout.write(`  Prometheus    ${fleet.prometheus.url}\n`);
  process.stdout.write(`  Kafka         ${fleet.kafka.brokers[0]}\n  Redis         ${fleet.redis.url}\n`);
  const never = new AbortController().signal;
  await feed({ producer, topic: TOPIC, partitions: PARTITIONS, traffic, truth, recordsPerSecond: 5, until: never });
}

for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
] as const) {
  process.once(signal, () => {
    tell('interrupted: everything is stopped');
    process.exit(128 + number);
  });
}

try {
  const exact = await main();
  tell('stopped');
  process.stdout.write(`${verdict}\n`);
  process.exit(exact ? 0 : 1);
} catch (error) {
  process.stdout.write(`the demo failed: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}
