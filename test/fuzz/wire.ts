/** Targets: what comes from brokers, other members, Redis and files, before it is a record. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { stringify } from 'yaml';
import { decodeSeriesKey, encodeSeriesKey } from '../../src/attribution/series-key.ts';
import { loadConfig } from '../../src/config/load.ts';
import { migrateTempo } from '../../src/config/tempo.ts';
import {
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../src/kafka/assignor.ts';
import { CODECS } from '../../src/kafka/codecs.ts';
import { Undecodable } from '../../src/kafka/errors.ts';
import { produceRequest } from '../../src/kafka/produce.ts';
import { abortedFilter, cutBatches, decodeRecords } from '../../src/kafka/record-batch.ts';
import { fetchRequest, metadataRequest } from '../../src/kafka/requests.ts';
import { accountMember, accountOf, ledgerKeys } from '../../src/ledger/keys.ts';
import { LedgerBroken } from '../../src/ledger/port.ts';
import { decodeMembers, decodePage, decodeView } from '../../src/ledger/redis-answers.ts';
import { FRAMINGS, framesOf, guessFraming } from '../../src/otlp/framing.ts';
import { labelText } from '../../src/publish/label-text.ts';
import { meaningOf } from '../../src/schemas/meaning.ts';
import { parseExposition } from '../support/exposition.ts';
import { batchBytes } from '../unit/kafka/new-batch.ts';
import type { Target } from './target.ts';

const MOST_BYTES = 1 << 20;
const plain = Buffer.from('resource spans, scope spans, spans. '.repeat(60));
const bomb = Buffer.alloc(8 << 20);

/** What may be thrown, by name; everything else is a finding. */
const outcomeOf = async (work: () => unknown, expected: abstract new (...args: never[]) => Error): Promise<string> => {
  try {
    await work();
    return 'decoded';
  } catch (error) {
    if (error instanceof expected) return error.name;
    throw error;
  }
};

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

const xerial = (...blocks: readonly Buffer[]): Buffer =>
  Buffer.concat([
    Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]),
    int32(1),
    int32(1),
    ...blocks.flatMap((block) => [int32(block.length), block]),
  ]);

const codec = (name: string, id: number, seeds: readonly Buffer[]): Target => ({
  name,
  seeds,
  every: 4,
  check: (input) =>
    outcomeOf(async () => {
      const out = await CODECS.get(id)!.decompress(input, MOST_BYTES);
      if (out.length > MOST_BYTES) throw new Error(`${out.length} bytes came out`);
    }, Undecodable),
});

const record = (i: number, value: Buffer | null) => ({
  gap: i % 3,
  timestampMs: 1_700_000_000_000 + i,
  key: i % 2 === 0 ? null : Buffer.from(`key ${i}`),
  value,
  headers: [{ name: 'X-Scope-OrgID', value: Buffer.from('acme') }],
});
const batch = (attributes: number): Buffer =>
  batchBytes(
    Array.from({ length: 4 }, (_, i) => record(i, i === 2 ? null : plain.subarray(0, 50 * i))),
    { baseOffset: 100, attributes },
  ).bytes;

const batches: Target = {
  name: 'record batches',
  seeds: [batch(0), batch(0x10), batch(0x20), Buffer.concat([batch(0), batch(8)])],
  check: (input) =>
    outcomeOf(async () => {
      const aborted = abortedFilter([{ producerId: 0, firstOffset: 0 }]);
      for (const frame of cutBatches(input)) {
        aborted(frame);
        for (const { offset } of await decodeRecords(frame, 0, MOST_BYTES))
          if (!Number.isFinite(offset)) throw new Error(`offset ${offset}`);
      }
    }, Undecodable),
};

const answer = (name: string, decode: (bytes: Buffer) => Promise<unknown>, seeds: readonly Buffer[]): Target => ({
  name,
  seeds,
  check: (input) => outcomeOf(() => decode(input), Undecodable),
});
const fetched = fetchRequest([{ topic: 't', partition: 0, offset: 0 }], {
  maxWaitMs: 1,
  maxBytes: 1,
  maxBytesPerPartition: 1,
});

