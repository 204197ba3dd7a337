/**
 * Walks through one ExportTraceServiceRequest (TracesData, Tempo's Trace: the same on the wire) without making an
 * object of anything. Fields come in any order; the Collector writes them descending, a resource behind its spans and
 * a value before its key. So each region is passed twice: over the heads of its spans, for the resource, the number of
 * spans and their bytes, and then through the spans, if anybody wants to know what is in them.
 *
 *   request       = *( 1 LEN ResourceSpans )
 *   ResourceSpans = *( 1 LEN Resource | 2 LEN ScopeSpans | 3 LEN )
 *   Resource      = *( 1 LEN KeyValue | 2 VARINT | 3 LEN )
 *   ScopeSpans    = *( 1 LEN | 2 LEN Span | 3 LEN )
 *   Span          = *( 9 LEN KeyValue | 1..5 LEN | 6 VARINT | 7..8 I64 | 10 VARINT | 11 LEN | 12 VARINT
 *                    | 13 LEN | 14 VARINT | 15 LEN | 16 I32 )
 *   KeyValue      = *( 1 LEN key | 2 LEN AnyValue )
 *   AnyValue      = *( 1 LEN | 2 VARINT | 3 VARINT | 4 I64 | 5..7 LEN )     the last one counts
 *
 * Other fields are allowed everywhere. Several Resources of one region, and several AnyValues of one KeyValue, are one
 * message in pieces, as protobuf says. What nobody reads is not looked into: events, links, status, scopes, and values
 * of keys that are not wanted may hold anything.
 */
import { KeySet } from './key-set.ts';
import { MAX_RECORD_BYTES, type Malformed, type MalformedReason } from './malformed.ts';
import { grammar, I32, I64, LEN, REFUSED, SKIP, VARINT, Wire } from './wire.ts';

/** What an attribute's value is; the numbers of AnyValue's fields. Values of other kinds, and empty strings, are absent. */
export const ABSENT = 0;
export const STRING = 1;
export const BOOL = 2;
export const INT = 3;
export const DOUBLE = 4;
const UNUSABLE = 5;

const RESOURCE = 1;
const SCOPE_SPANS = 2;
const SPAN = 1;
const KEY_VALUE = 1;
const KEY = 1;
const VALUE = 2;

const REQUEST_FIELDS = grammar([[1, LEN, 1]]);
const RESOURCE_SPANS_FIELDS = grammar([
  [1, LEN, RESOURCE],
  [2, LEN, SCOPE_SPANS],
  [3, LEN, SKIP],
]);
const RESOURCE_FIELDS = grammar([
  [1, LEN, KEY_VALUE],
  [2, VARINT, SKIP],
  [3, LEN, SKIP],
]);
const SCOPE_SPANS_FIELDS = grammar([
  [1, LEN, SKIP],
  [2, LEN, SPAN],
  [3, LEN, SKIP],
]);
const SPAN_FIELDS = grammar([
  [9, LEN, KEY_VALUE],
  ...[1, 2, 3, 4, 5, 11, 13, 15].map((number) => [number, LEN, SKIP] as const),
  ...[6, 10, 12, 14].map((number) => [number, VARINT, SKIP] as const),
  [7, I64, SKIP],
  [8, I64, SKIP],
  [16, I32, SKIP],
]);
const KEY_VALUE_FIELDS = grammar([
  [1, LEN, KEY],
  [2, LEN, VALUE],
]);
const ANY_VALUE_FIELDS = grammar([
  [1, LEN, STRING],
  [2, VARINT, BOOL],
  [3, VARINT, INT],
  [4, I64, DOUBLE],
  [5, LEN, UNUSABLE],
  [6, LEN, UNUSABLE],
  [7, LEN, UNUSABLE],
]);

const CACHE_LINE_BYTES = 64;
const FETCH_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);
const REQUEST_TAG = 1 * 8 + LEN;
const RESOURCE_ATTRIBUTE_TAG = 1 * 8 + LEN;
const SPAN_ATTRIBUTE_TAG = 9 * 8 + LEN;
const KEY_TAG = 1 * 8 + LEN;
const VALUE_TAG = 2 * 8 + LEN;
const STRING_TAG = STRING * 8 + LEN;

