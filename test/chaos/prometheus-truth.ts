/**
 * What a real Prometheus believes at the end of a seed. One job scrapes with the relabeling that we ship; another one
 * keeps `instance`, and the shipped recording rule makes one series of what the replicas show.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { type AccountTotals, isOfTenant } from '../support/fleet-ledger.ts';
import { type RuleFile, ruleText } from '../support/rules.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { type Labels, type Prometheus, startPrometheus } from '../support/services/prometheus.ts';
import type { Replica } from '../support/services/replica.ts';
import { shippedScrapeConfig } from '../support/shipped-scrape.ts';
import { waitFor } from '../support/wait-for.ts';
import type { Plan } from './plan.ts';

const BYTES = 'tempo_usage_tracker_bytes_received_total';
const TENANT_BYTES = 'tempo_usage_tracker_tenant_bytes_total';
const SHIPPED_JOB = 'tracetally';
const INSTANCE_JOB = 'tracetally-by-instance';
const MERGE_RULES = 'merge.yaml';
const OVERFLOW = '__overflow__';
const SCRAPE_S = 2;

/** The ways to ask: metric, job. */
const WAYS = [
  { name: 'increase()', job: SHIPPED_JOB, of: (metric: string) => metric },
  { name: 'the recording rule', job: INSTANCE_JOB, of: (metric: string) => `merged:${metric}` },
] as const;

type Job = { job_name: string; metrics_path: string; scrape_timeout: string; static_configs: unknown };
type Config = { global: Record<string, string>; scrape_configs: Job[]; rule_files: string[] };

export async function startTruthPrometheus(replicas: readonly Replica[]): Promise<Prometheus> {
  const targets = replicas.map(({ port }) => `127.0.0.1:${port}`);
  const config = parse(shippedScrapeConfig(targets, `${SCRAPE_S}s`)) as Config;
  const shipped = config.scrape_configs.find(({ job_name: name }) => name === SHIPPED_JOB)!;
  const { metrics_path: path, scrape_timeout: timeout, static_configs: statics } = shipped;
  config.scrape_configs.push({
    job_name: INSTANCE_JOB,
    metrics_path: path,
    scrape_timeout: timeout,
    static_configs: statics,
  });
  config.global.evaluation_interval = '1s';
  const { groups } = parse(ruleText(MERGE_RULES)) as RuleFile;
  const directory = scratchDirectory('rules');
  const file = join(directory, MERGE_RULES);
  // A minute of this test is an hour of production.
  writeFileSync(file, stringify({ groups: groups.map((group) => ({ ...group, interval: '1s' })) }));
  config.rule_files = [file];
  const prometheus = await startPrometheus({ configYaml: stringify(config) });
  const stop = async () => {
    await prometheus.stop();
    removeScratch(directory);
  };
  return { ...prometheus, stop };
}

/** What is legitimate in a seed. */
export type Excuses = {
  /**
   * After lost writes a series that had a place may be in overflow, and what it has shown stays in Prometheus; what is
   * born in the replay has no zero.
   */
  lostWrites: boolean;
  /** With other dimensions the overflow has another label set. */
  readonly dimensions: boolean;
  /** What is born in a hole of its tenant that is longer than that has no zero. */
  readonly holdS: number;
  /**
   * What the ledger held when it was lost, all of it shown. Counters begin again at zero, so there is one reset, and
   * what was counted before stays in the increase. (The recording rule sees over the zero: it is not asked.)
   */
  readonly lost: AccountTotals[];
};

export function excusesOf(plan: Plan, holdS: number, lostWrites: boolean): Excuses {
  const dimensions = plan.steps.some(({ faults }) => faults.some(({ name }) => name === 'dimensions-changed'));
  return { lostWrites, dimensions, holdS, lost: [] };
}

type Stored = {
  readonly first: number;
  readonly last: number;
  readonly dips: number;
  /** The longest time between two samples, s. */
  readonly hole: number;
  /** Rounded: no sample lies exactly on the borders of the range. */
  readonly increase: number;
};

