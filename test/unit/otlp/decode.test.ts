import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Decoder, type Encoding } from '../../../src/otlp/decode.ts';
import { unframe } from '../../../src/otlp/registry-frame.ts';
import { encodeStyle, otlpRequest } from '../../support/otlp-arbitrary.ts';
import { encodeRequest, type OtlpRequest } from '../../support/otlp-encode.ts';

const decoder = new Decoder();
const decoded = (value: Buffer, encoding: Encoding = 'auto'): unknown => {
  const answer = decoder.decode(value, encoding);
  return Buffer.isBuffer(answer) ? answer.toString('hex') : answer;
};
const field = (number: number, payload: Buffer | string): Buffer => {
  const bytes = Buffer.from(payload as string);
  return Buffer.concat([Buffer.from([number * 8 + 2]), varint(bytes.length), bytes]);
};
const varint = (value: number): Buffer =>
  Buffer.from(value < 128 ? [value] : [...[value & 127].map((low) => low | 128), ...varint(value >>> 7)]);
const bytes = (...parts: readonly (Buffer | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)));
const malformed = (reason: string) => expect.objectContaining({ kind: 'malformed', reason });
const foreign = (format: string) => ({ kind: 'foreign', format });

const span = { traceId: Buffer.alloc(16, 1), spanId: Buffer.alloc(8, 2), name: 'op', startTimeUnixNano: 3n };
const request: OtlpRequest = {
  resourceSpans: [{ resource: { attributes: [['service.name', 'shop']] }, scopeSpans: [{ spans: [span] }] }],
};
const otlp = encodeRequest(request, 'descending');
const json = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}';

describe('OTLP protobuf', () => {
  test('is what it is, in any order and with any oddities, under auto, too', () => {
    fc.assert(
      fc.property(otlpRequest, encodeStyle, (any, style) => {
        const value = encodeRequest(any, style);
        expect(decoded(value)).toBe(value.toString('hex'));
        expect(decoded(value, 'otlp_proto')).toBe(value.toString('hex'));
      }),
      { numRuns: 500 },
    );
  });

  test('of no bytes is an empty request', () => {
    expect(decoded(Buffer.alloc(0))).toBe('');
  });
});

describe('what also begins with a field of bytes', () => {
  type Line = { readonly encoding: string; readonly value_b64: string };
  const fixture = join(import.meta.dirname, '../../fixtures/otlp/collector-records.jsonl.gz');
  const records = gunzipSync(readFileSync(fixture))
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

  test.each([
    ['jaeger_proto', foreign('jaeger')],
    ['jaeger_json', foreign('jaeger')],
    ['zipkin_proto', foreign('zipkin')],
    ['zipkin_json', foreign('zipkin')],
  ])('every record of %s that the Collector wrote is told', (encoding, outcome) => {
    const values = records.filter((record) => record.encoding === encoding);
    expect(values.length).toBeGreaterThan(0);
    for (const { value_b64 } of values) expect(decoded(Buffer.from(value_b64, 'base64'))).toEqual(outcome);
  });

  test('no OTLP record that the Collector wrote is taken for another', () => {
    for (const { value_b64 } of records.filter(({ encoding }) => encoding === 'otlp_proto')) {
      const value = Buffer.from(value_b64, 'base64');
      expect(decoded(value)).toBe(value.toString('hex'));
    }
  });

  const scope = (item: Buffer) => field(1, field(2, field(2, item)));
  const time = '090100000000000000';

  test.each([
    ['a gauge', scope(bytes(field(1, 'process.memory.usage'), field(3, 'By'), field(5, field(1, bytes(time)))))],
    ['a gauge, the fields descending', scope(bytes(field(5, field(1, bytes(time))), field(1, 'queue')))],
    ['a sum', scope(bytes(field(1, 'requests'), field(7, bytes('1002'))))],
    ['a histogram', scope(bytes(field(1, 'seconds'), field(9, bytes('1002'))))],
    ['a log record', scope(bytes(time, '1009', field(5, field(1, 'hello'))))],
    ['a log record with ids', scope(bytes('1009', field(9, Buffer.alloc(16, 1)), field(10, Buffer.alloc(8, 1))))],
  ])('%s is of another signal', (_, value) => {
    expect(decoded(value)).toEqual(foreign('other_signal'));
    expect(decoded(value, 'otlp_proto')).toEqual(foreign('other_signal'));
  });

  test.each([
    ['a span with a name alone', scope(field(5, 'op'))],
    ['a span without ids', scope(bytes(field(5, 'op'), '3801'))],
    ['a span with ids of odd lengths', scope(bytes(field(1, 'abc'), field(2, 'x'), field(5, 'op')))],
    ['a region of the length of a trace id', field(1, bytes(field(1, field(1, '0123456789'))))],
    ['a region that is all unknown', field(1, bytes('2001', field(5, 'x')))],
  ])('%s is trace data all the same', (_, value) => {
    expect(decoded(value)).toBe(value.toString('hex'));
  });
});

