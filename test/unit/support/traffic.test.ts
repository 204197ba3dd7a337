import { expect, test } from '@jest/globals';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { TenantChain } from '../../../src/attribution/tenant.ts';
import { exactSplit } from '../../support/otlp-oracle.ts';
import { Traffic, type TrafficRecord, Truth } from '../../support/traffic.ts';
import { DEFAULT_TENANT, DIMENSIONS } from '../../support/traffic-world.ts';

const NOW_MS = 1_750_000_000_000;

function take(count: number, traffic: Traffic): TrafficRecord[] {
  return Array.from({ length: count }, () => traffic.next(NOW_MS));
}

test('the same seed makes the same records, another seed others', () => {
  const values = (seed: number) => take(20, new Traffic(seed)).map(({ value }) => value?.toString('hex'));
  expect(values(1)).toEqual(values(1));
  expect(values(1)).not.toEqual(values(2));
});

test('a record that counts is OTLP, with that tenant, those spans and series; one that does not says why', () => {
  const chain = new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], DEFAULT_TENANT);
  const { dimensions } = parseDimensions(Object.entries(DIMENSIONS), { sharedLabels: 'refuse' });
  const reasons = new Set<string>();
  for (const record of take(300, new Traffic(3, 0.3))) {
    const headers = Object.entries(record.headers).map(([name, value]) => ({ name, value: Buffer.from(value) }));
    const owner = chain.resolve({ key: null, headers }, 'spans');
    if (owner.kind === 'regions') throw new Error('no resource is asked for');
    if (record.discard !== null) reasons.add(record.discard);
    if (record.discard === 'invalid_tenant') expect(owner).toMatchObject({ kind: 'discard', reason: 'invalid_tenant' });
    else if (record.discard === 'null_value') expect(record.value).toBeNull();
    else if (record.discard !== null) expect(() => exactSplit(record.value!, dimensions)).toThrow();
    else {
      expect(owner).toEqual({ kind: 'tenant', tenant: record.tenant });
      const split = exactSplit(record.value!, dimensions);
      expect(new Set(split.keys())).toEqual(record.series);
      expect([...split.values()].reduce((sum, [, spans]) => sum + spans, 0)).toBe(record.spans);
    }
  }
  expect([...reasons].sort()).toEqual(['invalid_tenant', 'malformed', 'not_otlp', 'null_value']);
});

test('one tenant makes more series than any limit of the demo, the others stay below', () => {
  const truth = new Truth();
  for (const record of take(600, new Traffic(5))) truth.add(record);
  const sizes = Object.fromEntries([...truth.tenants].map(([tenant, { series }]) => [tenant, series.size]));
  expect(sizes['initech-search']).toBeGreaterThan(500);
  for (const [tenant, size] of Object.entries(sizes)) if (tenant !== 'initech-search') expect(size).toBeLessThan(100);
  const parts = [...truth.tenants.values(), ...truth.discarded.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  expect(parts).toBe(truth.bytes);
});
