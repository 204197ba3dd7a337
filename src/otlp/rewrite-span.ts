/**
 * A span as Tempo reads and writes it again:
 *
 *   Span   = *( 1 id | 2 id | 3 text | 4 id | 5 text | 6 enum | 7 I64 | 8 I64 | 9 KeyValue | 10 uint32
 *             | 11 Event | 12 uint32 | 13 Link | 14 uint32 | 15 Status | 16 I32 )
 *   Event  = *( 1 I64 | 2 text | 3 KeyValue | 4 uint32 )
 *   Link   = *( 1 id | 2 id | 3 text | 4 KeyValue | 5 uint32 | 6 I32 )
 *   Status = *( 2 text | 3 enum )
 *
 * Of a scalar the last one counts; a Status that comes in pieces is put together.
 */
import { type CanonicalReader, lenBytes, textBytes } from './canonical.ts';
import type { KeySet } from './key-set.ts';
import type { AttributeReader } from './rewrite-attribute.ts';
import { Values } from './scan.ts';
import { I32, I64 } from './wire.ts';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
const NO_VALUES = new Values();

/** Positions go in, positions come out; -1: refused. */
export class SpanReader {
  readonly #in: CanonicalReader;
  readonly #attributes: AttributeReader;
  /** Size of the field that was read last, with tag and length. */
  #size = 0;
  #statusText = 0;
  #statusCode = 0;

  constructor(reader: CanonicalReader, attributes: AttributeReader) {
    this.#in = reader;
    this.#attributes = attributes;
  }

  /** Answers the size of the payload; notes the values of `keys` from `base` on. */
  span(start: number, end: number, keys: KeySet, values: Values, base: number): number {
    const reader = this.#in;
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
          at = this.#attributes.attribute(at, end, keys, values, base);
          repeated += this.#attributes.size;
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
          at = this.#attributes.attribute(at, stop, null, NO_VALUES, 0);
          attributes += this.#attributes.size;
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
          at = this.#attributes.attribute(at, stop, null, NO_VALUES, 0);
          attributes += this.#attributes.size;
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
}
