/** A walk through one record, from its bytes to what is gathered. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { decodeSeriesKey } from '../../src/attribution/series-key.ts';
import type { SeriesTable } from '../../src/attribution/series-table.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import type { SourceRecord } from '../../src/kafka/port.ts';
import type { RecordSink } from '../../src/ledger/gatherer.ts';
import { shardOf } from '../../src/ledger/keys.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { encodeRequest, type OtlpSpan } from '../support/otlp-encode.ts';

const { dimensions } = parseDimensions(
  [
    ['resource.service.name', 'service'],
    ['span.feature', ''],
  ],
  { sharedLabels: 'refuse' },
);

type Row = { tenant: string; labels: Record<string, string>; first: number; second: number };

/** Gathers into rows; `unwanted` shards have counted the record already. */
class Rows implements RecordSink {
  readonly rows: Row[] = [];
  readonly unwanted = new Set<number>();

  wants(shard: number): boolean {
    return !this.unwanted.has(shard);
  }

  add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    const { tenant } = table.accounts[table.accountOf(slot)]!;
    expect(shard).toBe(shardOf(tenant));
    const labels = Object.fromEntries(decodeSeriesKey(table.keyOf(slot)));
    const same = this.rows.find(
      (row) => row.tenant === tenant && JSON.stringify(row.labels) === JSON.stringify(labels),
    );
    if (same === undefined) this.rows.push({ tenant, labels, first, second });
    else {
      same.first += first;
      same.second += second;
    }
  }

  of(tenant: string): Row[] {
    return this.rows.filter((row) => row.tenant === tenant);
  }
}

const discards: string[] = [];
const pipeline = new Pipeline({
  tenants: new TenantChain(
    [
      { kind: 'header', name: 'X-Scope-OrgID' },
      { kind: 'resource', attribute: 'tenant.id' },
    ],
    '',
  ),
  settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 10, staleS: 900 }] }),
  maxLabelValueLength: 2048,
  watch: {
    accepted: () => {},
    discarded: (reason, _record, _where, detail) => discards.push(`${reason}: ${detail}`),
    regionDiscarded: (reason, bytes) => discards.push(`${reason}: ${bytes} bytes`),
  },
});

const record = (value: Buffer | null, tenant: string | null): SourceRecord => ({
  offset: 7,
  timestampMs: 0,
  key: null,
  value,
  headers: tenant === null ? [] : [{ name: 'x-scope-orgid', value: Buffer.from(tenant) }],
});

const gather = (one: SourceRecord, rows = new Rows()): Rows => {
  pipeline.gather(one, { topic: 'otlp_spans', partition: 0 }, rows);
  return rows;
};

const span = (feature?: string): OtlpSpan => ({
  name: 'op',
  attributes: feature === undefined ? [] : [['feature', feature]],
});
const value = encodeRequest(
  {
    resourceSpans: [
      {
        resource: { attributes: [['service.name', 'shop']] },
        scopeSpans: [{ spans: [span('search'), span('search'), span()] }],
      },
      { resource: { attributes: [] }, scopeSpans: [{ spans: [span('pay')] }] },
    ],
  },
  'descending',
);

describe('a record', () => {
  test('is attributed to the last byte, span by span', () => {
    const rows = gather(record(value, 'acme')).of('acme');
    expect(rows.map(({ labels, second }) => [labels, second])).toEqual([
      [{ service: 'shop', feature: 'search' }, 2],
      [{ service: 'shop', feature: '__missing__' }, 1],
      [{ service: '__missing__', feature: 'pay' }, 1],
    ]);
    expect(rows.reduce((sum, { first }) => sum + first, 0)).toBe(value.length);
  });

  test('has a fate of its own, counted once in bytes and records', () => {
    expect(gather(record(value, 'acme')).of(RECORDS_TENANT)).toEqual([
      { tenant: RECORDS_TENANT, labels: { outcome: 'accepted' }, first: value.length, second: 1 },
    ]);
  });

  test.each([
    ['null_value', null, 'acme'],
    ['malformed', value.subarray(0, value.length - 1), 'acme'],
    ['not_otlp', Buffer.from('{"resourceSlices":[]}'), 'acme'],
    ['malformed', Buffer.from('{"resourceSpans":[}'), 'acme'],
    ['other_signal', Buffer.from('{"resourceMetrics":[]}'), 'acme'],
    ['no_tenant', value, null],
    ['invalid_tenant', value, 'a/b'],
    ['invalid_tenant', value, RECORDS_TENANT],
  ])('that cannot be accepted (%s) is counted as such, and for no tenant', (reason, bytes, tenant) => {
    discards.length = 0;
    const { rows } = gather(record(bytes, tenant));
    expect(rows).toEqual([
      { tenant: RECORDS_TENANT, labels: { outcome: reason }, first: bytes?.length ?? 0, second: 1 },
    ]);
    expect(discards[0]).toMatch(new RegExp(`^${reason}: .+`));
  });

  test.each([
    ['metrics', 'other_signal'],
    ['traces', 'accepted'],
  ])('whose header otelcol.signal says %s is %s', (signal, outcome) => {
    const { headers, ...rest } = record(value, 'acme');
    const signalHeader = { name: 'otelcol.signal', value: Buffer.from(signal) };
    const fates = gather({ ...rest, headers: [...headers, signalHeader] }).of(RECORDS_TENANT);
    expect(fates).toEqual([{ tenant: RECORDS_TENANT, labels: { outcome }, first: value.length, second: 1 }]);
  });

  test('in JSON has the series of the protobuf that it stands for, and its own length in its fate', () => {
    const json = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"op"}]}]}]}';
    const rows = gather(record(Buffer.from(json), 'acme'));
    const same = encodeRequest(
      { resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'op', traceId: Buffer.of(), spanId: Buffer.of() }] }] }] },
      'descending',
    );
    expect(rows.of('acme').map(({ first, second }) => [first, second])).toEqual([[same.length, 1]]);
    expect(rows.of(RECORDS_TENANT)[0]).toMatchObject({ labels: { outcome: 'accepted' }, first: json.length });
  });

  test('that a shard has counted already adds nothing to it, and still to the other', () => {
    const rows = new Rows();
    rows.unwanted.add(shardOf('acme'));
    gather(record(value, 'acme'), rows);
    expect(rows.of('acme')).toEqual([]);
    expect(rows.of(RECORDS_TENANT)).toHaveLength(1);
    rows.unwanted.add(shardOf(RECORDS_TENANT));
    expect(gather(record(value, 'acme'), rows).rows).toHaveLength(1);
  });
});

