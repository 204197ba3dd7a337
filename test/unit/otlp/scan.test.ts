import { expect, test } from '@jest/globals';
import { KeySet } from '../../../src/otlp/key-set.ts';
import { INT, Scanner, STRING, type TraceVisitor, type Values } from '../../../src/otlp/scan.ts';

const K = new KeySet(['k']);

/** Writes down what the scanner tells. */
class Listener implements TraceVisitor {
  readonly heard: string[] = [];
  readonly #bytes: Buffer;
  readonly #spanKeys: KeySet;

  constructor(bytes: Buffer, spanKeys: KeySet) {
    this.#bytes = bytes;
    this.#spanKeys = spanKeys;
  }

  record(regions: number, outside: number): void {
    this.heard.push(`record ${regions} ${outside}`);
  }

  region(resource: Values, bytes: number, spans: number, own: number): KeySet {
    this.heard.push(`region ${bytes} ${spans} ${own} ${this.#value(resource)}`);
    return this.#spanKeys;
  }

  span(values: Values, own: number): void {
    this.heard.push(`span ${own} ${this.#value(values)}`);
  }

  #value(values: Values): string {
    const payload = this.#bytes.subarray(values.starts[0], values.ends[0]);
    return values.kinds[0] === 0 ? '-' : `${values.kinds[0]}:${payload.toString('hex')}`;
  }
}

const scanner = new Scanner();

function scan(hex: string, spanKeys = K): string | string[] {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const listener = new Listener(bytes, spanKeys);
  const malformed = scanner.scan(bytes, K, listener);
  return malformed === null ? listener.heard : `${malformed.reason} at ${malformed.position}`;
}

/** A span with one attribute whose KeyValue is given, in a region. */
const inSpan = (keyValue: string): string => wrap('0a', wrap('12', wrap('12', wrap('4a', keyValue))));
const wrap = (tag: string, payload: string): string => {
  const bytes = payload.replaceAll(' ', '');
  return `${tag}${(bytes.length / 2).toString(16).padStart(2, '0')}${bytes}`;
};

test('the value of a wanted key is found in either order of fields', () => {
  const span = (value: string) => [`record 1 0`, `region 16 1 12 -`, `span 12 ${value}`];
  expect(scan(inSpan('0a016b 1203 0a0178'))).toEqual(span(`${STRING}:78`));
  expect(scan(inSpan('1203 0a0178 0a016b'))).toEqual(span(`${STRING}:78`));
});

test('the resource is known before the spans, wherever it lies', () => {
  const resource = '0a0a 0a08 0a016b 1203 0a0178';
  const scope = '1204 1202 2a00';
  const heard = ['record 1 0', `region 20 1 4 ${STRING}:78`, 'span 4 -'];
  expect(scan(wrap('0a', resource + scope))).toEqual(heard);
  expect(scan(wrap('0a', scope + resource))).toEqual(heard);
});

test.each([
  ['the last key counts', '0a0161 0a016b 1202 1801', `${INT}:01`],
  ['an earlier key does not', '0a016b 0a0161 1202 1801', '-'],
  ['a key that is not there is the empty one', '1202 1801', '-'],
  ['the last member of a value counts', '0a016b 1205 0a0178 1802', `${INT}:02`],
  ['also over several values', '0a016b 1202 1802 1203 0a0178', `${STRING}:78`],
  ['a value in pieces keeps its member', '0a016b 1202 1802 1200', `${INT}:02`],
  ['an array takes the place of a string', '0a016b 1205 0a0178 2a00', '-'],
  ['an empty string is no value', '0a016b 1202 0a00', '-'],
  ['a value without a member is no value', '0a016b 1200', '-'],
  ['unknown members are passed over', '0a016b 1205 1802 c03e01', `${INT}:02`],
  ['padded lengths are read', '0a8100 6b 128200 1802', `${INT}:02`],
  ['padded tags are read', '8a00016b 920002 1802', `${INT}:02`],
  ['a group is passed over', '0a016b 838001 888001 05 848001 1202 1802', `${INT}:02`],
])('%s', (_, keyValue, value) => {
  expect(scan(inSpan(keyValue)).at(-1)).toMatch(new RegExp(` ${value}$`));
});

