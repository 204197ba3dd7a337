/**
 * Hostile and odd records, by kind, through the pipeline as a whole: each has one outcome, whatever comes before and after
 * it is counted exactly, nothing throws. What needs brokers (transactions, each codec from each client, rebalances) is in
 * test/integration: `kafka-reading`, `kafka-group`, `fleet-crash`; real records of Collectors are in
 * `attribution/collector-records`.
 */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { decodeSeriesKey } from '../../src/attribution/series-key.ts';
import type { SeriesTable } from '../../src/attribution/series-table.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import type { TenantSource } from '../../src/config/config.ts';
import { CODECS } from '../../src/kafka/codecs.ts';
import type { RecordHeader } from '../../src/kafka/port.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { encodeRequest, type OtlpAttributes, type OtlpRequest, type OtlpSpan } from '../support/otlp-encode.ts';
import { seeded } from '../support/random.ts';

type Row = { readonly labels: Readonly<Record<string, string>>; readonly bytes: number; readonly spans: number };
type Seen = { readonly fate: string; readonly rows: Readonly<Record<string, readonly Row[]>> };
type Options = {
  readonly headers?: readonly RecordHeader[];
  readonly key?: string;
  readonly topic?: string;
  readonly from?: readonly TenantSource[];
  readonly none?: string;
  readonly dimensions?: readonly (readonly [string, string])[];
};

const DIMENSIONS = [
  ['resource.service.name', 'service'],
  ['feature', ''],
] as const;
const HEADER: TenantSource = { kind: 'header', name: 'X-Scope-OrgID' };

/** What becomes of one record between two good ones, whose own bytes must be as they are alone. */
const see = (value: Buffer | null, options: Options = {}): Seen => {
  const {
    headers = [],
    key,
    topic = 'otlp_spans',
    from = [HEADER],
    none = 'nobody',
    dimensions = DIMENSIONS,
  } = options;
  let fate = '';
  const pipeline = new Pipeline({
    tenants: new TenantChain(from, none),
    settings: () => ({
      trackers: [
        {
          name: 'cost-attribution',
          dimensions: parseDimensions(dimensions, { sharedLabels: 'allow' }).dimensions,
          limit: 1_000,
          staleS: 900,
        },
      ],
    }),
    maxLabelValueLength: 2_048,
    watch: {
      accepted: () => {
        fate = 'accepted';
      },
      discarded: (reason) => {
        fate = reason;
      },
      regionDiscarded: () => {},
    },
  });
  const gather = (one: Buffer | null, own: boolean): Map<string, Row[]> => {
    const rows = new Map<string, Row[]>();
    const add = (_shard: number, table: SeriesTable, slot: number, bytes: number, spans: number): void => {
      const { tenant } = table.accounts[table.accountOf(slot)]!;
      const row = { labels: Object.fromEntries(decodeSeriesKey(table.keyOf(slot))), bytes, spans };
      rows.set(tenant, [...(rows.get(tenant) ?? []), row]);
    };
    const record = { offset: 1, timestampMs: 0, key: own && key !== undefined ? Buffer.from(key) : null, value: one };
    const neighbour = [{ name: 'X-Scope-OrgID', value: Buffer.from('neighbour') }];
    pipeline.gather(
      { ...record, headers: own ? headers : neighbour },
      { topic, partition: 0 },
      { wants: () => true, add },
    );
    return rows;
  };
  const sum = (rows: readonly Row[] = []): number => rows.reduce((all, { bytes }) => all + bytes, 0);
  const neighbour = (): number =>
    [...gather(GOOD, false)].reduce((all, [name, rows]) => (name === RECORDS_TENANT ? all : all + sum(rows)), 0);
  expect(neighbour()).toBe(GOOD.length);
  const rows = gather(value, true);
  const found = fate;
  // Conserved: discarded, none of it; accepted in exact accounting, all of it.
  expect(sum(rows.get(RECORDS_TENANT))).toBe(value?.length ?? 0);
  expect(neighbour()).toBe(GOOD.length);
  rows.delete(RECORDS_TENANT);
  if (found !== 'accepted') expect(rows.size).toBe(0);
  return { fate: found, rows: Object.fromEntries(rows) };
};

const header = (name: string, value: string): RecordHeader => ({ name, value: Buffer.from(value) });
const bytesOf = ({ rows }: Seen): number =>
  Object.values(rows)
    .flat()
    .reduce((sum, { bytes }) => sum + bytes, 0);
const spansOf = ({ rows }: Seen): number =>
  Object.values(rows)
    .flat()
    .reduce((sum, { spans }) => sum + spans, 0);
