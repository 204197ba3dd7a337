/**
 * What a Prometheus believes that scrapes three replicas with the file that we ship, through a kill -9, a rolling
 * restart and a Redis that dies or loses its newest writes: plain increase() is the truth, series by series, and
 * nothing else is stored.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Fleet, killReplica, startFleet } from '../support/fleet.ts';
import { plainLabels, plainRecord } from '../support/fleet-records.ts';
import { type Scraper, type SeenSeries, type SeriesLabels, startScraper } from '../support/scraper.ts';
import { type Prometheus, startPrometheus } from '../support/services/prometheus.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { shippedScrapeConfig } from '../support/shipped-scrape.ts';
import { type Look, waitFor, waitUntil } from '../support/wait-for.ts';

const BYTES = 'tempo_usage_tracker_bytes_received_total';
const INTERVAL_MS = 1_000;
const HOLD = '20s';
const TENANTS = ['acme', 'globex', 'initech'];
const ROUTES = ['/a', '/b', '/c', '/"quoted"\\n\n'];

let fleet: Fleet;
let scraper: Scraper;
/** Undefined where none can be had: then the scraper above, which has its rules, is alone. */
let prometheus: Prometheus | undefined;
const startedS = Date.now() / 1000;

/** Bytes by series. */
const truth = new Map<string, number>();

beforeAll(async () => {
  fleet = await startFleet({
    name: 'prometheus',
    brokers: sharedKafka(),
    replicas: 3,
    partitions: 6,
    // Little at a time, so that what Redis forgets is long in coming back: nothing lower may be shown meanwhile.
    config: { kafka: { max_bytes_per_partition: 1024 }, publish: { birth_hold: HOLD } },
  });
  scraper = startScraper(
    fleet.replicas.map(({ url }) => `${url}/usage_metrics`),
    INTERVAL_MS,
  );
  prometheus = await startPrometheus({
    configYaml: shippedScrapeConfig(
      fleet.replicas.map(({ port }) => `127.0.0.1:${port}`),
      `${INTERVAL_MS}ms`,
    ),
  }).catch(() => undefined);
}, 180_000);

afterAll(async () => {
  await scraper?.stop();
  await prometheus?.stop();
  await fleet?.stop();
}, 60_000);

const identity = (labels: SeriesLabels): string => {
  const { job: _, ...own } = labels;
  return JSON.stringify(Object.entries(own).sort());
};

async function send(tenant: string, route: string, partition: number): Promise<void> {
  const record = plainRecord(tenant, route, 1 + (partition % 3));
  await fleet.send(record, partition);
  const key = identity({ ...plainLabels(route), tenant, tracker: 'cost-attribution' });
  truth.set(key, (truth.get(key) ?? 0) + record.value!.length);
}

/** Traffic over every series and partition until `trouble` is over. */
async function during(trouble: () => Promise<void>, routes = ROUTES): Promise<void> {
  let isOver = false;
  const done = trouble().finally(() => {
    isOver = true;
  });
  for (let round = 0; !isOver; round += 1)
    for (const tenant of TENANTS) for (const route of routes) await send(tenant, route, round % fleet.partitions);
  await done;
}

async function untilScraped(): Promise<void> {
  await waitUntil(() => scraper.series(BYTES).length === TENANTS.length * ROUTES.length, {
    timeoutMs: 40_000,
    what: 'every series to be scraped',
  });
}

/** Whoever scrapes has met every series that there is: one that is born again in a replay is not shown at zero once more. */
async function untilMet(): Promise<void> {
  await waitUntil(
    async () => {
      const stored = prometheus === undefined ? truth.size : (await prometheus.query(BYTES)).length;
      return stored >= truth.size && scraper.series(BYTES).length === truth.size;
    },
    { timeoutMs: 40_000, what: 'every series to be met by those who scrape' },
  );
}

async function untilLedgerAway(): Promise<void> {
  await waitUntil(async () => (await fleet.metric('tracetally_ledger_up')) === 0, {
    timeoutMs: 20_000,
    what: 'every replica to notice that Redis is away',
  });
}

/** Every shard has one who shows it. */
async function untilOwned(): Promise<void> {
  await waitUntil(async () => (await fleet.metric('tracetally_owned_shards')) === 64, {
    timeoutMs: 40_000,
    what: 'every shard to be shown',
  });
}