test('nothing of a record is kept but copies: its memory is written over when the batch is done', () => {
  const rows = new Rows();
  for (const feature of ['search', 'cart', 'a'.repeat(300)]) {
    const one = record(
      encodeRequest({ resourceSpans: [{ scopeSpans: [{ spans: [span(feature)] }] }] }, 'descending'),
      'kept',
    );
    gather(one, rows);
    one.value!.fill(0x7a);
    (one.headers[0]!.value as Buffer).fill(0x7a);
  }
  expect(rows.of('kept').map(({ labels }) => labels.feature)).toEqual(['search', 'cart', 'a'.repeat(300)]);
  expect(rows.rows.filter(({ tenant }) => tenant.startsWith('zz'))).toEqual([]);
});

test('changed settings are in force from the next record on, once the pipeline is told', () => {
  let label = 'before';
  const tracker = () => ({
    name: 'cost-attribution',
    dimensions: [{ ...dimensions[0]!, label }],
    limit: 10,
    staleS: 900,
  });
  const changing = new Pipeline({
    tenants: { resolve: () => ({ kind: 'tenant', tenant: 'acme' }) },
    settings: () => ({ trackers: [tracker()] }),
    maxLabelValueLength: 2048,
    watch: { accepted: () => {}, discarded: () => {}, regionDiscarded: () => {} },
  });
  const rows = new Rows();
  const labels = () => rows.of('acme').flatMap((row) => Object.keys(row.labels));
  const add = () => changing.gather(record(value, null), { topic: 't', partition: 0 }, rows);
  add();
  label = 'after';
  add();
  expect(new Set(labels())).toEqual(new Set(['before']));
  changing.settingsChanged();
  add();
  expect(new Set(labels())).toEqual(new Set(['before', 'after']));
  expect(rows.of(RECORDS_TENANT)).toMatchObject([{ labels: { outcome: 'accepted' }, second: 3 }]);
});