const span = (attributes: OtlpAttributes = [], more: Partial<OtlpSpan> = {}): OtlpSpan => ({
  name: 's',
  attributes,
  ...more,
});
const region = (spans: readonly OtlpSpan[], attributes: OtlpAttributes = [['service.name', 'shop']]): OtlpRequest => ({
  resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }],
});
const both = (request: OtlpRequest): Buffer[] => [
  encodeRequest(request, 'ascending'),
  encodeRequest(request, 'descending'),
];
/** Accepted, with all of its bytes in series. */
const whole = (value: Buffer, options: Options = {}): Seen => {
  const seen = see(value, options);
  expect([seen.fate, bytesOf(seen)]).toEqual(['accepted', value.length]);
  return seen;
};
const label = (seen: Seen, name: string): string[] =>
  Object.values(seen.rows)
    .flat()
    .map(({ labels }) => labels[name]!);

const GOOD = encodeRequest(region([span([['feature', 'good']])]), 'ascending');

describe('1: a batch, and the same one split by trace', () => {
  test('the parts hold the resource each, so their bytes are more by just that, and their spans the same', () => {
    const spans = Array.from({ length: 6 }, (_, i) => span([], { traceId: Buffer.alloc(16, 1 + (i % 3)) }));
    const one = encodeRequest(region(spans), 'descending');
    const parts = [0, 1, 2].map((trace) =>
      encodeRequest(region(spans.filter((_, i) => i % 3 === trace)), 'descending'),
    );
    const split = parts.map((part) => whole(part));
    expect(split.reduce((sum, seen) => sum + spansOf(seen), 0)).toBe(spansOf(whole(one)));
    const repeated = parts.reduce((sum, { length }) => sum + length, 0) - one.length;
    expect(repeated).toBeGreaterThan(0);
    expect(split.reduce((sum, seen) => sum + bytesOf(seen), 0)).toBe(one.length + repeated);
  });
});

describe('2: many tiny spans, none, and parts that are absent', () => {
  test.each([300, 1_000, 8_192])('%d empty spans under one resource: no share below zero', (count) => {
    for (const value of both(
      region(Array.from({ length: count }, (_, i) => (i === 0 ? span([['feature', 'first']]) : {}))),
    )) {
      const seen = whole(value);
      for (const { bytes } of Object.values(seen.rows).flat()) expect(bytes).toBeGreaterThan(0);
      expect(spansOf(seen)).toBe(count);
    }
  });

  test.each<[string, OtlpRequest]>([
    ['no spans', region([])],
    ['no resource', { resourceSpans: [{ scopeSpans: [{ spans: [span()] }] }] }],
    ['no scope', { resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [{ spans: [span()] }] }] }],
    ['an empty list of scopes', { resourceSpans: [{ resource: { attributes: [] }, scopeSpans: [] }] }],
    ['an empty region', { resourceSpans: [{ scopeSpans: [] }] }],
    ['no region', { resourceSpans: [] }],
  ])('%s', (_, request) => {
    for (const value of both(request)) whole(value);
  });
});

describe('3: long scopes, and everything that a span may carry', () => {
  test.each([127, 128, 16_383, 16_384, 100_000])('a scope of %d bytes', (length) => {
    const scope = { name: 'x'.repeat(length), version: '1' };
    for (const value of both({
      resourceSpans: [{ scopeSpans: [{ scope, spans: [span(), span()], schemaUrl: 'u' }], schemaUrl: 'v' }],
    }))
      whole(value);
  });

  test('events with long stacks, links, dropped counts, flags, unknown fields, padded varints', () => {
    const rich = span([['feature', 'rich']], {
      events: [{ name: 'exception', attributes: [['exception.stacktrace', 'at f\n'.repeat(1_000)]] }],
      links: [{ traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 1), attributes: [['a', 1]] }],
      droppedAttributesCount: 7,
      flags: 0x301,
      status: { code: 2, message: 'no' },
    });
    for (const value of both(region([rich, span()]))) whole(value);
    const random = seeded(7).next;
    for (let i = 0; i < 50; i++)
      whole(encodeRequest(region([rich, span()]), { order: 'random', random, unknown: 0.3, padded: 0.3 }));
  });
});

