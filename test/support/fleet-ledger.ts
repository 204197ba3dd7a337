/** The ledger of a fleet, read by a third party while the fleet works. */
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { decodeSeriesKey } from '../../src/attribution/series-key.ts';
import { RECORDS_LABEL } from '../../src/ledger/keys.ts';
import { type AccountName, type LedgerReader, SHARDS } from '../../src/ledger/port.ts';
import { RedisConnection } from '../../src/ledger/redis-connection.ts';
import { RedisLedger } from '../../src/ledger/redis-ledger.ts';
import type { Truth } from './traffic.ts';

export type FleetLedger = RedisLedger;

/** Close it. */
export function openFleetLedger(url: string, prefix: string): FleetLedger {
  return new RedisLedger(new RedisConnection({ url, commandTimeoutMs: 5_000 }), prefix);
}

export type AccountTotals = AccountName & {
  readonly live: number;
  /** Bytes and spans; of the ledger's own account, bytes and records. */
  readonly total: readonly [number, number];
  readonly overflow: readonly [number, number];
  readonly retired: readonly [number, number];
  readonly series: readonly { readonly labels: Readonly<Record<string, string>>; readonly values: readonly number[] }[];
};

/** Every account with every series; exact of each at rest. */
export async function readTotals(reader: LedgerReader): Promise<AccountTotals[]> {
  const shards = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => readShard(reader, shard)));
  return shards.flat();
}

async function readShard(reader: LedgerReader, shard: number): Promise<AccountTotals[]> {
  const changed = await reader.changes(shard, 0);
  const found: AccountTotals[] = [];
  for (const account of changed?.accounts ?? []) {
    const totals = await readAccount(reader, shard, account);
    if (totals !== null) found.push(totals);
  }
  return found;
}

async function readAccount(reader: LedgerReader, shard: number, account: AccountName): Promise<AccountTotals | null> {
  const rows = new Map<string, { id: Buffer; values: readonly number[] }>();
  let cursor: string | null = null;
  for (;;) {
    const page = await reader.page(shard, account, cursor, 1000);
    if (page === null) return null;
    for (const { id, values } of page.rows) rows.set(id.toString('hex'), { id, values });
    cursor = page.cursor;
    if (cursor !== null) continue;
    const keys = await reader.keys(shard, account, Buffer.concat([...rows.values()].map(({ id }) => id)));
    const { live, total, overflow, retired } = page.totals;
    return {
      ...account,
      live,
      total: pair(total),
      overflow: pair(overflow),
      retired: pair(retired),
      series: [...rows.values()].map(({ values }, i) => ({
        labels: Object.fromEntries(decodeSeriesKey(keys[i] ?? Buffer.alloc(0))),
        values,
      })),
    };
  }
}

function pair(vector: readonly number[]): readonly [number, number] {
  return [vector[0] ?? 0, vector[1] ?? 0];
}

/** What a ledger must hold at rest. */
export type Expected = {
  readonly tenants: ReadonlyMap<string, { readonly bytes: number; readonly spans: number }>;
  /** What became of records: `accepted`, or the reason why they were set aside. */
  readonly fates: ReadonlyMap<string, { readonly records: number; readonly bytes: number }>;
};

export function expectedOf(truth: Truth): Expected {
  const fates = new Map<string, { records: number; bytes: number }>(truth.discarded);
  fates.set('accepted', { bytes: truth.acceptedBytes, records: sumOf(truth.tenants.values(), 'records') });
  return { tenants: truth.tenants, fates };
}

/**
 * Everything in which the ledger differs from what it must hold, in words. Tenant by tenant bytes and spans; series +
 * overflow + retired == total; accepted and every reason in records and bytes; accepted + discarded == consumed.
 */
export function differencesFrom(totals: readonly AccountTotals[], expected: Expected): string[] {
  const problems: string[] = [];
  const compare = (what: string, should: number, is: number) => {
    if (should !== is) problems.push(`${what}: ${is} for ${should}`);
  };
  // Each tracker that counts a tenant counts all of it.
  const accounts = totals.filter(isOfTenant);
  const counted = new Set(accounts.map(({ tenant }) => tenant));
  for (const [tenant, { bytes }] of expected.tenants) if (!counted.has(tenant)) compare(`${tenant}, bytes`, bytes, 0);
  for (const { tenant, tracker, total } of accounts) {
    compare(`${tenant} in ${tracker}, bytes`, expected.tenants.get(tenant)?.bytes ?? 0, total[0]);
    compare(`${tenant} in ${tracker}, spans`, expected.tenants.get(tenant)?.spans ?? 0, total[1]);
  }
  for (const { tenant, total, overflow, retired, series } of totals) {
    for (const measure of [0, 1] as const) {
      const inSeries = series.reduce((sum, { values }) => sum + (values[measure] ?? 0), 0);
      compare(`${tenant}, parts ${measure}`, total[measure], inSeries + overflow[measure] + retired[measure]);
    }
  }
  const fates = fatesOf(totals);
  for (const fate of new Set([...expected.fates.keys(), ...fates.keys()])) {
    compare(`records ${fate}`, expected.fates.get(fate)?.records ?? 0, fates.get(fate)?.records ?? 0);
    compare(`bytes of records ${fate}`, expected.fates.get(fate)?.bytes ?? 0, fates.get(fate)?.bytes ?? 0);
  }
  compare('records in all', sumOf(expected.fates.values(), 'records'), sumOf(fates.values(), 'records'));
  compare('bytes in all', sumOf(expected.fates.values(), 'bytes'), sumOf(fates.values(), 'bytes'));
  return problems;
}

/** As `differencesFrom` the truth of the traffic, which must add up by itself. */
export function ledgerProblems(totals: readonly AccountTotals[], truth: Truth): string[] {
  const expected = expectedOf(truth);
  const problems = differencesFrom(totals, expected);
  if (sumOf(expected.fates.values(), 'records') !== truth.records) problems.push('the truth does not add up');
  return problems;
}

export function isOfTenant({ tenant }: AccountName): boolean {
  return tenant !== RECORDS_TENANT;
}

/** What became of records, by outcome. */
export function fatesOf(totals: readonly AccountTotals[]): Map<string, { bytes: number; records: number }> {
  const own = totals.find(({ tenant }) => tenant === RECORDS_TENANT);
  return new Map(
    (own?.series ?? []).map(({ labels, values }) => [
      labels[RECORDS_LABEL] ?? '',
      { bytes: values[0] ?? 0, records: values[1] ?? 0 },
    ]),
  );
}

function sumOf<K extends string>(items: Iterable<Readonly<Record<K, number>>>, key: K): number {
  let sum = 0;
  for (const item of items) sum += item[key];
  return sum;
}