const framing: Target = {
  name: 'framing of files',
  seeds: [
    Buffer.concat([
      Buffer.from([(plain.length & 0x7f) | 0x80, plain.length >> 7]),
      plain,
      Buffer.from([0, 3, 1, 2, 3]),
    ]),
    Buffer.from('{"resourceSpans":[]}\n\n{"resourceSpans":[]}\n{'),
    plain,
    Buffer.alloc(5_000, 0x0a),
  ],
  check: async (input, random) => {
    guessFraming(input, random.chance(0.5));
    for (const kind of FRAMINGS) {
      const frames = framesOf(kind);
      let bytes = 0;
      for (let at = 0; at < input.length && frames.fault === null; ) {
        const end = Math.min(input.length, at + random.between(1, 4_096));
        for (const { value } of frames.push(input.subarray(at, end))) bytes += value.length;
        at = end;
      }
      for (const { value } of frames.end()) bytes += value.length;
      if (bytes > input.length) throw new Error(`${bytes} bytes out of ${input.length} as ${kind}`);
    }
    return 'read';
  },
};

const CONFIG = {
  server: { port: 3200, tls: { cert_file: '/c', key_file: '/k' }, admin_token_file: '/t' },
  kafka: { brokers: ['a:1', '[::1]:2'], topics: ['a'], sasl: { mechanism: 'plain', username: 'u', password: 'p' } },
  redis: { url: 'redis://u:p@h:1/0', tls: { enabled: true, ca_file: '/c' } },
  tenants: { from: ['header:X-Scope-OrgID', 'resource:tenant.id'], default: '${T:x}' },
  overrides: { defaults: { cost_attribution: { dimensions: { 'resource.service.name': 'service', a: '' } } } },
  publish: { birth_hold: '1m30s' },
};
const laughs = [
  'a: &a [x,x,x,x,x,x,x,x,x]',
  ...['b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((name, i) => {
    const before = 'abcdefgh'[i];
    return `${name}: &${name} [${Array(9).fill(`*${before}`).join(',')}]`;
  }),
].join('\n');
const configuration: Target = {
  name: 'configuration',
  every: 50,
  seeds: [
    stringify(CONFIG),
    laughs,
    `${'['.repeat(500)}`,
    `${'{a: '.repeat(500)}`,
    '? '.repeat(500),
    '- '.repeat(500),
  ].map((text) => Buffer.from(text)),
  check: async (input) => {
    const text = input.toString();
    const loaded = loadConfig({ file: 'f', env: { T: 'y' }, read: () => text });
    migrateTempo(text);
    return 'problems' in loaded ? 'refused' : 'taken';
  },
};

const names: Target = {
  name: 'names of keys',
  seeds: [Buffer.from('acme'), Buffer.from('{a}:b%41:%u0041'), Buffer.from([0xff, 0xfe, 0x7b, 0x7d]), Buffer.from('')],
  check: async (input) => {
    const tenant = input.toString(input.length % 2 === 0 ? 'utf8' : 'utf16le');
    const account = { tenant, tracker: tenant.slice(0, 20) };
    const back = accountOf(accountMember(account));
    if (back.tenant !== account.tenant || back.tracker !== account.tracker) throw new Error('another account');
    for (const key of Object.values(ledgerKeys('p').account(7, account)))
      if (!/^\{p:7\}:[a-z]+:[A-Za-z0-9_.%-]*:[A-Za-z0-9_.%-]*$/.test(key)) throw new Error(`the key ${key}`);
    return 'same';
  },
};

const seriesKeys: Target = {
  name: 'series keys',
  seeds: [
    encodeSeriesKey([
      ['a', 'b'],
      ['service', 'wéb'],
    ]),
    encodeSeriesKey([]),
  ],
  check: async (input) => {
    try {
      const labels = decodeSeriesKey(input);
      if (!encodeSeriesKey(labels).equals(input) && labels.every(([n, v]) => n.isWellFormed() && v.isWellFormed()))
        return 'another spelling';
      return 'decoded';
    } catch (error) {
      if (error instanceof Error) return 'refused';
      throw error;
    }
  },
};

const labels: Target = {
  name: 'labels in the exposition',
  seeds: [Buffer.from('a"\\\n}'), Buffer.from('{a="b"} 1\n# TYPE'), Buffer.from('\\n\\\\"'), Buffer.from('é\u2028\r')],
  check: async (input) => {
    const value = input.toString();
    const line = `m_total${labelText([
      ['a', value],
      ['b', 'x'],
    ])}7`;
    const [sample, ...others] = parseExposition(`${line}\nother_total 1\n`);
    if (others.length !== 1 || sample!.labels.a !== value || sample!.value !== 7) throw new Error('not the same');
    return 'same';
  },
};