export type PrometheusVerdict = {
  readonly problems: readonly string[];
  readonly series: number;
  readonly bornHigh: number;
};

/** Waits until Prometheus believes the truth, or says what it believes otherwise. `totals`: of the ledger, at rest. */
export async function judgePrometheus(
  prometheus: Prometheus,
  totals: readonly AccountTotals[],
  { excuses, startedS, timeoutMs }: { excuses: Excuses; startedS: number; timeoutMs: number },
): Promise<PrometheusVerdict> {
  let verdict: PrometheusVerdict = { problems: ['nothing was asked'], series: 0, bornHigh: 0 };
  await waitFor(
    async () => {
      verdict = await judgeOnce(prometheus, totals, excuses, startedS);
      const { problems } = verdict;
      return problems.length === 0 ? { done: true, value: undefined } : { done: false, seen: problems };
    },
    { timeoutMs, what: 'Prometheus to believe the truth', everyMs: 1_000 },
  ).catch(() => {});
  return verdict;
}

async function judgeOnce(
  prometheus: Prometheus,
  totals: readonly AccountTotals[],
  excuses: Excuses,
  startedS: number,
): Promise<PrometheusVerdict> {
  const problems: string[] = [];
  let [series, bornHigh] = [0, 0];
  const holes = new Set<string>();
  const { lost } = excuses;
  for (const { name, job, of } of lost.length > 0 ? WAYS.slice(0, 1) : WAYS) {
    const tenants = await storedSeries(prometheus, `${of(TENANT_BYTES)}{job="${job}"}`, startedS);
    // An instant later than the hold may be over before the first scrape after it.
    if (job === SHIPPED_JOB)
      for (const [key, { hole }] of tenants)
        if (hole > excuses.holdS - 3 * SCRAPE_S) holes.add(labelsOf(key).tenant ?? '');
    const mayBeBornHigh = (labels: Labels) => excuses.lostWrites || holes.has(labels.tenant ?? '');
    const judged = { mayBeBornHigh, what: `${name}, ` };
    bornHigh += compare(problems, tenants, truthOf(tenantAmounts(totals), tenantAmounts(lost)), {
      ...judged,
      isLoose: () => false,
    });
    const seen = await storedSeries(prometheus, `${of(BYTES)}{job="${job}"}`, startedS);
    const wanted = truthOf(seriesAmounts(totals), seriesAmounts(lost));
    const full = new Set([...totals, ...lost].filter(({ overflow }) => overflow[0] > 0).map(({ tenant }) => tenant));
    const isLoose = (labels: Labels) =>
      (excuses.lostWrites && full.has(labels.tenant ?? '')) || (excuses.dimensions && isOverflow(labels));
    bornHigh += compare(problems, seen, wanted, { ...judged, isLoose });
    if (job === SHIPPED_JOB) series = seen.size;
  }
  return { problems, series, bornHigh };
}

type Judged = {
  readonly what: string;
  mayBeBornHigh(labels: Labels): boolean;
  /** Series that need not be there as the ledger has them. */
  isLoose(labels: Labels): boolean;
};

/** Notes what differs. Answers how many series came without their zero, where that is excused. */
function compare(
  problems: string[],
  seen: ReadonlyMap<string, Stored>,
  wanted: ReadonlyMap<string, Wanted>,
  { mayBeBornHigh, what, isLoose }: Judged,
): number {
  let bornHigh = 0;
  for (const key of new Set([...seen.keys(), ...wanted.keys()])) {
    const [stored, value] = [seen.get(key), wanted.get(key)];
    const labels = labelsOf(key);
    if (stored !== undefined && stored.dips > (value?.resets ?? 0))
      problems.push(`${what}${key}: ${stored.dips} resets`);
    if (isLoose(labels)) continue;
    if (stored === undefined || value === undefined) {
      if (stored === undefined && value?.increase === 0) continue;
      problems.push(`${what}${key}: ${stored === undefined ? 'is not stored' : 'is stored, and not in the ledger'}`);
      continue;
    }
    if (stored.last !== value.last) problems.push(`${what}${key}: shown as ${stored.last} for ${value.last}`);
    else if (stored.first > 0 && mayBeBornHigh(labels)) bornHigh += 1;
    else if (stored.increase !== value.increase)
      problems.push(
        `${what}${key}: increased by ${stored.increase} for ${value.increase}, first seen at ${stored.first}`,
      );
  }
  return bornHigh;
}

