/**
 * Reads one ExportTraceServiceRequest as a Tempo that received it would, and says how large each part of it is once
 * Tempo has decoded it, written it again and decoded it again: that is what its usage tracker sees. So sizes are those
 * of the canonical encoding of what was understood, with these messages there even where the wire has none: Resource,
 * Scope, Status, every KeyValue's value. An id that is absent, empty or all zero costs nothing.
 *
 *   request       = *( 1 ResourceSpans )
 *   ResourceSpans = *( 1 Resource | 2 ScopeSpans | 3 text | 1000 ScopeSpans )     1000 counts where there is no 2
 *   Resource      = *( 1 KeyValue | 2 uint32 | 3 EntityRef )
 *   ScopeSpans    = *( 1 Scope | 2 Span | 3 text )
 *   Scope         = *( 1 text | 2 text | 3 KeyValue | 4 uint32 )
 *   Span          = *( 1 id | 2 id | 3 text | 4 id | 5 text | 6 enum | 7 I64 | 8 I64 | 9 KeyValue | 10 uint32
 *                    | 11 Event | 12 uint32 | 13 Link | 14 uint32 | 15 Status | 16 I32 )
 *   Event         = *( 1 I64 | 2 text | 3 KeyValue | 4 uint32 )
 *   Link          = *( 1 id | 2 id | 3 text | 4 KeyValue | 5 uint32 | 6 I32 )
 *   Status        = *( 2 text | 3 enum )
 *   EntityRef     = *( 1 text | 2 text | 3 text, repeated | 4 text, repeated )
 *   KeyValue      = *( 1 text | 2 AnyValue | 3 int32 )
 *   AnyValue      = *( 1 text | 2 bool | 3 int64 | 4 I64 | 5 *( 1 AnyValue ) | 6 *( 1 KeyValue ) | 7 bytes | 8 int32 )
 *
 * Of a scalar the last one counts, of AnyValue's members the last of any; Resource, Scope, Status and a KeyValue's value
 * that come in pieces are put together.
 */
import { CanonicalReader, lenBytes, textBytes } from './canonical.ts';
import type { KeySet } from './key-set.ts';
import type { Malformed } from './malformed.ts';
import { ABSENT, MAX_RECORD_BYTES, STRING, Values } from './scan.ts';
import { I32, I64 } from './wire.ts';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** Values in values; Tempo knows no limit, but a stack has one. */
const MAX_DEPTH = 500;
const OLD_SCOPE_SPANS = 1000;
const NOTHING = Buffer.alloc(0);
/** What a ScopeSpans is taken to cost beside what is in it, however long it is. */
const SCOPE_HEADER_BYTES = 2;
const REQUEST_TAG = 0x0a;
const KEY_TAG = 0x0a;
const VALUE_TAG = 0x12;
const TEXT_TAG = 0x0a;

/** Spans of one region, in the order of the wire. */
export class RewrittenSpans {
  count = 0;
  /** Of each, with tag and length. */
  sizes = new Float64Array(64);
  /** Text values of wanted keys: of span i at i * columns. */
  readonly values = new Values();
  #columns = 0;

  start(columns: number): void {
    this.count = 0;
    this.#columns = columns;
  }

  /** Makes room for one more, without values, and answers where they begin. */
  next(): number {
    const from = this.count * this.#columns;
    if (this.count === this.sizes.length) {
      const larger = new Float64Array(this.count * 2);
      larger.set(this.sizes);
      this.sizes = larger;
    }
    this.values.extend(from, this.#columns);
    return from;
  }
}

/** Hears of each region once all of it has been read. Nothing of it counts when the scan ends malformed. */
export type RewriteVisitor = {
  /** `rest`: what is not in spans. `firstHolds`: the first ScopeSpans has a span. */
  rewritten(resource: Values, spans: RewrittenSpans, rest: number, firstHolds: boolean): void;
};

export class RewriteScanner {
  readonly #in = new CanonicalReader();
  readonly #resource = new Values();
  readonly #spans = new RewrittenSpans();
  #resourceKeys!: KeySet;
  #spanKeys!: KeySet;
  /** The AnyValue read last: size of its member, and its text if it is one. */
  #member = 0;
  #kind = ABSENT;
  #textStart = 0;
  #textEnd = 0;
  #depth = 0;
  /** Size of the field that was read last, with tag and length. */
  #size = 0;
  /** Of messages that come in pieces, what the pieces so far say: sizes of fields. -1: nothing yet. */
  #dropped = -1;
  #scopeName = 0;
  #scopeVersion = 0;
  #scopeDropped = 0;
  #statusText = 0;
  #statusCode = 0;