/** A server that answers damage is none of ours, and must not be taken for one. */
const redisAnswers: Target = {
  name: 'answers of Redis',
  seeds: [Buffer.alloc(24, 1), Buffer.alloc(0), Buffer.from('12 0')],
  check: (input, random) =>
    outcomeOf(() => {
      const meta = ['1', 'i', 'life', '0', '5', '6', '0'].map((text) =>
        random.chance(0.2) ? input : Buffer.from(text),
      );
      const markers = [Buffer.from('t/0'), random.chance(0.5) ? input : Buffer.from('7')];
      decodeView([meta, markers]);
      decodeMembers([input, Buffer.from('a:b')]);
      const totals = ['3', '1 2', '0 0', random.chance(0.2) ? String(input) : '0 0'].map((text) => Buffer.from(text));
      const rows = [Buffer.alloc(16), random.chance(0.5) ? input : Buffer.alloc(24)];
      const page = decodePage([meta, markers, Buffer.from('1'), 1, totals, Buffer.from('0'), rows]);
      for (const { values } of page.rows) if (values.length !== 2) throw new Error(`${values.length} values`);
    }, LedgerBroken),
};

/** What a registry says of a schema is somebody else's text. */
const schemaTexts: Target = {
  name: 'texts of schemas',
  seeds: [
    readFileSync(join(import.meta.dirname, '../fixtures/otlp/trace.proto')),
    Buffer.from('{"$ref":"#/definitions/T","definitions":{"T":{"properties":{"resourceSpans":{}}}}}'),
    Buffer.from('message A { '.repeat(2_000)),
    Buffer.from(`"${'\\'.repeat(30_000)}`),
    Buffer.from('/*'.repeat(20_000)),
  ],
  check: async (input, random) => {
    const text = String(input);
    const type = random.chance(0.7) ? 'PROTOBUF' : 'JSON';
    const indexes = type === 'JSON' ? [] : [0, 3, 1].slice(0, random.between(1, 3));
    const { isTraces, name } = meaningOf({ type, text }, indexes);
    if (name.length > 250) throw new Error(`a name of ${name.length}`);
    return isTraces ? 'traces' : 'foreign';
  },
};

export const WIRE_TARGETS: readonly Target[] = [
  codec('gzip', 1, [gzipSync(plain), gzipSync(bomb)]),
  codec('snappy, raw', 2, [compressSync(plain), compressSync(bomb)]),
  codec('snappy, xerial', 2, [xerial(compressSync(plain), compressSync(plain)), xerial(compressSync(bomb))]),
  codec('lz4', 3, [compressFrameSync(plain), compressFrameSync(bomb)]),
  codec('zstd', 4, [zstdCompressSync(plain), zstdCompressSync(bomb)]),
  batches,
  answer('answers to metadata', (bytes) => metadataRequest(['t'], true).response.decode(bytes), [
    Buffer.from('00000000000200000001' + '0561626364' + '00002384' + '00' + '00', 'hex'),
    Buffer.alloc(200, 0x02),
  ]),
  answer('answers to fetches', (bytes) => fetched.response.decode(bytes), [
    Buffer.concat([
      Buffer.alloc(10),
      int32(1),
      Buffer.from([0, 1, 0x74]),
      int32(1),
      Buffer.alloc(34),
      int32(0),
      int32(0),
      int32(0),
    ]),
    Buffer.alloc(100),
  ]),
  answer('answers to writes', (bytes) => produceRequest('t', 0, Buffer.alloc(0), 1).response.decode(bytes), [
    Buffer.concat([int32(1), Buffer.from([0, 1, 0x74]), int32(1), Buffer.alloc(30), int32(0)]),
  ]),
  schemaTexts,
  answer('subscriptions of members', async (bytes) => decodeSubscription(bytes), [
    encodeSubscription(['a', 'b'], { owned: [{ topic: 'a', partition: 1 }], generation: 7 }),
  ]),
  answer('assignments', async (bytes) => decodeAssignment(bytes), [
    encodeAssignment([
      { topic: 'a', partition: 1 },
      { topic: 'b', partition: 0 },
    ]),
  ]),
  framing,
  configuration,
  names,
  seriesKeys,
  labels,
  redisAnswers,
];
