/** Targets: what decides the fate of a record, from its bytes to what is gathered. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { Accounting } from '../../src/attribution/accounting.ts';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { explainRecord } from '../../src/attribution/explain.ts';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import type { SeriesTable } from '../../src/attribution/series-table.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import type { Encoding } from '../../src/otlp/decode.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { encodeRequest, type OtlpValue } from '../support/otlp-encode.ts';
import type { Target } from './target.ts';

const { dimensions } = parseDimensions(
  [
    ['resource.service.name', 'service'],
    ['span.http.route', 'route'],
    ['feature.id', ''],
    ['f1', ''],
  ],
  { sharedLabels: 'allow' },
);

const fixtures = gunzipSync(readFileSync(join(import.meta.dirname, '../fixtures/otlp/collector-records.jsonl.gz')))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { encoding: string; value_b64: string });

const deep = (levels: number): OtlpValue => {
  let value: OtlpValue = 'bottom';
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? { array: [value] } : { kvlist: [['k', value]] };
  return value;
};

const made = (['ascending', 'descending'] as const).flatMap((order) =>
  [deep(40), 'text', 7, { double: 1.5 }, true, null].map((value) =>
    encodeRequest(
      {
        resourceSpans: [
          {
            resource: {
              attributes: [
                ['service.name', value],
                ['tenant.id', 'acme'],
              ],
            },
            scopeSpans: [
              { scope: { name: 's' }, spans: [{ name: 'a', attributes: [['http.route', value]] }, { name: 'b' }] },
            ],
          },
        ],
      },
      order,
    ),
  ),
);

const seedsOf = (...encodings: readonly string[]): Buffer[] => {
  const found = fixtures.filter(({ encoding }) => encodings.includes(encoding));
  return found.map(({ value_b64 }) => Buffer.from(value_b64, 'base64')).filter(({ length }) => length < 8_192);
};

const protobuf = [...seedsOf('otlp_proto'), ...made];
const json = [
  ...seedsOf('otlp_json'),
  Buffer.from(
    '{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"w\\u00e9b"}}]},' +
      '"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET",' +
      '"startTimeUnixNano":"1544712660000000000","kind":2,"attributes":[{"key":"f1","value":{"intValue":"7"}},' +
      '{"key":"l","value":{"arrayValue":{"values":[{"doubleValue":1e300},{"boolValue":true}]}}}]}]}]}]}',
  ),
];
/** Tempo's own: each trace in field 2, its id in field 3. */
const pushBytes = protobuf.slice(0, 20).map((trace) => {
  const head = Buffer.from([0x12, (trace.length & 0x7f) | 0x80, trace.length >> 7]);
  const one = Buffer.concat([head, trace, Buffer.from([0x1a, 2, 1, 2])]);
  return Buffer.concat([one, one]);
});

/** In a registry's frames: an id or a GUID, the short and a longer form of the indexes. */
const framed = [...protobuf.slice(0, 20), ...json].flatMap((value) =>
  ['000000002a00', '000000002a0202', `01${'ab'.repeat(16)}040600`].map((head) =>
    Buffer.concat([Buffer.from(value[0] === 0x7b ? head.slice(0, 10) : head, 'hex'), value]),
  ),
);

/** Everything that one record adds, by tenant. */
class Sums {
  readonly bytes = new Map<string, number>();

  wants(): boolean {
    return true;
  }

  add(_shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    if (!(first >= 0) || !(second >= 0)) throw new Error(`an amount below zero: ${first}, ${second}`);
    const { tenant } = table.accounts[table.accountOf(slot)]!;
    this.bytes.set(tenant, (this.bytes.get(tenant) ?? 0) + first);
  }
}