  /** Tells the visitor what is in `bytes`, or answers why Tempo would refuse it. Never throws. Keeps nothing. */
  scan(bytes: Buffer, resourceKeys: KeySet, spanKeys: KeySet, visitor: RewriteVisitor): Malformed | null {
    if (bytes.length > MAX_RECORD_BYTES) return { kind: 'malformed', position: 0, reason: 'too_long' };
    this.#in.bytes = bytes;
    this.#resourceKeys = resourceKeys;
    this.#spanKeys = spanKeys;
    this.#depth = 0;
    const sound = this.#request(bytes.length, visitor);
    this.#in.bytes = NOTHING;
    if (sound) return null;
    if (bytes[0] !== REQUEST_TAG) return { kind: 'malformed', position: 0, reason: 'not_otlp' };
    return { kind: 'malformed', position: this.#in.position, reason: this.#in.reason };
  }

  #request(end: number, visitor: RewriteVisitor): boolean {
    const reader = this.#in;
    for (let at = 0; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return false;
      if (reader.field === 1) {
        const start = reader.len(at, end);
        at = reader.stop;
        if (start < 0 || !this.#region(start, at, visitor)) return false;
      } else {
        at = reader.unknown(at, end);
        if (at < 0) return false;
      }
    }
    return true;
  }

  #region(start: number, end: number, visitor: RewriteVisitor): boolean {
    const reader = this.#in;
    const spans = this.#spans;
    const old = this.#onlyOld(start, end);
    this.#resource.clear(this.#resourceKeys.size);
    spans.start(this.#spanKeys.size);
    let dropped = 0;
    let resource = 0;
    let schema = 0;
    let scopes = 0;
    let first = -1;
    for (let at = start; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return false;
      const { field } = reader;
      if (field !== 1 && field !== 2 && field !== 3 && field !== OLD_SCOPE_SPANS) {
        at = reader.unknown(at, end);
        if (at < 0) return false;
        continue;
      }
      const from = reader.len(at, end);
      if (from < 0) return false;
      at = reader.stop;
      if (field === 1) {
        const bytes = this.#resourceFields(from, at);
        if (bytes < 0) return false;
        resource += bytes;
        if (this.#dropped >= 0) dropped = this.#dropped;
      } else if (field === 3) schema = textBytes(at - from);
      else {
        const before = spans.count;
        const bytes = this.#scopeSpans(from, at);
        if (bytes < 0) return false;
        if ((field === OLD_SCOPE_SPANS) !== old) spans.count = before;
        else {
          scopes += bytes;
          if (first < 0) first = spans.count;
        }
      }
    }
    visitor.rewritten(this.#resource, spans, lenBytes(resource + dropped) + schema + scopes, first > 0);
    return true;
  }

  /** No ScopeSpans by its number of today. Where that cannot be told, reading it properly will fail, too. */
  #onlyOld(start: number, end: number): boolean {
    const reader = this.#in;
    for (let at = start; at >= 0 && at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) break;
      if (reader.field === 2) return false;
      at = reader.unknown(at, end);
    }
    return true;
  }

  /** Answers the size of what repeats; -1, here and below: refused. */
  #resourceFields(start: number, end: number): number {
    const reader = this.#in;
    let bytes = 0;
    let dropped = -1;
    for (let at = start; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          at = this.#attribute(at, end, this.#resourceKeys, this.#resource, 0);
          bytes += this.#size;
          break;
        case 2:
          at = reader.number(at, end);
          dropped = reader.uint32Bytes();
          break;
        case 3:
          at = this.#entityRef(at, end);
          bytes += this.#size;
          break;
        default:
          at = reader.unknown(at, end);
      }
      if (at < 0) return -1;
    }
    this.#dropped = dropped;
    return bytes;
  }

