/**
 * Attributes as Tempo reads and writes them again:
 *
 *   KeyValue = *( 1 text | 2 AnyValue | 3 int32 )
 *   AnyValue = *( 1 text | 2 bool | 3 int64 | 4 I64 | 5 *( 1 AnyValue ) | 6 *( 1 KeyValue ) | 7 bytes | 8 int32 )
 *
 * Of AnyValue's members the last of any counts; values of a KeyValue that come in pieces are put together.
 */
import { type CanonicalReader, lenBytes, textBytes } from './canonical.ts';
import type { KeySet } from './key-set.ts';
import { ABSENT, STRING, Values } from './scan.ts';
import { I64 } from './wire.ts';

/** Values in values; Tempo knows no limit, but a stack has one. */
const MAX_DEPTH = 500;
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const TEXT_TAG = 0x0a;
const NO_VALUES = new Values();

/** Positions go in, positions come out; -1: refused. */
export class AttributeReader {
  /** Size of the KeyValue that was read last, with tag and length. */
  size = 0;
  readonly #in: CanonicalReader;
  /** The AnyValue read last: size of its member, and its text if it is one. */
  #member = 0;
  #kind = ABSENT;
  #textStart = 0;
  #textEnd = 0;
  #depth = 0;

  constructor(reader: CanonicalReader) {
    this.#in = reader;
  }

  /** Before each record: one that was refused may have ended inside of values. */
  reset(): void {
    this.#depth = 0;
  }

  /**
   * A KeyValue; notes its value where its key is wanted and has no value yet. One key and one short text, in either
   * order, are taken here: they are written again as they are.
   */
  attribute(from: number, end: number, keys: KeySet | null, values: Values, base: number): number {
    const reader = this.#in;
    const { bytes } = reader;
    const start = reader.len(from, end);
    if (start < 0) return -1;
    const stop = reader.stop;
    const length = start + 1 < stop ? bytes[start + 1]! : 0x80;
    const middle = start + 2 + length;
    if (length < 0x80 && middle + 1 < stop) {
      const rest = bytes[middle + 1]!;
      if (rest < 0x80 && middle + 2 + rest === stop) {
        const isAscending = bytes[start] === KEY_TAG && bytes[middle] === VALUE_TAG;
        if (isAscending || (bytes[start] === VALUE_TAG && bytes[middle] === KEY_TAG)) {
          const keyStart = isAscending ? start + 2 : middle + 2;
          const keyBytes = isAscending ? length : rest;
          const value = isAscending ? middle + 2 : start + 2;
          const valueBytes = isAscending ? rest : length;
          if (keyBytes > 0 && valueBytes > 2 && bytes[value] === TEXT_TAG && bytes[value + 1] === valueBytes - 2) {
            this.size = lenBytes(stop - start);
            if (keys !== null) this.#note(keys, keyStart, keyBytes, value + 2, value + valueBytes, values, base);
            return stop;
          }
        }
      }
    }
    return this.#anyAttribute(start, stop, keys, values, base);
  }

  #note(keys: KeySet, key: number, keyBytes: number, start: number, end: number, values: Values, base: number): void {
    const column = keys.find(this.#in.bytes, key, keyBytes);
    if (column < 0 || values.kinds[base + column] !== ABSENT) return;
    values.kinds[base + column] = STRING;
    values.starts[base + column] = start;
    values.ends[base + column] = end;
  }

  #anyAttribute(start: number, stop: number, keys: KeySet | null, values: Values, base: number): number {
    const reader = this.#in;
    let at = start;
    let keyStart = at;
    let keyEnd = at;
    let index = 0;
    let member = 0;
    let kind = ABSENT;
    let textStart = 0;
    let textEnd = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          keyStart = reader.len(at, stop);
          at = keyStart < 0 ? -1 : reader.stop;
          keyEnd = at;
          break;
        case 2:
          at = this.#anyValue(at, stop);
          if (this.#member === 0) break;
          member = this.#member;
          kind = this.#kind;
          textStart = this.#textStart;
          textEnd = this.#textEnd;
          break;
        case 3:
          at = reader.number(at, stop);
          index = reader.int32Bytes();
          break;
        default:
          at = reader.unknown(at, stop);
      }
      if (at < 0) return -1;
    }
    this.size = lenBytes(textBytes(keyEnd - keyStart) + lenBytes(member) + index);
    if (keys !== null && kind === STRING && textEnd > textStart)
      this.#note(keys, keyStart, keyEnd - keyStart, textStart, textEnd, values, base);
    return stop;
  }

  /** Leaves its member's size in `#member`: 0 where it has none. */
  #anyValue(from: number, end: number): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    const stop = reader.stop;
    let member = 0;
    let kind = ABSENT;
    let textStart = 0;
    let textEnd = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
        case 7:
          kind = reader.field === 1 ? STRING : ABSENT;
          textStart = reader.len(at, stop);
          at = textStart < 0 ? -1 : reader.stop;
          textEnd = at;
          member = lenBytes(textEnd - textStart);
          break;
        case 2:
          at = reader.number(at, stop);
          kind = ABSENT;
          member = 2;
          break;
        case 3:
          at = reader.number(at, stop);
          kind = ABSENT;
          member = 1 + reader.int64VarintBytes();
          break;
        case 4:
          at = reader.fixed(at, stop, I64);
          kind = ABSENT;
          member = 9;
          break;
        case 5:
        case 6:
          at = this.#list(at, stop, reader.field === 6);
          kind = ABSENT;
          member = this.size;
          break;
        case 8:
          at = reader.number(at, stop);
          kind = ABSENT;
          member = 1 + reader.int32VarintBytes();
          break;
        default:
          at = reader.unknown(at, stop);
      }
      if (at < 0) return -1;
    }
    this.#member = member;
    this.#kind = kind;
    this.#textStart = textStart;
    this.#textEnd = textEnd;
    return stop;
  }

  /** ArrayValue, or KeyValueList where `named`. */
  #list(from: number, end: number, named: boolean): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    if (this.#depth === MAX_DEPTH) return reader.fail(from, 'too_deep');
    this.#depth++;
    const stop = reader.stop;
    let items = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      if (reader.field !== 1) at = reader.unknown(at, stop);
      else if (named) {
        at = this.attribute(at, stop, null, NO_VALUES, 0);
        items += this.size;
      } else {
        at = this.#anyValue(at, stop);
        items += lenBytes(this.#member);
      }
      if (at < 0) return -1;
    }
    this.#depth--;
    this.size = lenBytes(items);
    return stop;
  }
}