function isOverflow(labels: Labels): boolean {
  const own = Object.entries(labels).filter(([name]) => name !== 'tenant' && name !== 'tracker');
  return own.every(([, value]) => value === OVERFLOW);
}

/** What Prometheus must hold of a series in the end. */
type Wanted = { readonly last: number; readonly increase: number; readonly resets: 0 | 1 };

function truthOf(now: ReadonlyMap<string, number>, lost: ReadonlyMap<string, number>): ReadonlyMap<string, Wanted> {
  const keys = new Set([...now.keys(), ...lost.keys()]);
  return new Map(
    [...keys].map((key) => {
      const [value, before] = [now.get(key), lost.get(key) ?? 0];
      return [key, { last: value ?? before, increase: before + (value ?? 0), resets: before > 0 ? 1 : 0 }];
    }),
  );
}

function tenantAmounts(totals: readonly AccountTotals[]): ReadonlyMap<string, number> {
  return new Map(totals.filter(isOfTenant).map(({ tenant, tracker, total }) => [keyOf({ tenant, tracker }), total[0]]));
}

function seriesAmounts(totals: readonly AccountTotals[]): ReadonlyMap<string, number> {
  const truth = new Map<string, number>();
  for (const { tenant, tracker, series, overflow } of totals.filter(isOfTenant)) {
    for (const { labels, values } of series) truth.set(keyOf({ ...labels, tenant, tracker }), values[0] ?? 0);
    if (overflow[0] === 0) continue;
    // Labelled as the tenant's other series are, each dimension saying that it does not fit.
    const names = Object.keys(series.at(-1)?.labels ?? {});
    const own = Object.fromEntries(names.map((name) => [name, OVERFLOW]));
    truth.set(keyOf({ ...own, tenant, tracker }), overflow[0]);
  }
  return truth;
}

function keyOf(labels: Labels): string {
  const own = Object.entries(labels).filter(([name]) => name !== '__name__' && name !== 'job');
  return JSON.stringify(own.sort());
}

function labelsOf(key: string): Labels {
  return Object.fromEntries(JSON.parse(key) as [string, string][]);
}

/** Every series of a selector, with its increase at the moment of its last sample: later, Prometheus adds what it believes to have come. */
async function storedSeries(
  prometheus: Prometheus,
  selector: string,
  startedS: number,
): Promise<ReadonlyMap<string, Stored>> {
  const rangeS = Date.now() / 1000 - startedS + 60;
  const found = new Map<string, Stored>();
  const times = new Map<number, string[]>();
  for (const { labels, values } of await prometheus.samples(selector, rangeS)) {
    const key = keyOf(labels);
    const dips = values.filter(({ value }, i) => i > 0 && value < values[i - 1]!.value).length;
    const last = values.at(-1)!;
    if (found.has(key)) throw new Error(`${selector} is stored twice for ${key}`);
    const hole = Math.max(0, ...values.slice(1).map(({ atS }, i) => atS - values[i]!.atS));
    found.set(key, { first: values[0]!.value, last: last.value, dips, hole, increase: Number.NaN });
    times.set(last.atS, [...(times.get(last.atS) ?? []), key]);
  }
  for (const [atS, keys] of times) {
    const increases = await prometheus.query(`increase(${selector}[${Math.ceil(rangeS)}s])`, atS);
    const byKey = new Map(increases.map(({ labels, value }) => [keyOf(labels), value]));
    for (const key of keys) found.set(key, { ...found.get(key)!, increase: Math.round(byKey.get(key) ?? Number.NaN) });
  }
  return found;
}