/** Values of wanted keys, one column each: kind, and the payload [start, end) in the record. */
export class Values {
  kinds = new Uint8Array(8);
  starts = new Int32Array(8);
  ends = new Int32Array(8);

  /** Makes the first `columns` absent. */
  clear(columns: number): void {
    if (columns > this.kinds.length) {
      this.kinds = new Uint8Array(columns * 2);
      this.starts = new Int32Array(columns * 2);
      this.ends = new Int32Array(columns * 2);
    }
    for (let i = 0; i < columns; i++) this.kinds[i] = ABSENT;
  }

  /** Makes `columns` from `from` on absent, and keeps those before. */
  extend(from: number, columns: number): void {
    const end = from + columns;
    if (end > this.kinds.length) {
      const { kinds, starts, ends } = this;
      this.kinds = new Uint8Array(end * 2);
      this.starts = new Int32Array(end * 2);
      this.ends = new Int32Array(end * 2);
      this.kinds.set(kinds);
      this.starts.set(starts);
      this.ends.set(ends);
    }
    this.kinds.fill(ABSENT, from, end);
  }
}

/** Hears what is in a record, in the order of the wire. Nothing of it counts when the scan ends malformed. */
export type TraceVisitor = {
  /** First. `outside`: bytes of the record in no region. */
  record(regions: number, outside: number): void;
  /**
   * A ResourceSpans with its tag and length, from `start` on; `own`: what of it its spans take. Its resource's values are
   * in `resource`, for the columns of the keys asked for. Answers what it wants to know of the spans: with
   * `KeySet.NONE` they are not looked into and `span` is not called.
   */
  region(resource: Values, bytes: number, spans: number, own: number, start: number): KeySet;
  /** A span with its tag and length. */
  span(values: Values, own: number): void;
};

export class Scanner {
  readonly #wire = new Wire();
  readonly #resource = new Values();
  readonly #values = new Values();
  #resourceKeys = KeySet.NONE;
  #spanKeys = KeySet.NONE;
  #regionSpans = 0;
  #regionOwn = 0;
  /** The record is in the cache up to here. */
  #fetched = 0;