describe('a record whose resources name its tenants', () => {
  const region = (tenant: string | null, ...services: readonly string[]) => ({
    resource: { attributes: tenant === null ? [] : ([['tenant.id', tenant]] as const) },
    scopeSpans: [{ spans: services.map((name) => ({ name, attributes: [['feature', name]] as const })) }],
  });
  const bytesOf = (rows: Rows, tenant: string): number => rows.of(tenant).reduce((sum, { first }) => sum + first, 0);
  const fates = (rows: Rows) => rows.of(RECORDS_TENANT).map(({ labels, ...amounts }) => [labels.outcome, amounts]);
  const encode = (...regions: readonly ReturnType<typeof region>[]) =>
    encodeRequest({ resourceSpans: regions }, 'descending');
  const unknown = Buffer.from('98030798030798037f', 'hex');

  test('gives each region to its tenant, and what is in no region to all of them in equal parts', () => {
    const regions = [region('acme', 'a', 'b'), region('globex', 'a'), region('acme', 'c')];
    const sizes = regions.map((one) => encode(one).length);
    const mixed = Buffer.concat([encode(...regions), unknown]);
    const rows = gather(record(mixed, null));
    expect(bytesOf(rows, 'acme')).toBe(sizes[0]! + sizes[2]! + 6);
    expect(bytesOf(rows, 'globex')).toBe(sizes[1]! + 3);
    expect(rows.of('acme').map(({ labels, second }) => [labels.feature, second])).toEqual([
      ['a', 1],
      ['b', 1],
      ['c', 1],
    ]);
    expect(fates(rows)).toEqual([['accepted', expect.objectContaining({ first: mixed.length, second: 1 })]]);
  });

  test('of one tenant has the series that it has with the tenant in a header', () => {
    const same = encode(region('acme', 'a', 'b'), region('acme', 'a'));
    expect(gather(record(same, null)).rows).toEqual(gather(record(same, 'acme')).rows);
  });

  test("discards the regions of nobody's, and their bytes are counted by the reason", () => {
    discards.length = 0;
    const regions = [region('acme', 'a'), region(null, 'a'), region('a/b', 'a')];
    const sizes = regions.map((one) => encode(one).length);
    const rows = gather(record(encode(...regions), null));
    expect(bytesOf(rows, 'acme')).toBe(sizes[0]);
    expect(fates(rows)).toEqual([
      ['no_tenant', expect.objectContaining({ first: sizes[1], second: 0 })],
      ['invalid_tenant', expect.objectContaining({ first: sizes[2], second: 0 })],
      ['accepted', expect.objectContaining({ first: sizes[0], second: 1 })],
    ]);
    expect(discards).toEqual([`no_tenant: ${sizes[1]} bytes`, `invalid_tenant: ${sizes[2]} bytes`]);
  });

  test('is discarded as a whole where no region is of anybody, and where one of them is broken', () => {
    const nobody = encode(region(null, 'a'), region('a/b', 'a'));
    expect(fates(gather(record(nobody, null)))).toEqual([
      ['no_tenant', expect.objectContaining({ first: nobody.length, second: 1 })],
    ]);
    const payload = Buffer.concat([encode(region('globex')).subarray(2), Buffer.from('120412024a05', 'hex')]);
    const broken = Buffer.concat([encode(region('acme', 'a')), Buffer.from([0x0a, payload.length]), payload]);
    const rows = gather(record(broken, null));
    expect(rows.of('acme')).toEqual([]);
    expect(fates(rows)).toEqual([['malformed', expect.objectContaining({ first: broken.length, second: 1 })]]);
  });

  test('adds nothing to the shard of a tenant that has counted it already, and still to that of the other', () => {
    const rows = new Rows();
    rows.unwanted.add(shardOf('acme'));
    gather(record(encode(region('acme', 'a'), region('globex', 'a')), null), rows);
    expect(rows.of('acme')).toEqual([]);
    expect(rows.of('globex')).toHaveLength(1);
  });

  test('is counted to the last byte, whatever is in it', () => {
    const tenants = fc.constantFrom('acme', 'globex', 'initech', null, 'a/b');
    const regions = fc.array(fc.tuple(tenants, fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 3 })), {
      maxLength: 5,
    });
    fc.assert(
      fc.property(regions, fc.nat(8), (given, extra) => {
        const request = encode(...given.map(([tenant, services]) => region(tenant, ...services)));
        const all = Buffer.concat([request, ...Array(extra).fill(Buffer.from('980307', 'hex'))]);
        const { rows } = gather(record(all, null));
        const tenantBytes = rows.reduce((sum, { tenant, first }) => sum + (tenant === RECORDS_TENANT ? 0 : first), 0);
        const of = (accepted: boolean, amount: 'first' | 'second') =>
          rows
            .filter(({ tenant, labels }) => tenant === RECORDS_TENANT && (labels.outcome === 'accepted') === accepted)
            .reduce((sum, row) => sum + row[amount], 0);
        expect(of(true, 'first') + of(false, 'first')).toBe(all.length);
        expect(of(true, 'second') + of(false, 'second')).toBe(1);
        expect(tenantBytes).toBe(of(true, 'first'));
      }),
    );
  });
});

describe('a record that is set aside', () => {
  const asked: string[] = [];
  let answer = true;
  const careful = new Pipeline({
    tenants: new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], ''),
    settings: () => ({ trackers: [] }),
    maxLabelValueLength: 2048,
    watch: { accepted: () => {}, discarded: (reason) => discards.push(reason), regionDiscarded: () => {} },
    setAside: (reason) => {
      asked.push(reason);
      return answer;
    },
  });
  const where = { topic: 'otlp_spans', partition: 0 };
  const BAD = record(Buffer.from('no OTLP'), 'acme');

  test('waits as long as it must, with nothing counted or told, and is counted once then', () => {
    discards.length = asked.length = 0;
    const rows = new Rows();
    answer = false;
    expect(careful.gather(BAD, where, rows)).toBe(false);
    expect([rows.rows, discards, asked]).toEqual([[], [], ['not_otlp']]);
    answer = true;
    expect(careful.gather(BAD, where, rows)).toBe(true);
    expect(rows.of(RECORDS_TENANT)).toHaveLength(1);
    expect(discards).toEqual(['not_otlp']);
  });

  test('is not set aside again where the ledger has counted it: no marker passed it before', () => {
    asked.length = 0;
    answer = false;
    const rows = new Rows();
    rows.unwanted.add(shardOf(RECORDS_TENANT));
    expect(careful.gather(BAD, where, rows)).toBe(true);
    expect(asked).toEqual([]);
  });

  test('a record that is good is nobody asked about', () => {
    asked.length = 0;
    expect(careful.gather(record(encodeRequest({ resourceSpans: [] }, 'ascending'), 'acme'), where, new Rows())).toBe(
      true,
    );
    expect(asked).toEqual([]);
  });
});