/** Accepted or discarded, once, with its bytes; in `exact` all of its bytes are those of series. */
const fateOf = (accounting: Accounting, encoding: Encoding, fromRegions: boolean) => {
  const fate = { accepted: 0, discarded: 0, bytes: 0 };
  const pipeline = new Pipeline({
    tenants: new TenantChain(fromRegions ? [{ kind: 'resource', attribute: 'tenant.id' }] : [], 'somebody'),
    settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 1_000_000, staleS: 900 }] }),
    maxLabelValueLength: 2_048,
    accounting,
    encoding: () => encoding,
    watch: {
      accepted: (bytes) => {
        fate.accepted++;
        fate.bytes = bytes;
      },
      discarded: () => void fate.discarded++,
      regionDiscarded: () => {},
    },
  });
  return (value: Buffer): string => {
    const copy = Buffer.from(value);
    Object.assign(fate, { accepted: 0, discarded: 0, bytes: 0 });
    const sums = new Sums();
    pipeline.gather({ offset: 1, timestampMs: 0, key: null, value, headers: [] }, { topic: 't', partition: 0 }, sums);
    if (!value.equals(copy)) throw new Error('the record was changed');
    if (fate.accepted + fate.discarded !== 1) throw new Error(`a record with ${JSON.stringify(fate)}`);
    const own = sums.bytes.get(RECORDS_TENANT) ?? 0;
    if (own !== value.length) throw new Error(`${own} bytes noted of a record of ${value.length}`);
    const others = [...sums.bytes].reduce((sum, [tenant, bytes]) => sum + (tenant === RECORDS_TENANT ? 0 : bytes), 0);
    if (fate.discarded === 1 && others !== 0) throw new Error(`${others} bytes of a record that was discarded`);
    if (fate.accepted === 1 && accounting === 'exact' && !fromRegions && others !== fate.bytes)
      throw new Error(`${others} bytes in series of ${fate.bytes}`);
    return fate.accepted === 1 ? 'accepted' : 'discarded';
  };
};

/** Built to cost more than they weigh. */
const hostile = (): Buffer[] => {
  const nested = (levels: number): Buffer => {
    let bytes = Buffer.from([0x0a, 1, 0x61]);
    for (let i = 0; i < levels; i++) {
      const length = Buffer.from([
        (bytes.length & 0x7f) | 0x80,
        ((bytes.length >> 7) & 0x7f) | 0x80,
        bytes.length >> 14,
      ]);
      bytes = Buffer.concat([Buffer.from([0x2a]), length, bytes]);
      bytes = Buffer.concat([Buffer.from([0x0a]), lengthOf(bytes.length), bytes]);
    }
    return bytes;
  };
  const lengthOf = (length: number): Buffer =>
    Buffer.from([(length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, length >> 14]);
  const within = (tag: number, bytes: Buffer): Buffer =>
    Buffer.concat([Buffer.from([tag]), lengthOf(bytes.length), bytes]);
  const value = within(0x12, nested(8_000));
  const keyed = Buffer.concat([Buffer.from([0x0a, 2, 0x66, 0x31]), value]);
  return [
    within(0x0a, within(0x0a, within(0x0a, keyed))),
    Buffer.from(`{"resourceSpans":${'['.repeat(60_000)}`),
    Buffer.from(`{"resourceSpans":${'{"a":'.repeat(12_000)}1${'}'.repeat(12_001)}`),
    Buffer.from(`{"resourceSpans":[${'{},'.repeat(20_000)}{}]}`),
    Buffer.from(`{"x":${'9'.repeat(60_000)}}`),
    Buffer.alloc(60_000, 0x0a),
    Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i % 2 === 0 ? 0x0a : 0x00))),
    Buffer.alloc(60_000, 0x0b),
    Buffer.alloc(60_000, 0x80),
  ];
};

const target = (name: string, seeds: readonly Buffer[], check: (value: Buffer) => string): Target => ({
  name,
  seeds: [...seeds, ...hostile()],
  check: async (value) => check(value),
});

const explained =
  (accounting: Accounting) =>
  (value: Buffer): string => {
    const found = explainRecord(value, { dimensions, accounting, maxLabelValueLength: 2_048 });
    return 'regions' in found ? 'explained' : 'malformed';
  };

export const RECORD_TARGETS: readonly Target[] = [
  target('protobuf, exact', protobuf, fateOf('exact', 'otlp_proto', false)),
  target('protobuf, tempo', protobuf, fateOf('tempo', 'otlp_proto', false)),
  target('protobuf, tenants by region', protobuf, fateOf('exact', 'otlp_proto', true)),
  target('protobuf, explained', protobuf, explained('exact')),
  target('protobuf, explained as tempo', protobuf, explained('tempo')),
  target('json, exact', json, fateOf('exact', 'otlp_json', false)),
  target('json, tempo', json, fateOf('tempo', 'otlp_json', false)),
  target('push bytes, exact', pushBytes, fateOf('exact', 'tempo_push_bytes', false)),
  target('push bytes, tempo', pushBytes, fateOf('tempo', 'tempo_push_bytes', false)),
  target('framed, exact', framed, fateOf('exact', 'auto', false)),
  target('framed, tempo', framed, fateOf('tempo', 'auto', false)),
  target(
    'any encoding',
    [...protobuf.slice(0, 20), ...json, ...pushBytes.slice(0, 10)],
    fateOf('exact', 'auto', false),
  ),
];
