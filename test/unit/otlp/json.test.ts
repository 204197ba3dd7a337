/** A batch written as JSON is, byte for byte, what the Collector would have written of it as protobuf. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonEncoder } from '../../../src/otlp/json.ts';
import { outlineSpans } from '../../../src/otlp/outline.ts';
import { otlpRequest } from '../../support/otlp-arbitrary.ts';
import { encodeRequest, type OtlpRequest } from '../../support/otlp-encode.ts';
import { asCollectorWrites, requestAsJson } from '../../support/otlp-json.ts';
import { seeded } from '../../support/random.ts';

const encoder = new JsonEncoder();
const encoded = (text: string | Buffer): unknown => {
  const answer = encoder.encode(Buffer.from(text as string));
  return Buffer.isBuffer(answer) ? answer.toString('hex') : answer;
};
const hex = (request: OtlpRequest): string => encodeRequest(asCollectorWrites(request), 'descending').toString('hex');

/** A parent id of JSON has the length of one, or is none. */
const sound = (request: OtlpRequest): OtlpRequest => ({
  resourceSpans: request.resourceSpans.map((region) => ({
    ...region,
    scopeSpans: region.scopeSpans.map((scope) => ({
      ...scope,
      spans: scope.spans.map(({ parentSpanId, ...span }) =>
        parentSpanId?.length === 8 ? { ...span, parentSpanId } : span,
      ),
    })),
  })),
});

