import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { meaningOf } from '../../../src/schemas/meaning.ts';
import { messageAt, protoMessages } from '../../../src/schemas/proto-text.ts';

const TRACE = readFileSync(join(import.meta.dirname, '../../fixtures/otlp/trace.proto'), 'utf8');

const NESTED = `
// message Commented { }
/* message Also { } */
syntax = "proto3"; package a.b;
import "message In { } quotes.proto";
option java_package = 'message { }';
option (x) = { message: "Y" };
enum Kind { NONE = 0; }
service S { rpc message(Q) returns (Q) { option z = 1; } }
message Outer {
  option deprecated = true;
  string message = 1;
  repeated c.ResourceSpans spans = 2 [packed = false];
  oneof which { string a = 3; int32 b = 4; }
  map<string, int32> counts = 5;
  message Inner { optional int64 x = 1; message Innermost {} }
  message { }
  enum E { Z = 0; }
  message Second { repeated .c.v1.ResourceSpans r = 1; }
}
message Last { reserved 1, 2; repeated bytes ResourceSpans = 1; }
`;

const protobuf = (text: string, ...indexes: number[]) => meaningOf({ type: 'PROTOBUF', text }, indexes);

describe('the message that indexes name', () => {
  const messages = protoMessages(NESTED);

  test.each<[number[], string | null]>([
    [[0], 'a.b.Outer'],
    [[0, 0], 'a.b.Outer.Inner'],
    [[0, 0, 0], 'a.b.Outer.Inner.Innermost'],
    [[0, 1], 'a.b.Outer.Second'],
    [[1], 'a.b.Last'],
    [[2], null],
    [[0, 2], null],
    [[1, 0], null],
    [[], null],
  ])('%j: %s', (indexes, name) => {
    expect(messageAt(messages, indexes)?.fullName ?? null).toBe(name);
  });

  test('is found in the file of OTLP', () => {
    const all = protoMessages(TRACE);
    expect(all.slice(0, 4).map(({ fullName }) => fullName)).toEqual([
      'otlp.ExportTraceServiceRequest',
      'otlp.ResourceSpans',
      'otlp.ScopeSpans',
      'otlp.Span',
    ]);
  });

  test('whatever the text, none is found or one, in time', () => {
    const word = fc.constantFrom(
      'message',
      'A',
      '{',
      '}',
      ';',
      'repeated',
      'x',
      '=',
      '1',
      '"',
      '/*',
      '//',
      '\n',
      '.',
      '<',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 60 }), fc.array(fc.nat(3), { maxLength: 4 }), (words, indexes) => {
        messageAt(protoMessages(words.join(' ')), indexes);
      }),
    );
    expect(protoMessages('message A { '.repeat(100_000))).toHaveLength(1);
    // Each would take minutes in the square of its length.
    expect(protoMessages('/*'.repeat(1_000_000))).toEqual([]);
    expect(protoMessages('"\\'.repeat(1_000_000))).toEqual([]);
    expect(protoMessages("'\\".repeat(1_000_000))).toEqual([]);
  });
});

describe('traces', () => {
  const OTLP = 'package opentelemetry.proto.collector.trace.v1; message ExportTraceServiceRequest {}';
  test.each([
    ['by the name of the message', protobuf(OTLP, 0)],
    ['by its first field', protobuf(TRACE, 0)],
    ['nested', protobuf(NESTED, 0, 1)],
    ["Tempo's", protobuf('package tempopb; message Trace {} message PushBytesRequest {}', 1)],
    ['JSON', meaningOf({ type: 'JSON', text: '{"properties":{"resourceSpans":{}}}' }, [])],
    [
      'JSON by reference',
      meaningOf(
        { type: 'JSON', text: '{"$ref":"#/definitions/T","definitions":{"T":{"properties":{"resource_spans":{}}}}}' },
        [],
      ),
    ],
  ])('%s', (_, { isTraces }) => {
    expect(isTraces).toBe(true);
  });

  test.each([
    ['another message of the file', protobuf(TRACE, 3), 'otlp.Span'],
    ['regions in another field', protobuf(NESTED, 0), 'a.b.Outer'],
    ['another type of the name', protobuf(NESTED, 1), 'a.b.Last'],
    ['no message there', protobuf(TRACE, 0, 7), 'no message at 0.7'],
    ['a name without its package', protobuf('message ExportTraceServiceRequest {}', 0), 'ExportTraceServiceRequest'],
    [
      'metrics',
      protobuf('package opentelemetry.proto.metrics.v1; message MetricsData { repeated ResourceMetrics m = 1; }', 0),
      'MetricsData',
    ],
    ['JSON in a frame of protobuf', protobuf(TRACE), 'which the value is not'],
    [
      'protobuf in a frame of JSON',
      meaningOf({ type: 'JSON', text: '{"properties":{"resourceSpans":{}}}' }, [0]),
      'which the value is not',
    ],
    ['a JSON schema of something else', meaningOf({ type: 'JSON', text: '{"title":"Order"}' }, []), 'Order'],
    [
      'a JSON schema that refers to itself',
      meaningOf({ type: 'JSON', text: '{"$ref":"#/a","a":{"$ref":"#/a"}}' }, []),
      'JSON',
    ],
    ['a JSON schema that is none', meaningOf({ type: 'JSON', text: '{' }, []), 'no JSON'],
    ['Avro', meaningOf({ type: 'AVRO', text: '{}' }, [0]), 'AVRO'],
  ])('not %s', (_, { isTraces, name }, says) => {
    expect(isTraces).toBe(false);
    expect(name).toContain(says);
  });
});