describe('4: attribute values of every kind', () => {
  test.each<[string, OtlpAttributes[number][1], string]>([
    ['a string', 'text', 'text'],
    ['an empty string', '', '__missing__'],
    ['an integer', 42, '42'],
    ['a large integer', 9_007_199_254_740_993n, '9007199254740993'],
    ['a double', { double: 1.5 }, '1.5'],
    ['a boolean', true, 'true'],
    ['bytes', Buffer.from([1, 2]), '__missing__'],
    ['an array', { array: ['a', 1] }, '__missing__'],
    ['a map', { kvlist: [['a', { array: [{ kvlist: [] }] }]] }, '__missing__'],
    ['null', null, '__missing__'],
    ['100 kB', 'y'.repeat(100_000), 'y'.repeat(2_048)],
    ['quotes, backslashes, line feeds', 'a"b\\c\nd', 'a"b\\c\nd'],
  ])('%s', (_, value, shown) => {
    for (const bytes of both(region([span([['feature', value]])])))
      expect(label(whole(bytes), 'feature')).toEqual([shown]);
  });

  test('a key twice: the first that can be used; bytes that are no UTF-8 are replaced', () => {
    const twice: OtlpAttributes = [
      ['feature', ''],
      ['feature', 'second'],
      ['feature', 'third'],
    ];
    expect(label(whole(encodeRequest(region([span(twice)]), 'ascending')), 'feature')).toEqual(['second']);
    const value = encodeRequest(region([span([['feature', 'abcd']])]), 'ascending');
    value.fill(0xff, value.indexOf('abcd'), value.indexOf('abcd') + 2);
    expect(label(whole(value), 'feature')).toEqual(['\ufffd\ufffdcd']);
  });
});

describe('5: one attribute at two levels, two attributes for one label', () => {
  const request = region([span([['team', 'of the span']])], [['team', 'of the resource']]);

  test.each<[string, readonly (readonly [string, string])[], string]>([
    ['unscoped: the span wins', [['team', 't']], 'of the span'],
    ['of the resource', [['resource.team', 't']], 'of the resource'],
    ['of the span', [['span.team', 't']], 'of the span'],
    [
      'two for one label: the later wins',
      [
        ['span.team', 't'],
        ['resource.team', 't'],
      ],
      'of the resource',
    ],
    [
      'the later has none',
      [
        ['span.team', 't'],
        ['resource.none', 't'],
      ],
      'of the span',
    ],
  ])('%s', (_, dimensions, shown) => {
    for (const value of both(request)) expect(label(whole(value, { dimensions }), 't')).toEqual([shown]);
  });
});

describe('6: frames, and what is not traces', () => {
  const SHORT = Buffer.from('000000002a00', 'hex');
  const LONG = Buffer.from('000000002a04060200'.slice(0, 16), 'hex');

  test.each<[string, Buffer, string]>([
    ['a frame, the short index', Buffer.concat([SHORT, GOOD]), 'accepted'],
    ['a frame, two indexes', Buffer.concat([LONG, GOOD]), 'accepted'],
    ['a wrong magic', Buffer.concat([Buffer.from([2]), SHORT.subarray(1), GOOD]), 'not_otlp'],
    ['a frame that is cut off', SHORT.subarray(0, 3), 'malformed'],
    ['a varint that is cut off', Buffer.from([0x0a, 0x80]), 'malformed'],
    ['a varint of eleven bytes', Buffer.concat([Buffer.from([0x0a]), Buffer.alloc(11, 0xff)]), 'malformed'],
    ['packed by somebody', gzipSync(GOOD), 'not_otlp'],
  ])('%s', (_, value, fate) => {
    expect(see(value).fate).toBe(fate);
  });

  test("the bytes of a frame are nobody's", () => {
    expect(bytesOf(see(Buffer.concat([SHORT, GOOD])))).toBe(GOOD.length);
  });

  test.each([
    ['metrics', '{"resourceMetrics":[{"resource":{},"scopeMetrics":[]}]}'],
    ['logs', '{"resourceLogs":[{"resource":{},"scopeLogs":[]}]}'],
  ])('%s as JSON', (_, text) => {
    expect(see(Buffer.from(text)).fate).toMatch(/^(?:other_signal|not_otlp)$/);
  });

  test.each<[string, readonly RecordHeader[], string]>([
    ['missing', [], 'accepted'],
    ['traces', [header('otelcol.signal', 'traces')], 'accepted'],
    [
      'twice, one of them another',
      [header('otelcol.signal', 'traces'), header('otelcol.signal', 'logs')],
      'other_signal',
    ],
    ['unknown', [header('otelcol.signal', 'profiles')], 'other_signal'],
  ])('the header otelcol.signal: %s', (_, headers, fate) => {
    expect(see(GOOD, { headers }).fate).toBe(fate);
  });
});

