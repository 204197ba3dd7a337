/** Records with known truth, small and few, so that thousands of schedules can share them. */
import type { SourceRecord } from '../../src/kafka/port.ts';
import { shardOf } from '../../src/ledger/keys.ts';
import { encodeRequest } from '../support/otlp-encode.ts';
import type { Random } from './scheduler.ts';

export type Truth = {
  /** Null: not accepted. */
  readonly tenant: string | null;
  readonly outcome: string;
  readonly bytes: number;
  readonly spans: number;
  /** Of the tenant; -1 without one. */
  readonly shard: number;
};

export type SimRecord = Omit<SourceRecord, 'offset' | 'timestampMs'> & {
  readonly truth: Truth;
  readonly services: readonly number[];
};

export const TENANTS = ['acme', 'globex', 'initech'];
export const DEFAULT_TENANT = 'single-tenant';
export const SERVICES = 14;

const header = (tenant: string) => [{ name: 'X-Scope-OrgID', value: Buffer.from(tenant) }];

const value = (services: readonly number[], order: 'ascending' | 'descending'): Buffer =>
  encodeRequest(
    {
      resourceSpans: services.map((service) => ({
        resource: { attributes: [['service.name', `service-${service}`]] },
        scopeSpans: [{ spans: Array.from({ length: 1 + (service % 3) }, (_, i) => ({ name: `op-${i}` })) }],
      })),
    },
    order,
  );

const spansOf = (services: readonly number[]): number => services.reduce((sum, service) => sum + 1 + (service % 3), 0);

const accepted = (tenant: string | null, services: readonly number[], order: 'ascending' | 'descending'): SimRecord => {
  const bytes = value(services, order);
  const truth = {
    tenant: tenant ?? DEFAULT_TENANT,
    outcome: 'accepted',
    bytes: bytes.length,
    spans: spansOf(services),
    shard: shardOf(tenant ?? DEFAULT_TENANT),
  };
  return { key: null, value: bytes, headers: tenant === null ? [] : header(tenant), truth, services };
};

const discarded = (outcome: string, bytes: Buffer | null, tenant: string): SimRecord => ({
  key: null,
  value: bytes,
  headers: header(tenant),
  truth: { tenant: null, outcome, bytes: bytes?.length ?? 0, spans: 0, shard: -1 },
  services: [],
});

const POOL: readonly SimRecord[] = [
  ...[...TENANTS, null].flatMap((tenant) =>
    Array.from({ length: SERVICES }, (_, service) =>
      accepted(tenant, [service], service % 2 === 0 ? 'ascending' : 'descending'),
    ),
  ),
  ...TENANTS.flatMap((tenant) =>
    Array.from({ length: 6 }, (_, i) => accepted(tenant, [i, i + 4, i + 8], 'descending')),
  ),
  discarded('malformed', Buffer.from([0x0a, 0x7f, 1, 2]), 'acme'),
  discarded('null_value', null, 'acme'),
  discarded('invalid_tenant', Buffer.from([0x0a, 0x00]), 'no/such'),
];

/** A tenant that a client made up. */
export const madeUpRecord = (random: Random): SimRecord =>
  accepted(`made-up-${Math.floor(random() * 60)}`, [Math.floor(random() * SERVICES)], 'descending');

/** One of very many series of a tenant. */
export const bombRecord = (random: Random): SimRecord =>
  accepted(TENANTS[0]!, [SERVICES + Math.floor(random() * 4000)], 'ascending');

/** `services`: only series below it occur. */
export const anyRecord = (random: Random, services: number): SimRecord => {
  for (;;) {
    const record = POOL[Math.floor(random() * POOL.length)]!;
    if (record.services.every((service) => service < services)) return record;
  }
};
