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
 *   EntityRef     = *( 1 text | 2 text | 3 text, repeated | 4 text, repeated )
 *
 * Spans are read in rewrite-span.ts, KeyValues in rewrite-attribute.ts. Of a scalar the last one counts; Resources and
 * Scopes that come in pieces are put together.
 */
import { CanonicalReader, lenBytes, textBytes } from './canonical.ts';
import type { KeySet } from './key-set.ts';
import { MAX_RECORD_BYTES, type Malformed } from './malformed.ts';
import { AttributeReader } from './rewrite-attribute.ts';
import { SpanReader } from './rewrite-span.ts';
import { Values } from './scan.ts';

const OLD_SCOPE_SPANS = 1000;
const NOTHING = Buffer.alloc(0);
/** What a ScopeSpans is taken to cost beside what is in it, however long it is. */
const SCOPE_HEADER_BYTES = 2;
const REQUEST_TAG = 0x0a;
const NO_VALUES = new Values();

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
  readonly #attributes = new AttributeReader(this.#in);
  readonly #span = new SpanReader(this.#in, this.#attributes);
  readonly #resource = new Values();
  readonly #spans = new RewrittenSpans();
  #resourceKeys!: KeySet;
  #spanKeys!: KeySet;
  /** Size of the field that was read last, with tag and length. */
  #size = 0;
  /** Of messages that come in pieces, what the pieces so far say: sizes of fields. -1: nothing yet. */
  #dropped = -1;
  #scopeName = 0;
  #scopeVersion = 0;
  #scopeDropped = 0;

  /** Tells the visitor what is in `bytes`, or answers why Tempo would refuse it. Never throws. Keeps nothing. */
  scan(bytes: Buffer, resourceKeys: KeySet, spanKeys: KeySet, visitor: RewriteVisitor): Malformed | null {
    if (bytes.length > MAX_RECORD_BYTES) return { kind: 'malformed', position: 0, reason: 'too_long' };
    this.#in.bytes = bytes;
    this.#resourceKeys = resourceKeys;
    this.#spanKeys = spanKeys;
    this.#attributes.reset();
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
          at = this.#attributes.attribute(at, end, this.#resourceKeys, this.#resource, 0);
          bytes += this.#attributes.size;
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
        const size = this.#span.span(from, at, this.#spanKeys, spans.values, spans.next());
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
          at = this.#attributes.attribute(at, end, null, NO_VALUES, 0);
          attributes += this.#attributes.size;
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

  #text(at: number, end: number): number {
    const start = this.#in.len(at, end);
    if (start < 0) return -1;
    this.#size = textBytes(this.#in.stop - start);
    return this.#in.stop;
  }
}