/** The series of Prometheus, each at the moment of its last sample: later, increase() adds what it believes to have come. */
async function seriesOf(server: Prometheus): Promise<SeenSeries[]> {
  const last = await server.query(`timestamp(${BYTES})`);
  const times = [...new Set(last.map(({ value }) => value))];
  const found: SeenSeries[] = [];
  for (const atS of times) {
    const [increases, resets, values] = await Promise.all([
      server.query(`increase(${BYTES}[15m])`, atS),
      server.query(`resets(${BYTES}[15m])`, atS),
      server.query(BYTES, atS),
    ]);
    const of = (vector: typeof increases, key: string) =>
      vector.find(({ labels }) => identityOf(labels) === key)?.value ?? Number.NaN;
    for (const { labels } of last.filter(({ value }) => value === atS)) {
      const key = identityOf(labels);
      found.push({
        labels: withoutName(labels),
        increase: Math.round(of(increases, key)),
        resets: of(resets, key),
        first: 0,
        last: of(values, key),
      });
    }
  }
  return found;
}

function withoutName({ __name__: _, ...labels }: SeriesLabels): SeriesLabels {
  return labels;
}

function identityOf(labels: SeriesLabels): string {
  return identity(withoutName(labels));
}

/** Everything that a scraper believes otherwise, in words. */
function problemsOf(seen: readonly SeenSeries[]): string[] {
  const problems: string[] = [];
  const held = new Map(seen.map((series) => [identity(series.labels), series]));
  for (const key of new Set([...truth.keys(), ...held.keys()])) {
    const series = held.get(key);
    if (series?.increase !== truth.get(key)) problems.push(`${key}: ${series?.increase} for ${truth.get(key)}`);
    if (series !== undefined && series.resets !== 0) problems.push(`${key}: ${series.resets} resets`);
  }
  return problems;
}

async function untilBelieved(look: () => Promise<readonly SeenSeries[]>): Promise<void> {
  await waitFor(
    async (): Promise<Look<void>> => {
      const problems = problemsOf(await look());
      return problems.length === 0 ? { done: true, value: undefined } : { done: false, seen: problems.slice(0, 6) };
    },
    { timeoutMs: 45_000, what: 'increase() to be the truth, series by series', everyMs: 500 },
  );
}

describe('through a kill -9, a rolling restart, a Redis that dies and one that forgets', () => {
  test('plain increase() is the truth, series by series; no series more, no reset', async () => {
    await untilOwned();
    await during(untilScraped);
    const early = await fleet.redis.snapshot();
    await during(async () => {
      const victim = fleet.replicas[0]!;
      await killReplica(victim);
      await victim.start();
      await untilOwned();
    }, [...ROUTES, '/born-around-a-kill']);
    await during(async () => {
      for (const replica of fleet.replicas) {
        replica.signal('SIGTERM');
        expect(await replica.exit()).toEqual({ code: 0, signal: null });
        await replica.start();
        await replica.waitReady();
        await untilOwned();
      }
    }, [...ROUTES, '/born-in-a-rolling-restart']);
    await during(async () => {
      await fleet.redis.kill('SIGKILL');
      await untilLedgerAway();
      await fleet.redis.start();
      await fleet.ready();
      await untilOwned();
    }, [...ROUTES, '/born-around-a-death-of-redis']);
    await untilMet();
    await during(async () => {
      await fleet.redis.kill('SIGKILL');
      await fleet.redis.restore(early);
      await fleet.redis.start();
      await fleet.ready();
      await untilOwned();
    });
    await fleet.settle();
    expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBeGreaterThan(0);
    await untilBelieved(async () => scraper.series(BYTES));
    if (prometheus !== undefined) await untilBelieved(() => seriesOf(prometheus!));
  }, 200_000);

  test('a series is stored once, without the labels that follow the replica', async () => {
    if (prometheus === undefined) {
      expect(scraper.series(BYTES)).toHaveLength(truth.size);
      return;
    }
    const stored = await prometheus.series(BYTES, { startS: startedS, endS: Date.now() / 1000 });
    expect(stored).toHaveLength(truth.size);
    for (const labels of stored) {
      expect(labels.instance).toBeUndefined();
      expect(labels.pod).toBeUndefined();
    }
    const others = await prometheus.query(
      `count by (tenant) (count_over_time({__name__=~"tempo_usage_tracker_tenant_bytes_total"}[15m]))`,
    );
    expect(others.map(({ value }) => value)).toEqual(TENANTS.map(() => 1));
  }, 30_000);
});
