/**
 * Tells messages that also begin with a field 1 of bytes from trace data: they would often decode, since protobuf
 * passes over unknown fields, and be counted as strange spans. Looked at is the first of each kind alone: the first
 * region, its first ScopeSpans, its first span.
 *
 *   jaeger        one span: 1 LEN of 16, 2 LEN of 8, 3 LEN name, 6 LEN start, ...                 jaeger.api_v2.Span
 *   zipkin        *( 1 LEN span ), span = 1 LEN of 8 or 16, 3 LEN of 8, 4 VARINT, 5 LEN, ...      zipkin.proto3.ListOfSpans
 *   other_signal  regions as those of traces, whose items are metrics or log records
 */
import { grammar, I32, I64, LEN, REFUSED, VARINT, Wire } from './wire.ts';

export const FOREIGN_FORMATS = ['jaeger', 'zipkin', 'other_signal'] as const;

export type ForeignFormat = (typeof FOREIGN_FORMATS)[number];

/** A record of something else than traces in OTLP. */
export type ForeignRecord = { readonly kind: 'foreign'; readonly format: ForeignFormat };

const RECORDS = new Map(FOREIGN_FORMATS.map((format) => [format, { kind: 'foreign', format } as const]));

export const foreign = (format: ForeignFormat): ForeignRecord => RECORDS.get(format)!;

/** A message's fields by number: wire type, and lengths where they are fixed. */
type Shape = ReadonlyMap<number, readonly [wireType: number, ...lengths: number[]]>;

const shape = (...fields: readonly (readonly [number: number, wireType: number, ...lengths: number[]])[]): Shape =>
  new Map(fields.map(([number, ...rest]) => [number, rest]));

const all = (wireType: number, ...numbers: readonly number[]) => numbers.map((number) => [number, wireType] as const);

const JAEGER = shape([1, LEN, 16], [2, LEN, 8], [5, VARINT], ...all(LEN, 3, 4, 6, 7, 8, 9, 10, 11, 12));
const ZIPKIN = shape(
  [1, LEN, 8, 16],
  [2, LEN, 0, 8],
  [3, LEN, 8],
  [6, I64],
  ...all(VARINT, 4, 7, 12, 13),
  ...all(LEN, 5, 8, 9, 10, 11),
);
const METRIC = shape(...all(LEN, 1, 2, 3, 5, 7, 9, 10, 11, 12));
const POINTS = shape([1, LEN], [2, VARINT], [3, VARINT]);
const LOG = shape(
  [1, I64],
  [11, I64],
  [8, I32],
  [9, LEN, 0, 16],
  [10, LEN, 0, 8],
  ...all(VARINT, 2, 7),
  ...all(LEN, 3, 5, 6, 12),
);

const ANY = 1;
/** Every field is asked for, by the general way. */
const EVERYTHING = grammar([]).fill(ANY, 8);
/** Fields of a region that are looked at before it is taken for one: a span of Zipkin shows another within as many. */
const MOST_FIELDS = 4;
const REGION_TAG = 0x0a;
const ITEMS_TAG = 0x12;
const TEXT_TAG = 0x1a;
const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** The Collector writes a span's status first. */
const STATUS_TAG = 0x7a;

/** One per worker. */
export class ForeignDetector {
  readonly #wire = new Wire();
  /** Of the range that `#next` found. */
  #start = 0;
  #end = 0;

  /** Null: nothing speaks against OTLP traces; also of what does not decode. Keeps nothing of `bytes`. */
  detect(bytes: Buffer): ForeignFormat | null {
    if (bytes[0] !== REGION_TAG) return null;
    const wire = this.#wire;
    wire.bytes = bytes;
    const found = this.#detect(bytes);
    wire.bytes = NOTHING;
    return found;
  }