describe("a record of Tempo's ingest topic", () => {
  const id = Buffer.alloc(16, 7);
  const push = (...traces: readonly Buffer[]) =>
    bytes(...traces.map((trace) => field(2, trace)), ...traces.map(() => field(3, id)), '2801');
  const other = encodeRequest(request, 'ascending');

  test.each<Encoding>(['auto', 'tempo_push_bytes'])('is its traces, put behind each other (%s)', (encoding) => {
    expect(decoded(push(otlp), encoding)).toBe(otlp.toString('hex'));
    expect(decoded(push(otlp, other, otlp), encoding)).toBe(bytes(otlp, other, otlp).toString('hex'));
    expect(decoded(push(other), encoding)).toBe(other.toString('hex'));
    expect(decoded(bytes(field(3, id), field(2, otlp)), 'tempo_push_bytes')).toBe(otlp.toString('hex'));
  });

  test('of 16 MB is read', () => {
    const many = Array.from({ length: Math.floor(15_900_000 / (otlp.length + 21)) }, () => otlp);
    const value = Buffer.concat([...many.map((trace) => field(2, trace)), ...many.map(() => field(3, id))]);
    expect((decoder.decode(value, 'auto') as Buffer).length).toBe(many.length * otlp.length);
  });

  test('is malformed where it is cut off, or an id is missing', () => {
    expect(decoded(push(otlp).subarray(0, -10), 'tempo_push_bytes')).toEqual(malformed('truncated'));
    expect(decoded(bytes(field(2, otlp), field(2, otlp), field(3, id)), 'tempo_push_bytes')).toEqual({
      kind: 'malformed',
      position: 0,
      reason: 'bad_push',
      detail: '2 traces and 1 trace ids',
    });
    expect(decoded(otlp, 'tempo_push_bytes')).toEqual(malformed('bad_push'));
    expect(decoded(push(otlp).subarray(0, -10))).toEqual(malformed('truncated'));
    expect(decoded(bytes(field(2, otlp), field(2, otlp), field(3, id)))).toEqual(malformed('bad_push'));
  });

  test('is not taken for OTLP that begins with a field that nobody knows', () => {
    const odd = bytes(field(2, 'unknown'), otlp);
    expect(decoded(odd)).toBe(odd.toString('hex'));
  });
});

describe("a registry's frame", () => {
  const guid = '0102030405060708090a0b0c0d0e0f10';

  test.each([
    ['an id, the short index', '0000000007' + '00'],
    ['an id, the first message', '0000000007' + '0200'],
    ['an id, a message in a message', '0000000007' + '04' + '0600'],
    ['a GUID', `01${guid}00`],
  ])('with %s is taken off', (_, frame) => {
    for (const encoding of ['auto', 'otlp_proto'] as const)
      expect(decoded(bytes(frame, otlp), encoding)).toBe(otlp.toString('hex'));
  });

  test('before JSON, and before a record of Tempo', () => {
    expect(decoded(bytes('0000000007', Buffer.from(json)))).toBe(decoded(Buffer.from(json)));
    expect(decoded(bytes('000000000700', field(2, otlp), field(3, Buffer.alloc(16))))).toBe(otlp.toString('hex'));
  });

  test('says which schema and which message', () => {
    expect(unframe(bytes('000102030400', 'aa'))).toEqual({ schema: 16_909_060, indexes: [0], payload: bytes('aa') });
    expect(unframe(bytes(`01${guid}040602`, 'aa'))).toEqual({ schema: guid, indexes: [3, 1], payload: bytes('aa') });
  });

  test.each([
    ['cut off in the id', '000000'],
    ['cut off in the GUID', '01aabb'],
    ['without indexes', '0000000007'],
    ['with a negative number of indexes', '000000000701'],
    ['with a million indexes', '000000000780897a'],
    ['cut off in its indexes', '00000000070602'],
    ['with an index without end', '000000000702ffffffffffffffffff'],
  ])('%s is malformed', (_, value) => {
    expect(decoded(bytes(value))).toEqual(malformed('bad_frame'));
  });
});

test.each([
  ['JSON', json],
  ['JSON behind blanks', ` \r\n${json}`],
  ['JSON behind a line feed', `\n${json}`],
])('auto reads %s', (_, text) => {
  expect(decoded(Buffer.from(text))).toBe(decoded(Buffer.from(json), 'otlp_json'));
});

test('one encoding is not taken for another', () => {
  expect(decoded(otlp, 'otlp_json')).toEqual(malformed('not_otlp'));
  expect(decoded(Buffer.from(json), 'otlp_proto')).toBe(Buffer.from(json).toString('hex'));
  expect(decoded(gzipSync(otlp))).toBe(gzipSync(otlp).toString('hex'));
});

test.each<[Encoding, Buffer]>([
  ['otlp_json', Buffer.from(json)],
  ['tempo_push_bytes', bytes(field(2, otlp), field(3, Buffer.alloc(16)))],
  ['auto', bytes('0000000007', '00', otlp)],
  ['auto', otlp],
])('damaged records (%s) are decoded or refused', (encoding, value) => {
  const damage = fc.array(fc.record({ at: fc.nat(value.length - 1), byte: fc.nat(255), cut: fc.boolean() }), {
    minLength: 1,
    maxLength: 4,
  });
  fc.assert(
    fc.property(damage, (changes) => {
      let damaged = Buffer.from(value);
      for (const { at, byte, cut } of changes) {
        if (at >= damaged.length) continue;
        if (cut) damaged = Buffer.concat([damaged.subarray(0, at), damaged.subarray(at + 1)]);
        else damaged[at] = byte;
      }
      const answer = decoder.decode(damaged, encoding);
      expect(Buffer.isBuffer(answer) || ['malformed', 'foreign'].includes(answer.kind)).toBe(true);
    }),
    { numRuns: 2000 },
  );
  expect(decoded(otlp)).toBe(otlp.toString('hex'));
});
