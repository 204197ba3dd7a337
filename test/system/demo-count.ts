/** What the fleet has counted, asked from outside: the union of the replicas' scrapes, and Prometheus. */
import { parseExposition, type Sample } from '../support/exposition.ts';
import type { Prometheus } from '../support/services/prometheus.ts';
import type { Replica } from '../support/services/replica.ts';
import type { Truth } from '../support/traffic.ts';

const PREFIX = 'tempo_usage_tracker';
export const BYTES = `${PREFIX}_bytes_received_total`;

export type TenantCount = {
  bytes: number;
  spans: number;
  series: number;
  live: number;
  limit: number;
  overflowBytes: number;
};

export type Count = {
  readonly tenants: ReadonlyMap<string, TenantCount>;
  /** Bytes and records by reason. */
  readonly discarded: ReadonlyMap<string, { bytes: number; records: number }>;
  /** Sum over the tenants. */
  readonly bytes: number;
};

/** Sums over the replicas that answer. A series that two of them show at once counts twice: that would be a fault. */
export async function count(replicas: readonly Replica[]): Promise<Count> {
  const scrapes = await Promise.all(
    replicas.map((replica) => replica.scrape('/usage_metrics').then(parseExposition, () => [])),
  );
  const tenants = new Map<string, TenantCount>();
  const discarded = new Map<string, { bytes: number; records: number }>();
  let bytes = 0;
  for (const sample of scrapes.flat()) {
    addTenantSample(tenants, sample);
    addDiscard(discarded, sample);
    if (sample.name === BYTES) bytes += sample.value;
  }
  return { tenants, discarded, bytes };
}

function addTenantSample(tenants: Map<string, TenantCount>, { name, labels, value }: Sample): void {
  const tenant = labels.tenant;
  if (tenant === undefined) return;
  let sums = tenants.get(tenant);
  if (sums === undefined) {
    sums = { bytes: 0, spans: 0, series: 0, live: 0, limit: 0, overflowBytes: 0 };
    tenants.set(tenant, sums);
  }
  if (name === BYTES) {
    sums.bytes += value;
    sums.series += 1;
  } else if (name === `${PREFIX}_spans_received_total`) sums.spans += value;
  else if (name === `${PREFIX}_active_series`) sums.live += value;
  else if (name === `${PREFIX}_series_limit`) sums.limit += value;
  else if (name === `${PREFIX}_overflow_bytes_total`) sums.overflowBytes += value;
}

function addDiscard(discarded: Map<string, { bytes: number; records: number }>, { name, labels, value }: Sample): void {
  const reason = labels.reason;
  if (reason === undefined) return;
  const sums = discarded.get(reason) ?? { bytes: 0, records: 0 };
  if (name === `${PREFIX}_discarded_bytes_total`) sums.bytes += value;
  if (name === `${PREFIX}_discarded_records_total`) sums.records += value;
  discarded.set(reason, sums);
}

/** Everything that is not as it should be, in words; empty: exact. */
export function differences(truth: Truth, counted: Count): string[] {
  const problems: string[] = [];
  const compare = (what: string, should: number, is: number) => {
    if (should !== is) problems.push(`${what}: ${is} for ${should}`);
  };
  for (const tenant of new Set([...truth.tenants.keys(), ...counted.tenants.keys()])) {
    const should = truth.tenants.get(tenant);
    const is = counted.tenants.get(tenant);
    compare(`${tenant}, bytes`, should?.bytes ?? 0, is?.bytes ?? 0);
    compare(`${tenant}, spans`, should?.spans ?? 0, is?.spans ?? 0);
    compare(`${tenant}, live series`, Math.min(should?.series.size ?? 0, is?.limit ?? 0), is?.live ?? 0);
  }
  for (const reason of new Set<string>([...truth.discarded.keys(), ...counted.discarded.keys()])) {
    const should = [...truth.discarded].find(([name]) => name === reason)?.[1];
    const is = counted.discarded.get(reason);
    compare(`discarded as ${reason}, records`, should?.records ?? 0, is?.records ?? 0);
    compare(`discarded as ${reason}, bytes`, should?.bytes ?? 0, is?.bytes ?? 0);
  }
  return problems;
}

/**
 * Plain `increase()` over the whole run, by tenant. Evaluated at the moment of the tenant's last sample: at any other
 * moment Prometheus adds what it believes to have come since.
 */
export async function increases(prometheus: Prometheus, tenants: Iterable<string>): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const tenant of tenants) {
    const selector = `${BYTES}{tenant=${JSON.stringify(tenant)}}`;
    const last = await prometheus.query(`max(timestamp(${selector}))`);
    if (last.length === 0) continue;
    const sum = await prometheus.query(`sum(increase(${selector}[30m]))`, last[0]!.value);
    if (sum.length > 0) found.set(tenant, Math.round(sum[0]!.value));
  }
  return found;
}

/** The series in which Prometheus has seen something else than a scrape shows, in words, the largest first. */
export async function unlikeScrapes(prometheus: Prometheus, replicas: readonly Replica[]): Promise<string[]> {
  const scrapes = await Promise.all(replicas.map((replica) => replica.scrape('/usage_metrics').then(parseExposition)));
  const found: { readonly by: number; readonly text: string }[] = [];
  for (const { name, labels, value } of scrapes.flat()) {
    if (name !== BYTES) continue;
    const matchers = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    const selector = `${name}{${matchers.join(',')}}`;
    const last = await prometheus.query(`timestamp(${selector})`);
    const seen = last.length === 1 ? await prometheus.query(`increase(${selector}[30m])`, last[0]!.value) : [];
    const increase = Math.round(seen[0]?.value ?? 0);
    if (increase !== value)
      found.push({ by: Math.abs(value - increase), text: `${selector}: ${increase} for ${value}` });
  }
  return found.sort((a, b) => b.by - a.by).map(({ text }) => text);
}