  /** Tells the visitor what is in `bytes`, or answers why they are not OTLP trace data. Never throws. Keeps nothing. */
  scan(bytes: Buffer, resourceKeys: KeySet, visitor: TraceVisitor): Malformed | null {
    if (bytes.length > MAX_RECORD_BYTES) return malformed(0, 'too_long');
    this.#wire.bytes = bytes;
    this.#fetch(0);
    this.#resourceKeys = resourceKeys;
    const sound = this.#request(bytes.length, visitor);
    this.#wire.bytes = NOTHING;
    if (sound) return null;
    if (bytes[0] !== REQUEST_TAG) return malformed(0, 'not_otlp');
    return malformed(this.#wire.position, this.#wire.reason);
  }

  #request(end: number, visitor: TraceVisitor): boolean {
    const wire = this.#wire;
    let regions = 0;
    let outside = end;
    for (let at = 0; at < end; at = wire.stop) {
      const action = wire.field(at, end, REQUEST_FIELDS);
      if (action === REFUSED) return false;
      if (action === SKIP) continue;
      regions++;
      outside -= wire.stop - at;
    }
    visitor.record(regions, outside);
    for (let at = 0; at < end; ) {
      const action = wire.field(at, end, REQUEST_FIELDS);
      const { start, stop } = wire;
      if (action !== SKIP && !this.#region(at, start, stop, visitor)) return false;
      at = stop;
    }
    return true;
  }

  #region(head: number, start: number, end: number, visitor: TraceVisitor): boolean {
    this.#resource.clear(this.#resourceKeys.size);
    this.#regionSpans = 0;
    this.#regionOwn = 0;
    if (!this.#outline(start, end)) return false;
    this.#spanKeys = visitor.region(this.#resource, end - head, this.#regionSpans, this.#regionOwn, head);
    return this.#spanKeys.size === 0 || this.#regionSpans === 0 || this.#spans(start, end, visitor);
  }

  /** First pass through a region: everything but what is inside of its spans. */
  #outline(start: number, end: number): boolean {
    const wire = this.#wire;
    for (let at = start; at < end; ) {
      const action = wire.field(at, end, RESOURCE_SPANS_FIELDS);
      if (action === REFUSED) return false;
      const stop = wire.stop;
      if (action === RESOURCE) {
        if (!this.#resourceFields(wire.start, stop)) return false;
      } else if (action === SCOPE_SPANS) {
        if (!this.#spanHeads(wire.start, stop)) return false;
      }
      at = stop;
    }
    return true;
  }

  /** Attributes with a length of one byte are taken here, everything else by the general way. */
  #resourceFields(start: number, end: number): boolean {
    const wire = this.#wire;
    const bytes = wire.bytes;
    for (let at = start; at < end; ) {
      if (bytes[at] === RESOURCE_ATTRIBUTE_TAG && at + 1 < end) {
        const next = at + 2 + bytes[at + 1]!;
        if (next - at < 0x82 && next <= end) {
          if (!this.#keyValue(at + 2, next, this.#resourceKeys, this.#resource)) return false;
          at = next;
          continue;
        }
      }
      const action = wire.field(at, end, RESOURCE_FIELDS);
      if (action === REFUSED) return false;
      const stop = wire.stop;
      if (action === KEY_VALUE && !this.#keyValue(wire.start, stop, this.#resourceKeys, this.#resource)) return false;
      at = stop;
    }
    return true;
  }

  #spanHeads(start: number, end: number): boolean {
    const wire = this.#wire;
    let spans = 0;
    let own = 0;
    for (let at = start; at < end; at = wire.stop) {
      if (at >= this.#fetched) this.#fetch(at);
      const action = wire.field(at, end, SCOPE_SPANS_FIELDS);
      if (action === REFUSED) return false;
      if (action === SPAN) {
        spans++;
        own += wire.stop - at;
      }
    }
    this.#regionSpans += spans;
    this.#regionOwn += own;
    return true;
  }

  /**
   * Reads one byte of each cache line from `at` on, for nothing. The head of a span says where the next one is, so a
   * walk along heads waits for memory at each; read like this, many lines are on their way at a time. Where a record is
   * not in the cache yet, the walk becomes about three times as fast, and what comes after it a third faster.
   */
  #fetch(at: number): void {
    const bytes = this.#wire.bytes;
    const end = Math.min(at + FETCH_BYTES, bytes.length);
    let sum = 0;
    for (let i = at; i < end; i += CACHE_LINE_BYTES) sum ^= bytes[i]!;
    // The sum is of bytes, so nothing is added; but a sum that nobody uses is not read for.
    this.#fetched = end + (sum >>> 8);
  }

  /** Second pass through a region, whose outline is sound: only what is inside of its spans can still be malformed. */
  #spans(start: number, end: number, visitor: TraceVisitor): boolean {
    const wire = this.#wire;
    for (let at = start; at < end; ) {
      const action = wire.field(at, end, RESOURCE_SPANS_FIELDS);
      const stop = wire.stop;
      if (action === SCOPE_SPANS && !this.#scopeSpans(wire.start, stop, visitor)) return false;
      at = stop;
    }
    return true;
  }

  #scopeSpans(start: number, end: number, visitor: TraceVisitor): boolean {
    const wire = this.#wire;
    const values = this.#values;
    for (let at = start; at < end; ) {
      const action = wire.field(at, end, SCOPE_SPANS_FIELDS);
      const stop = wire.stop;
      if (action === SPAN) {
        values.clear(this.#spanKeys.size);
        if (!this.#spanFields(wire.start, stop)) return false;
        visitor.span(values, stop - at);
      }
      at = stop;
    }
    return true;
  }

  /** Tags and lengths of one byte are taken here, everything else by the general way. */
  #spanFields(start: number, end: number): boolean {
    const wire = this.#wire;
    const bytes = wire.bytes;
    let at = start;
    while (at < end) {
      const tag = bytes[at]!;
      const length = at + 1 < end ? bytes[at + 1]! : 0x80;
      if ((tag & 0x87) === LEN && length < 0x80 && at + 2 + length <= end) {
        const stop = at + 2 + length;
        if (tag === SPAN_ATTRIBUTE_TAG) {
          if (!this.#keyValue(at + 2, stop, this.#spanKeys, this.#values)) return false;
          at = stop;
          continue;
        }
        if (SPAN_FIELDS[tag] === SKIP) {
          at = stop;
          continue;
        }
      }
      const action = wire.field(at, end, SPAN_FIELDS);
      if (action === REFUSED) return false;
      const stop = wire.stop;
      if (action === KEY_VALUE && !this.#keyValue(wire.start, stop, this.#spanKeys, this.#values)) return false;
      at = stop;
    }
    return true;
  }

  /** One key and one value with short lengths, in either order, are taken here. */
  #keyValue(start: number, end: number, keys: KeySet, values: Values): boolean {
    const bytes = this.#wire.bytes;
    const length = start + 1 < end ? bytes[start + 1]! : 0x80;
    const middle = start + 2 + length;
    if (length < 0x80 && middle + 1 < end) {
      const rest = bytes[middle + 1]!;
      if (rest < 0x80 && middle + 2 + rest === end) {
        const first = bytes[start]!;
        const second = bytes[middle]!;
        if (first === KEY_TAG && second === VALUE_TAG) {
          const column = keys.find(bytes, start + 2, length);
          return column < 0 || values.kinds[column] !== ABSENT || this.#take(middle + 2, end, values, column);
        }
        if (first === VALUE_TAG && second === KEY_TAG) {
          const column = keys.find(bytes, middle + 2, rest);
          return column < 0 || values.kinds[column] !== ABSENT || this.#take(start + 2, middle, values, column);
        }
      }
    }
    return this.#anyKeyValue(start, end, keys, values);
  }

  /** The last key counts; of its values only those of a wanted key are looked into. */
  #anyKeyValue(start: number, end: number, keys: KeySet, values: Values): boolean {
    const wire = this.#wire;
    let keyStart = start;
    let keyEnd = start;
    for (let at = start; at < end; at = wire.stop) {
      const action = wire.field(at, end, KEY_VALUE_FIELDS);
      if (action === REFUSED) return false;
      if (action === KEY) {
        keyStart = wire.start;
        keyEnd = wire.stop;
      }
    }
    const column = keys.find(wire.bytes, keyStart, keyEnd - keyStart);
    if (column < 0 || values.kinds[column] !== ABSENT) return true;
    for (let at = start; at < end; ) {
      const action = wire.field(at, end, KEY_VALUE_FIELDS);
      const stop = wire.stop;
      if (action === VALUE && !this.#member(wire.start, stop, values, column)) return false;
      at = stop;
    }
    settle(values, column);
    return true;
  }

  /** The value of a KeyValue that has only this one. */
  #take(start: number, end: number, values: Values, column: number): boolean {
    const bytes = this.#wire.bytes;
    if (end - start > 2 && bytes[start] === STRING_TAG && bytes[start + 1] === end - start - 2) {
      values.kinds[column] = STRING;
      values.starts[column] = start + 2;
      values.ends[column] = end;
      return true;
    }
    if (!this.#member(start, end, values, column)) return false;
    settle(values, column);
    return true;
  }

  /** Notes the last member of an AnyValue, if it has one. */
  #member(start: number, end: number, values: Values, column: number): boolean {
    const wire = this.#wire;
    for (let at = start; at < end; at = wire.stop) {
      const action = wire.field(at, end, ANY_VALUE_FIELDS);
      if (action === REFUSED) return false;
      if (action === SKIP) continue;
      values.kinds[column] = action;
      values.starts[column] = wire.start;
      values.ends[column] = wire.stop;
    }
    return true;
  }
}

/** A value that cannot be a label leaves its column free for the next occurrence of the key. */
function settle(values: Values, column: number): void {
  const kind = values.kinds[column]!;
  const empty = values.starts[column] === values.ends[column];
  if (kind === UNUSABLE || (kind === STRING && empty)) values.kinds[column] = ABSENT;
}

function malformed(position: number, reason: MalformedReason): Malformed {
  return { kind: 'malformed', position, reason };
}