describe('7: JSON in every spelling', () => {
  const json = (trace: string, nano: string, kind: string, more = ''): string =>
    `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},` +
    `"scopeSpans":[{"spans":[{"traceId":"${trace}","spanId":"eee19b7ec3c1b174","name":"s","startTimeUnixNano":${nano},` +
    `"kind":${kind}${more},"attributes":[{"key":"feature","value":{"intValue":${nano.length > 3 ? '"7"' : '7'}}}]}]}]}]}`;
  const HEX = '5b8efff798038103d269b633813fc60c';
  const PLAIN = json(HEX, '"1544712660000000000"', '2');

  test.each([
    ['ids in base64', json(Buffer.from(HEX, 'hex').toString('base64'), '"1544712660000000000"', '2')],
    ['integers as numbers', json(HEX, '1544712660000000000', '2')],
    ['names of enumerations', json(HEX, '"1544712660000000000"', '"SPAN_KIND_SERVER"')],
    ['unknown keys', json(HEX, '"1544712660000000000"', '2', ',"what":[{"is":{"this":null}}]')],
    [
      'snake case',
      PLAIN.replace(/[a-z][A-Z]/g, ([low, high]) => `${low}_${high!.toLowerCase()}`).replaceAll('"2"', '2'),
    ],
  ])('%s: as many bytes, the same series', (_, text) => {
    expect(see(Buffer.from(text)).rows).toEqual(see(Buffer.from(PLAIN)).rows);
    expect(see(Buffer.from(text)).fate).toBe('accepted');
  });

  test('several requests, one a line', () => {
    const seen = see(Buffer.from(`${PLAIN}\n${PLAIN}\r\n\n${PLAIN}\n`));
    expect([seen.fate, bytesOf(seen)]).toEqual(['accepted', 3 * bytesOf(see(Buffer.from(PLAIN)))]);
  });

  test.each([['{"resourceSpans":['], ['{"resourceSpans":7}'], ['[1,2]'], ['{"a":1}']])('%s is set aside', (text) => {
    expect(see(Buffer.from(text)).fate).toMatch(/^(?:malformed|not_otlp)$/);
  });
});

describe('8: whose it is', () => {
  const TOPIC: TenantSource = { kind: 'topic', pattern: '^traces-(?<tenant>.+)$' };

  test.each<[string, Options, string]>([
    ['the header', { headers: [header('X-Scope-OrgID', 'acme')] }, 'acme'],
    ['in other letters', { headers: [header('x-scope-orgid', 'acme')] }, 'acme'],
    [
      'twice, with different values: the first',
      { headers: [header('X-Scope-OrgID', 'a'), header('x-scope-orgid', 'b')] },
      'a',
    ],
    ['empty', { headers: [header('X-Scope-OrgID', '')] }, 'nobody'],
    ['empty, then one', { headers: [header('X-Scope-OrgID', ''), header('X-Scope-OrgID', 'b')] }, 'b'],
    ['only in the key', { key: 'acme', from: [HEADER, { kind: 'key' }] }, 'acme'],
    ['only in the topic', { topic: 'traces-acme', from: [HEADER, TOPIC] }, 'acme'],
  ])('%s', (_, options, tenant) => {
    expect(Object.keys(whole(GOOD, options).rows)).toEqual([tenant]);
  });

  test.each<[string, Options, string]>([
    ['300 characters', { headers: [header('X-Scope-OrgID', 'x'.repeat(300))] }, 'invalid_tenant'],
    ['invalid characters', { headers: [header('X-Scope-OrgID', 'a/b')] }, 'invalid_tenant'],
    ['two tenants in one', { headers: [header('X-Scope-OrgID', 'a|b')] }, 'invalid_tenant'],
    [
      'invalid, though the key is good',
      { headers: [header('X-Scope-OrgID', '..')], key: 'a', from: [HEADER, { kind: 'key' }] },
      'invalid_tenant',
    ],
    ['nobody at all', { none: '' }, 'no_tenant'],
  ])('%s: set aside, never given to somebody else', (_, options, fate) => {
    expect(see(GOOD, options).fate).toBe(fate);
  });
});

describe('9: values of every size, packed in every way', () => {
  test('null, no bytes, 16 MB', () => {
    expect(see(null).fate).toBe('null_value');
    expect(see(Buffer.alloc(0)).fate).toBe('accepted');
    const large = encodeRequest(
      region(Array.from({ length: 16_000 }, () => span([['text', 'z'.repeat(1_000)]]))),
      'descending',
    );
    expect(large.length).toBeGreaterThan(16_000_000);
    expect(spansOf(whole(large))).toBe(16_000);
  });

  test('a codec gives back what went in, and refuses what unfolds too far', async () => {
    for (const [, codec] of CODECS) {
      const packed = await codec.compress(GOOD);
      expect(await codec.decompress(packed, 1 << 20)).toEqual(GOOD);
      await expect(codec.decompress(await codec.compress(Buffer.alloc(1 << 20)), 1 << 10)).rejects.toThrow();
      await expect(codec.decompress(packed.subarray(0, packed.length >> 1), 1 << 20)).rejects.toThrow();
    }
  });
});