  #entityRef(from: number, end: number): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    const stop = reader.stop;
    let url = 0;
    let type = 0;
    let keys = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      const { field } = reader;
      if (field > 4) {
        at = reader.unknown(at, stop);
        if (at < 0) return -1;
        continue;
      }
      const start = reader.len(at, stop);
      if (start < 0) return -1;
      at = reader.stop;
      if (field === 1) url = textBytes(at - start);
      else if (field === 2) type = textBytes(at - start);
      else keys += lenBytes(at - start);
    }
    this.#size = lenBytes(url + type + keys);
    return stop;
  }

  #scopeSpans(start: number, end: number): number {
    const reader = this.#in;
    const spans = this.#spans;
    this.#scopeName = 0;
    this.#scopeVersion = 0;
    this.#scopeDropped = 0;
    let scope = 0;
    let schema = 0;
    for (let at = start; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return -1;
      const { field } = reader;
      if (field > 3) {
        at = reader.unknown(at, end);
        if (at < 0) return -1;
        continue;
      }
      const from = reader.len(at, end);
      if (from < 0) return -1;
      at = reader.stop;
      if (field === 2) {
        const size = this.#span(from, at, spans.next());
        if (size < 0) return -1;
        spans.sizes[spans.count++] = lenBytes(size);
      } else if (field === 1) {
        const attributes = this.#scope(from, at);
        if (attributes < 0) return -1;
        scope += attributes;
      } else schema = textBytes(at - from);
    }
    scope += this.#scopeName + this.#scopeVersion + this.#scopeDropped;
    return SCOPE_HEADER_BYTES + lenBytes(scope) + schema;
  }

  /** Answers the size of the attributes. */
  #scope(start: number, end: number): number {
    const reader = this.#in;
    let attributes = 0;
    for (let at = start; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          at = this.#text(at, end);
          this.#scopeName = this.#size;
          break;
        case 2:
          at = this.#text(at, end);
          this.#scopeVersion = this.#size;
          break;
        case 3:
          at = this.#attribute(at, end, null, this.#resource, 0);
          attributes += this.#size;
          break;
        case 4:
          at = reader.number(at, end);
          this.#scopeDropped = reader.uint32Bytes();
          break;
        default:
          at = reader.unknown(at, end);
      }
      if (at < 0) return -1;
    }
    return attributes;
  }

  #span(start: number, end: number, base: number): number {
    const reader = this.#in;
    const keys = this.#spanKeys;
    const values = this.#spans.values;
    let traceId = 0;
    let spanId = 0;
    let parent = 0;
    let state = 0;
    let name = 0;
    let kind = 0;
    let startTime = 0;
    let endTime = 0;
    let droppedAttributes = 0;
    let droppedEvents = 0;
    let droppedLinks = 0;
    let flags = 0;
    let repeated = 0;
    this.#statusText = 0;
    this.#statusCode = 0;
    for (let at = start; at < end; ) {
      at = reader.tag(at, end);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          at = this.#id(at, end, TRACE_ID_BYTES);
          traceId = this.#size;
          break;
        case 2:
          at = this.#id(at, end, SPAN_ID_BYTES);
          spanId = this.#size;
          break;
        case 3:
          at = this.#text(at, end);
          state = this.#size;
          break;
        case 4:
          at = this.#id(at, end, SPAN_ID_BYTES);
          parent = this.#size;
          break;
        case 5:
          at = this.#text(at, end);
          name = this.#size;
          break;
        case 6:
          at = reader.number(at, end);
          kind = reader.int32Bytes();
          break;
        case 7:
          at = reader.fixed(at, end, I64);
          startTime = reader.low === 0 ? 0 : 9;
          break;
        case 8:
          at = reader.fixed(at, end, I64);
          endTime = reader.low === 0 ? 0 : 9;
          break;
        case 9:
          at = this.#attribute(at, end, keys, values, base);
          repeated += this.#size;
          break;
        case 10:
          at = reader.number(at, end);
          droppedAttributes = reader.uint32Bytes();
          break;
        case 11:
          at = this.#event(at, end);
          repeated += this.#size;
          break;
        case 12:
          at = reader.number(at, end);
          droppedEvents = reader.uint32Bytes();
          break;
        case 13:
          at = this.#link(at, end);
          repeated += this.#size;
          break;
        case 14:
          at = reader.number(at, end);
          droppedLinks = reader.uint32Bytes();
          break;
        case 15:
          at = this.#status(at, end);
          break;
        case 16:
          at = reader.fixed(at, end, I32);
          flags = reader.low === 0 ? 0 : 6;
          break;
        default:
          at = reader.unknown(at, end);
      }
      if (at < 0) return -1;
    }
    return (
      traceId +
      spanId +
      parent +
      state +
      name +
      kind +
      startTime +
      endTime +
      droppedAttributes +
      droppedEvents +
      droppedLinks +
      flags +
      repeated +
      lenBytes(this.#statusText + this.#statusCode)
    );
  }

  #text(at: number, end: number): number {
    const start = this.#in.len(at, end);
    if (start < 0) return -1;
    this.#size = textBytes(this.#in.stop - start);
    return this.#in.stop;
  }

  #id(at: number, end: number, length: number): number {
    const { bytes } = this.#in;
    const start = this.#in.len(at, end);
    if (start < 0) return -1;
    const stop = this.#in.stop;
    this.#size = 0;
    if (stop === start) return stop;
    if (stop - start !== length) return this.#in.fail(at, 'bad_id');
    for (let i = start; i < stop; i++) {
      if (bytes[i] === 0) continue;
      this.#size = 2 + length;
      break;
    }
    return stop;
  }

  #status(from: number, end: number): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    const stop = reader.stop;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      if (reader.field === 2) {
        at = this.#text(at, stop);
        this.#statusText = this.#size;
      } else if (reader.field === 3) {
        at = reader.number(at, stop);
        this.#statusCode = reader.int32Bytes();
      } else at = reader.unknown(at, stop);
      if (at < 0) return -1;
    }
    return stop;
  }

  #event(from: number, end: number): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    const stop = reader.stop;
    let time = 0;
    let name = 0;
    let attributes = 0;
    let dropped = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          at = reader.fixed(at, stop, I64);
          time = reader.low === 0 ? 0 : 9;
          break;
        case 2:
          at = this.#text(at, stop);
          name = this.#size;
          break;
        case 3:
          at = this.#attribute(at, stop, null, this.#resource, 0);
          attributes += this.#size;
          break;
        case 4:
          at = reader.number(at, stop);
          dropped = reader.uint32Bytes();
          break;
        default:
          at = reader.unknown(at, stop);
      }
      if (at < 0) return -1;
    }
    this.#size = lenBytes(time + name + attributes + dropped);
    return stop;
  }

  #link(from: number, end: number): number {
    const reader = this.#in;
    let at = reader.len(from, end);
    if (at < 0) return -1;
    const stop = reader.stop;
    let traceId = 0;
    let spanId = 0;
    let state = 0;
    let attributes = 0;
    let dropped = 0;
    let flags = 0;
    while (at < stop) {
      at = reader.tag(at, stop);
      if (at < 0) return -1;
      switch (reader.field) {
        case 1:
          at = this.#id(at, stop, TRACE_ID_BYTES);
          traceId = this.#size;
          break;
        case 2:
          at = this.#id(at, stop, SPAN_ID_BYTES);
          spanId = this.#size;
          break;
        case 3:
          at = this.#text(at, stop);
          state = this.#size;
          break;
        case 4:
          at = this.#attribute(at, stop, null, this.#resource, 0);
          attributes += this.#size;
          break;
        case 5:
          at = reader.number(at, stop);
          dropped = reader.uint32Bytes();
          break;
        case 6:
          at = reader.fixed(at, stop, I32);
          flags = reader.low === 0 ? 0 : 5;
          break;
        default:
          at = reader.unknown(at, stop);
      }
      if (at < 0) return -1;
    }
    this.#size = lenBytes(traceId + spanId + state + attributes + dropped + flags);
    return stop;
  }

  /**
   * A KeyValue; notes its value where its key is wanted and has no value yet. One key and one short text, in either
   * order, are taken here: they are written again as they are.
   */
  #attribute(from: number, end: number, keys: KeySet | null, values: Values, base: number): number {
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
            this.#size = lenBytes(stop - start);
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
    this.#size = lenBytes(textBytes(keyEnd - keyStart) + lenBytes(member) + index);
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
          member = this.#size;
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
        at = this.#attribute(at, stop, null, this.#resource, 0);
        items += this.#size;
      } else {
        at = this.#anyValue(at, stop);
        items += lenBytes(this.#member);
      }
      if (at < 0) return -1;
    }
    this.#depth--;
    this.#size = lenBytes(items);
    return stop;
  }
}