  #detect(bytes: Buffer): ForeignFormat | null {
    const wire = this.#wire;
    if (wire.field(0, bytes.length, EVERYTHING) === REFUSED) return null;
    const { start, stop } = wire;
    if (stop - start === TRACE_ID_BYTES && this.#isJaeger(bytes.length)) return 'jaeger';
    if (!this.#isRegion(start, stop)) return this.#isZipkin(start, stop) ? 'zipkin' : null;
    if (!this.#find(start, stop) || !this.#find(this.#start, this.#end)) return null;
    const tag = bytes[this.#start];
    if (tag === STATUS_TAG || (tag === REGION_TAG && bytes[this.#start + 1] === TRACE_ID_BYTES)) return null;
    return this.#isOtherSignal(this.#start, this.#end) ? 'other_signal' : null;
  }

  /** Whether the first fields of a message are those of a region: ids of Zipkin in their places have other lengths. */
  #isRegion(start: number, end: number): boolean {
    const wire = this.#wire;
    let at = start;
    for (let fields = 0; at < end && fields < MOST_FIELDS; fields++) {
      const tag = wire.bytes[at];
      if (tag !== REGION_TAG && tag !== ITEMS_TAG && tag !== TEXT_TAG) return false;
      if (wire.field(at, end, EVERYTHING) === REFUSED) return true;
      const length = wire.stop - wire.start;
      if (length !== SPAN_ID_BYTES && length !== TRACE_ID_BYTES && length !== 0) return true;
      at = wire.stop;
    }
    return true;
  }

  /** Puts the first field 2 of a message into `#start` and `#end`, if nothing but texts and a field 1 is before it. */
  #find(start: number, end: number): boolean {
    const wire = this.#wire;
    let at = start;
    for (let fields = 0; at < end && fields < MOST_FIELDS; fields++) {
      const tag = wire.bytes[at];
      if (wire.field(at, end, EVERYTHING) === REFUSED) return false;
      this.#start = wire.start;
      this.#end = wire.stop;
      if (tag === ITEMS_TAG) return true;
      at = wire.stop;
    }
    return false;
  }

  #isJaeger(end: number): boolean {
    const numbers = this.#numbers(0, end, JAEGER);
    return numbers !== null && has(numbers, 1) && has(numbers, 2) && (has(numbers, 3) || has(numbers, 6));
  }

  #isZipkin(start: number, end: number): boolean {
    const numbers = this.#numbers(start, end, ZIPKIN);
    return numbers !== null && has(numbers, 1) && has(numbers, 3);
  }

  #isOtherSignal(start: number, end: number): boolean {
    const log = this.#numbers(start, end, LOG);
    if (log !== null && (has(log, 1) || has(log, 2) || has(log, 11))) return true;
    const metric = this.#numbers(start, end, METRIC);
    return metric !== null && has(metric, 1) && this.#holdsPoints(start, end);
  }

  /** Of what may be a metric: whether it has data points in the one place that they can have. */
  #holdsPoints(start: number, end: number): boolean {
    const wire = this.#wire;
    let sets = 0;
    for (let at = start; at < end; ) {
      const number = wire.bytes[at]! >>> 3;
      wire.field(at, end, EVERYTHING);
      at = wire.stop;
      if (number < 5 || number === 12) continue;
      if (++sets > 1 || this.#numbers(wire.start, wire.stop, POINTS) === null) return false;
    }
    return sets === 1;
  }

  /** The numbers of a message's fields as bits; null: it does not have that shape. */
  #numbers(start: number, end: number, fields: Shape): number | null {
    const wire = this.#wire;
    let numbers = 0;
    for (let at = start; at < end; at = wire.stop) {
      const tag = wire.bytes[at]!;
      const known = fields.get(tag >>> 3);
      if (tag >= 0x80 || known?.[0] !== (tag & 7)) return null;
      if (wire.field(at, end, EVERYTHING) === REFUSED) return null;
      if (known.length > 1 && !known.includes(wire.stop - wire.start, 1)) return null;
      numbers |= 1 << (tag >>> 3);
    }
    return numbers;
  }
}

const has = (numbers: number, number: number): boolean => (numbers & (1 << number)) !== 0;

const NOTHING = Buffer.alloc(0);
