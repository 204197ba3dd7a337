/** Every record that a real Collector wrote to a real Kafka, through the whole pipeline: whose bytes, and how many. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { RECORDS_TENANT } from '../../../src/attribution/reserved.ts';
import { TenantChain, type TenantSource } from '../../../src/attribution/tenant.ts';
import { Decoder } from '../../../src/otlp/decode.ts';
import { Pipeline } from '../../../src/pipeline.ts';
import { decodeRequest } from '../../support/otlp-oracle.ts';

type Line = {
  readonly case: string;
  readonly encoding: string;
  readonly value_b64: string;
  readonly headers: readonly { readonly name: string; readonly value_b64: string }[];
  readonly tenant_ids?: readonly (string | null)[];
};

const fixture = join(import.meta.dirname, '../../fixtures/otlp/collector-records.jsonl.gz');
const LINES = gunzipSync(readFileSync(fixture))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Line);
const { dimensions } = parseDimensions([['service.name', '']], { sharedLabels: 'refuse' });

/** Bytes by tenant, and the record's fates. */
const gathered = (line: Line, sources: readonly TenantSource[], fallback: string) => {
  const bytes = new Map<string, number>();
  const fates = new Map<string, number>();
  const pipeline = new Pipeline({
    tenants: new TenantChain(sources, fallback),
    settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 100, staleS: 900 }] }),
    maxLabelValueLength: 2048,
    watch: {
      accepted: () => void fates.set('accepted', 1),
      discarded: (reason) => void fates.set(reason, 1),
      regionDiscarded: (reason) => void fates.set(reason, 1),
    },
  });
  const headers = line.headers.map(({ name, value_b64 }) => ({ name, value: Buffer.from(value_b64, 'base64') }));
  const value = Buffer.from(line.value_b64, 'base64');
  const record = { offset: 0, timestampMs: 0, key: null, value, headers };
  pipeline.gather(
    record,
    { topic: 'otlp_spans', partition: 0 },
    {
      wants: () => true,
      add: (_shard, table, slot, first) => {
        const { tenant } = table.accounts[table.accountOf(slot)]!;
        if (tenant !== RECORDS_TENANT) bytes.set(tenant, (bytes.get(tenant) ?? 0) + first);
      },
    },
  );
  return { bytes, fates: [...fates.keys()] };
};

const isOtlp = ({ encoding }: Line): boolean => encoding.startsWith('otlp');
const decoder = new Decoder();
const protobufOf = (line: Line): Buffer =>
  Buffer.from(decoder.decode(Buffer.from(line.value_b64, 'base64'), 'auto') as Buffer);

test('is counted for the tenant of its header, to its bytes as protobuf', () => {
  const header: TenantSource = { kind: 'header', name: 'x-scope-orgid' };
  let invalid = 0;
  for (const line of LINES.filter(isOtlp)) {
    const named = line.headers.find(({ name, value_b64 }) => /^x-scope-orgid$/i.test(name) && value_b64 !== '');
    const tenant = named === undefined ? 'nobody' : Buffer.from(named.value_b64, 'base64').toString();
    const { bytes, fates } = gathered(line, [header], 'nobody');
    if (tenant.includes('|')) {
      expect([line.case, fates, bytes.size]).toEqual([line.case, ['invalid_tenant'], 0]);
      invalid++;
    } else
      expect([line.case, fates, [...bytes]]).toEqual([line.case, ['accepted'], [[tenant, protobufOf(line).length]]]);
  }
  expect(invalid).toBeGreaterThan(0);
});

test('is split by the tenants of its resources', () => {
  const source: TenantSource = { kind: 'resource', attribute: 'tenant.id' };
  let several = 0;
  for (const line of LINES.filter(isOtlp)) {
    const ids = (line.tenant_ids ?? []).map((id) => id ?? 'nobody');
    const value = protobufOf(line);
    const { bytes, fates } = gathered(line, [source], 'nobody');
    expect([line.case, fates]).toEqual([line.case, ['accepted']]);
    expect([line.case, [...bytes.keys()].sort()]).toEqual([line.case, [...new Set(ids)].sort()]);
    expect([...bytes.values()].reduce((sum, one) => sum + one, 0)).toBe(value.length);
    expect(decodeRequest(value).resourceSpans).toHaveLength(ids.length);
    if (bytes.size > 1) several++;
  }
  expect(several).toBeGreaterThan(0);
});

test('is discarded with the reason of its own where it is in the form of Jaeger or Zipkin', () => {
  for (const line of LINES.filter((one) => !isOtlp(one)))
    expect(gathered(line, [], 'nobody').fates).toEqual([line.encoding.split('_')[0]]);
});