test.each([
  ['JSON', Buffer.from('{"resourceSpans":[]}').toString('hex'), 'not_otlp at 0'],
  ['text', Buffer.from('hello').toString('hex'), 'not_otlp at 0'],
  ["a schema registry's frame", '00000000010a00', 'not_otlp at 0'],
  ['a length beyond the record', '0a05 1200', 'truncated at 0'],
  ['a length beyond its message', '0a04 1205 0000', 'truncated at 2'],
  ['an attribute beyond its resource', '0a0b 0a04 0a050a00 1a03 616263', 'truncated at 4'],
  ['a length one byte beyond', '0a02 1201', 'truncated at 2'],
  ['a length one byte beyond, with bytes', '0a03 120200', 'truncated at 2'],
  ['a number one byte beyond', '0a05 c53e 000000', 'truncated at 2'],
  ['a length of more than 2^53', '0a ffffffffffffffff7f', 'truncated at 0'],
  ['a varint that does not end', '0a02 1280', 'truncated at 3'],
  ['a varint of eleven bytes', '0a0d c03e 8080808080808080808001', 'bad_varint at 4'],
  ['a fixed number beyond its message', '0a03 c13e 00', 'truncated at 2'],
  ['field number 0', '0a02 0200', 'bad_tag at 2'],
  ['a field number of 2^29', '0a06 8280808010 00', 'bad_tag at 2'],
  ['wire type 6', '0a03 c63e00', 'bad_tag at 2'],
  ['wire type 7', '0a03 c73e00', 'bad_tag at 2'],
  ['a resource that is a number', '0a02 0801', 'bad_wire_type at 2'],
  ['a span that is a group', '0a04 1202 1314', 'bad_wire_type at 4'],
  ['flags that are a varint', '0a07 1205 1203 800101', 'bad_wire_type at 6'],
  ['a key that is a number', inSpan('0801'), 'bad_wire_type at 8'],
  ['a wanted value with a wrong member', inSpan('0a016b 1202 0801'), 'bad_wire_type at 13'],
  ['a group that is not closed', '0a02 c33e', 'bad_group at 4'],
  ['a group closed by another number', '0a04 c33e cc3e', 'bad_group at 4'],
  ['the end of a group that is not open', '0a02 c43e', 'bad_group at 2'],
  ['a group beyond its message', '0a02 c33e c43e', 'bad_group at 4'],
  ['a hundred groups and one', wrap('0a', 'c33e'.repeat(60)), 'bad_group at 4'],
])('%s is malformed', (_, hex, outcome) => {
  expect(scan(hex)).toBe(outcome);
});

test('groups in groups are passed over, up to a bound', () => {
  const nested = (depth: number): string => {
    const inner = 'c33e'.repeat(depth) + 'c43e'.repeat(depth);
    const length = inner.length / 2;
    return `0a${((length & 127) | 128).toString(16)}${(length >> 7).toString(16).padStart(2, '0')}${inner}`;
  };
  expect(scan(nested(100))).toEqual(['record 1 0', 'region 403 0 0 -']);
  expect(scan(nested(101))).toBe('too_deep at 203');
});

test('spans are not looked into for nobody, but their heads are', () => {
  expect(scan('0a06 1204 1202 3a00')).toBe('bad_wire_type at 6');
  expect(scan('0a06 1204 1202 3a00', KeySet.NONE)).toEqual(['record 1 0', 'region 8 1 4 -']);
  expect(scan('0a06 1204 1205 3a00', KeySet.NONE)).toBe('truncated at 4');
});

test('keys are told apart by every byte', () => {
  const keys = new KeySet(['aa', 'ab', 'b', 'aa', 'schlüssel', '']);
  expect(keys.keys).toEqual(['aa', 'ab', 'b', 'schlüssel', '']);
  const find = (key: string): number => keys.find(Buffer.from(`..${key}..`), 2, Buffer.byteLength(key));
  expect(['aa', 'ab', 'b', 'schlüssel', '', 'ba', 'a', 'schlossel', 'x'.repeat(500)].map(find)).toEqual([
    0, 1, 2, 3, 4, -1, -1, -1, -1,
  ]);
});
