/** The vectors of test/fixtures/tempo, and how one is driven through our pipeline and ledger. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Accounting } from '../../src/attribution/accounting.ts';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import type { TenantResolver } from '../../src/attribution/tenant.ts';
import { type CountedSeries, ReplayRun } from '../../src/commands/replay-run.ts';
import { shardOf } from '../../src/ledger/keys.ts';
import { Pipeline } from '../../src/pipeline.ts';

export type VectorSeries = {
  readonly tenant?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly bytes: number | string;
  /** Below zero: what `bytes` is without its overflow. */
  readonly bytes_signed?: number;
  readonly label_pairs?: readonly (readonly [string, string])[];
};

type Dimensions = Readonly<Record<string, string>>;

export type Vector = {
  readonly name: string;
  readonly category: string;
  /** `collector`: as the Collector writes; `sdk`: absent messages stay absent; `raw`: by hand. */
  readonly encoding: 'collector' | 'sdk' | 'raw';
  readonly tags?: readonly string[];
  readonly config: {
    readonly dimensions: Dimensions;
    readonly max_cardinality?: number;
    readonly tenant_max_cardinality?: number;
    readonly stale_duration?: string;
  };
  readonly tenant: string;
  readonly batches_b64: readonly string[];
  readonly batches: readonly { readonly wire_bytes: number; readonly counted: boolean; readonly error?: string }[];
  readonly steps?: readonly {
    readonly op: 'observe' | 'advance' | 'purge';
    readonly batch: number;
    readonly seconds?: number;
    readonly tenant?: string;
    readonly dimensions?: Dimensions;
    readonly tenant_max_cardinality?: number;
  }[];
  readonly expected_series: readonly VectorSeries[];
  readonly expected_series_set?: readonly (readonly VectorSeries[])[];
  readonly expected_dropped?: readonly { readonly label_values_b64: readonly string[]; readonly bytes: number }[];
  readonly expected_text: string;
  readonly expected_text_status: number;
};

const FILE = join(import.meta.dirname, '../fixtures/tempo/vectors.jsonl.gz');

export const readVectors = (): readonly Vector[] =>
  gunzipSync(readFileSync(FILE))
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Vector);

export const TRACKER = 'cost-attribution';
const TICK_S = 60;

export const staleSecondsOf = ({ config }: Vector): number => {
  const match = /^(\d+)(s|m)$/.exec(config.stale_duration ?? '15m');
  if (match === null) throw new Error(`a stale_duration of ${config.stale_duration}`);
  return Number(match[1]) * (match[2] === 'm' ? 60 : 1);
};

export type Outcome = {
  readonly series: readonly CountedSeries[];
  /** By batch, as often as it was observed. */
  readonly refused: ReadonlyMap<number, number>;
  readonly acceptedBytes: number;
  readonly clamped: number;
};

/** What the settings of a vector are refused with; empty: they are accepted. */
export const refusals = ({ config }: Vector): readonly string[] =>
  parseDimensions(Object.entries(config.dimensions), { sharedLabels: 'allow' }).problems.map(({ text }) => text);

type Force = { dimensions: Dimensions; limit: number };

/** Drives one vector. Its clock stands still but for its steps. */
export const runVector = async (vector: Vector, accounting: Accounting): Promise<Outcome> => {
  const { config } = vector;
  let nowS = 1_700_000_000;
  const run = new ReplayRun(() => nowS * 1e6);
  await run.begin();
  const first: Force = {
    dimensions: config.dimensions,
    limit: config.tenant_max_cardinality || (config.max_cardinality ?? 10_000),
  };
  const inForce = new Map<string, Force>();
  const forceOf = (tenant: string): Force => inForce.get(tenant) ?? first;
  const labels = new Map<string, ReadonlySet<string>>();
  const refused = new Map<number, number>();
  const counts = { acceptedBytes: 0, clamped: 0 };
  const observe = (batch: number, tenant: string): void => {
    const { dimensions, limit } = forceOf(tenant);
    const parsed = parseDimensions(Object.entries(dimensions), { sharedLabels: 'allow' });
    const names = parsed.dimensions.map(({ label }) => label);
    labels.set(tenant, new Set(names));
    // A tenant id that no header may carry is a label value all the same.
    const tenants: TenantResolver = { resolve: () => ({ kind: 'tenant', tenant }) };
    const tracker = { name: TRACKER, dimensions: parsed.dimensions, limit, staleS: staleSecondsOf(vector) };
    const { gather } = new Pipeline({
      tenants,
      settings: () => ({ trackers: [tracker] }),
      maxLabelValueLength: 65_536,
      encoding: () => 'otlp_proto',
      accounting,
      watch: {
        accepted: (bytes, _, clamped) => {
          counts.acceptedBytes += bytes;
          counts.clamped += clamped;
        },
        regionDiscarded: () => {},
        discarded: () => void refused.set(batch, (refused.get(batch) ?? 0) + 1),
      },
    });
    run.add(gather, Buffer.from(vector.batches_b64[batch]!, 'base64'));
  };
  const steps = vector.steps ?? vector.batches.map((_, batch) => ({ op: 'observe' as const, batch }));
  for (const step of steps) {
    const tenant = ('tenant' in step ? step.tenant : undefined) ?? vector.tenant;
    if (step.op === 'observe') {
      const before = forceOf(tenant);
      const dimensions = ('dimensions' in step ? step.dimensions : undefined) ?? before.dimensions;
      const limit = ('tenant_max_cardinality' in step ? step.tenant_max_cardinality : undefined) ?? before.limit;
      inForce.set(tenant, { dimensions, limit });
      observe(step.batch, tenant);
      await run.flush();
    } else if (step.op === 'advance') {
      // The clock of a shard passes by the calls that it gets.
      for (let left = step.seconds ?? 0; left > 0; left -= TICK_S) {
        nowS += Math.min(left, TICK_S);
        await tick(run, vector.tenant);
      }
    } else await purge(run, vector);
  }
  const series: CountedSeries[] = [];
  for (const [tenant, names] of labels) {
    for await (const one of run.series({ tenant, tracker: TRACKER }, [...names].sort())) series.push(one);
  }
  return { series, refused, ...counts };
};

const tick = async (run: ReplayRun, tenant: string): Promise<void> => {
  await run.ledger.commit({ shard: shardOf(tenant), maxTenants: 10, accounts: [], sections: [] });
};

const purge = async (run: ReplayRun, vector: Vector): Promise<void> => {
  const account = { tenant: vector.tenant, tracker: TRACKER };
  let cursor: string | null = null;
  do {
    ({ cursor } = await run.ledger.purge(shardOf(vector.tenant), account, staleSecondsOf(vector), cursor, 1_000));
  } while (cursor !== null);
};