describe('JSON', () => {
  test('in any spelling is what the Collector writes as protobuf', () => {
    fc.assert(
      fc.property(otlpRequest, fc.nat(), (request, seed) => {
        const random = seeded(seed).next;
        expect(encoded(requestAsJson(sound(request), () => random() < 0.5))).toBe(hex(sound(request)));
      }),
      { numRuns: 200 },
    );
  });

  test('of the Collector is its protobuf form of the same batch', () => {
    const fixture = join(import.meta.dirname, '../../fixtures/otlp/collector-records.jsonl.gz');
    type Line = { readonly encoding: string; readonly value_b64: string };
    const lines = gunzipSync(readFileSync(fixture)).toString().trim().split('\n');
    const records = lines.map((line) => JSON.parse(line) as Line);
    const spansOf = (value: Buffer): string => JSON.stringify([...outlineSpans(value, false)]);
    const bytesOf = ({ value_b64 }: Line): Buffer => Buffer.from(value_b64, 'base64');
    const twins = new Map<string, string[]>();
    for (const record of records.filter(({ encoding }) => encoding === 'otlp_proto')) {
      const value = bytesOf(record);
      const spans = spansOf(value);
      twins.set(spans, [...(twins.get(spans) ?? []), value.toString('hex')]);
    }
    let compared = 0;
    for (const record of records.filter(({ encoding }) => encoding === 'otlp_json')) {
      const value = encoder.encode(bytesOf(record)) as Buffer;
      const twin = twins.get(spansOf(value));
      if (twin === undefined) continue;
      expect(twin).toContain(value.toString('hex'));
      compared++;
    }
    expect(compared).toBeGreaterThan(10);
  });

  const one = '{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a"}]}]}]}';
  const two = '{"resource_spans":[{"scope_spans":[{"spans":[{"name":"b"}]}]}]}';
  const request = (...names: readonly string[]) =>
    hex({ resourceSpans: names.map((name) => ({ scopeSpans: [{ spans: [{ name }] }] })) });

  test.each([
    ['one request', one, request('a')],
    ['with a byte order mark and blanks', `\ufeff \r\n${one}\n`, request('a')],
    ['over several lines', JSON.stringify(JSON.parse(one), null, 2), request('a')],
    ['several, a line each', `${one}\n\r\n${two}\n${one}`, request('a', 'b', 'a')],
    ['none', '{}', ''],
    ['no regions', '{"resourceSpans":null}', ''],
  ])('%s', (_, text, wanted) => {
    expect(encoded(text)).toBe(wanted);
  });

  const attribute = (value: string) => `{"resourceSpans":[{"resource":{"attributes":[{"key":"k","value":${value}}]}}]}`;
  const attributeOf = (value: string) => (encoded(attribute(value)) as string).slice('0a0b0a0909'.length - 2);

  test.each([
    ['{"intValue":"9007199254740993"}', '{"intValue":9007199254740993}'],
    ['{"intValue":"-9223372036854775808"}', '{"int_value":-9223372036854775808}'],
    ['{"intValue":3}', '{"intValue":3.0}'],
    ['{"doubleValue":"NaN"}', '{"double_value":"NaN"}'],
    ['{"doubleValue":"1.5e3"}', '{"doubleValue":1500}'],
    ['{"bytesValue":"//4="}', '{"bytesValue":"__4"}'],
    ['{"stringValue":null,"boolValue":false}', '{"boolValue":false}'],
    ['{}', 'null'],
  ])('the value %s is the value %s', (a, b) => {
    expect(attributeOf(a)).toBe(attributeOf(b));
  });

  test.each([
    ['no JSON', 'resourceSpans', 'not_otlp', 'line 1 is not JSON'],
    ['JSON of something else', '{"message":"hello"}', 'not_otlp', 'no resourceSpans'],
    ['a text', '"resourceSpans"', 'not_otlp', 'no resourceSpans'],
    ['cut off', one.slice(0, -1), 'bad_json', 'line 1 is not JSON'],
    ['a line of several cut off', `${one}\n${two.slice(0, -1)}`, 'bad_json', 'line 2 is not JSON'],
    ['regions in an object', '{"resourceSpans":{}}', 'bad_json', 'resourceSpans must be a list'],
    [
      'a number in the place of a region',
      '{"resourceSpans":[1]}',
      'bad_json',
      'resourceSpans must be a list of objects',
    ],
    [
      'an id of a wrong length',
      '{"resourceSpans":[{"scopeSpans":[{"spans":[{},{"traceId":"abcd"}]}]}]}',
      'bad_json',
      'resourceSpans[0].scopeSpans[0].spans[1]: traceId must be an id of 16 bytes, as hex or base64',
    ],
    [
      'a kind that does not exist',
      '{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SERVER"}]}]}]}',
      'bad_json',
      'resourceSpans[0].scopeSpans[0].spans[0]: kind must be a whole number',
    ],
    [
      'an integer with a fraction',
      attribute('{"intValue":1.5}'),
      'bad_json',
      'resourceSpans[0]: intValue must be a whole number',
    ],
    [
      'a flag as text',
      attribute('{"boolValue":"true"}'),
      'bad_json',
      'resourceSpans[0]: boolValue must be true or false',
    ],
    [
      'values in values without end',
      attribute(`${'{"arrayValue":{"values":['.repeat(600)}{}${']}}'.repeat(600)}`),
      'bad_json',
      'resourceSpans[0]: value must not be deeper than 500 values in values',
    ],
  ])('%s is refused and says where', (_, text, reason, detail) => {
    expect(encoded(text)).toEqual({ kind: 'malformed', position: 0, reason, detail });
    expect(encoded(one)).toBe(request('a'));
  });

  test('nested far beyond a stack, where nobody looks, is passed over or refused, and the next one is read', () => {
    const deep = `{"resourceSpans":[],"x":${'['.repeat(200_000)}1234567890123456789${']'.repeat(200_000)}}`;
    expect(['', { kind: 'malformed', position: 0, reason: 'bad_json', detail: 'line 1 is not JSON' }]).toContainEqual(
      encoded(deep),
    );
    expect(encoded(one)).toBe(request('a'));
  });

  test.each([
    ['{"resourceMetrics":[]}', 'other_signal'],
    ['{"resource_logs":[]}', 'other_signal'],
    ['[{"traceId":"1","id":"2","name":"x"}]', 'zipkin'],
    ['{"traceId":"AAA=","spanId":"AAA=","operationName":"x"}', 'jaeger'],
  ])('%s is %s', (text, format) => {
    expect(encoded(text)).toEqual({ kind: 'foreign', format });
  });
});
