/**
 * OTLP/JSON records as OTLP protobuf:
 *
 *   record  = request | *( request LF ) [ request ]        JSON lines: together they are one request; blank ones are none
 *   request = a JSON object with the key resourceSpans or resource_spans, or one without any key
 */
import { BackwardWriter } from './backward-writer.ts';
import { type ForeignFormat, type ForeignRecord, foreign } from './foreign.ts';
import { isObject, type Json, JsonFault, type JsonObject } from './json-scalar.ts';
import { JsonTraceWriter } from './json-trace.ts';
import { MAX_RECORD_BYTES, type Malformed } from './malformed.ts';

/** Integers that a double cannot hold; a reading of the text that keeps their digits is ten times slower. */
const LONG_INTEGER = /[:[,\s]-?\d{16,}\s*[,\]}]/;

type Source = { readonly source?: string };

/** An integer beyond 2^53 becomes a text of its digits: what OTLP/JSON writes for it anyway. */
const keepDigits = (_key: string, value: unknown, context?: Source): unknown => {
  const digits = context?.source;
  if (typeof value !== 'number' || Number.isSafeInteger(value) || digits === undefined) return value;
  return /^-?\d+$/.test(digits) ? digits : value;
};

const parse = (text: string): Json => JSON.parse(text, LONG_INTEGER.test(text) ? keepDigits : undefined) as Json;

const utf8 = new TextDecoder();

/** One per worker. */
export class JsonEncoder {
  readonly #out = new BackwardWriter();
  readonly #writer = new JsonTraceWriter(this.#out);

  /** The protobuf form of the record, valid until the next call; or why there is none. Never throws. */
  encode(record: Buffer): Buffer | Malformed | ForeignRecord {
    if (record.length > MAX_RECORD_BYTES) return { kind: 'malformed', position: 0, reason: 'too_long' };
    this.#out.clear();
    const text = utf8.decode(record);
    const whole = parsed(text);
    if (whole !== undefined) return this.#request(whole, 0) ?? this.#out.bytes;
    const lines = text.split('\n');
    if (lines.length === 1 || !/^\s*\{/.test(text)) return notJson(text, 0);
    return this.#lines(lines) ?? this.#out.bytes;
  }

  /** From the last to the first: that is how they are written. */
  #lines(lines: readonly string[]): Malformed | ForeignRecord | null {
    for (let i = lines.length - 1; i >= 0; i--) {
      const line = lines[i]!;
      if (line.trim() === '') continue;
      const request = parsed(line);
      const problem = request === undefined ? notJson(line, i) : this.#request(request, i);
      if (problem !== null) return problem;
    }
    return null;
  }

  #request(request: Json, line: number): Malformed | ForeignRecord | null {
    const format = isObject(request) ? formatOf(request) : listFormatOf(request);
    if (format === null) return { kind: 'malformed', position: 0, reason: 'not_otlp', detail: 'no resourceSpans' };
    if (format !== 'traces') return foreign(format);
    try {
      this.#writer.request(request as JsonObject);
      return null;
    } catch (error) {
      if (!(error instanceof JsonFault)) throw error;
      const detail = `${line === 0 ? '' : `line ${line + 1}: `}${this.#writer.where}${error.message}`;
      return { kind: 'malformed', position: 0, reason: 'bad_json', detail };
    }
  }
}

const parsed = (text: string): Json | undefined => {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
};

const notJson = (text: string, line: number): Malformed => {
  const isNear = /^\s*[{[]/.test(text);
  const detail = `line ${line + 1} is not JSON`;
  return { kind: 'malformed', position: 0, reason: isNear ? 'bad_json' : 'not_otlp', detail };
};

const has = (value: JsonObject, ...keys: readonly string[]): boolean => keys.some((key) => Object.hasOwn(value, key));

const OTHER_SIGNALS = ['Metrics', 'Logs', 'Profiles'].flatMap((signal) => [
  `resource${signal}`,
  `resource_${signal.toLowerCase()}`,
]);

/** Null: an object of something else. */
const formatOf = (value: JsonObject): 'traces' | ForeignFormat | null => {
  if (has(value, 'resourceSpans', 'resource_spans') || Object.keys(value).length === 0) return 'traces';
  if (has(value, ...OTHER_SIGNALS)) return 'other_signal';
  const isSpan = has(value, 'traceId', 'traceID', 'trace_id') && has(value, 'spanId', 'spanID', 'span_id');
  return isSpan && has(value, 'operationName', 'operation_name') ? 'jaeger' : null;
};

/** Zipkin's JSON is a list of spans. */
const listFormatOf = (value: Json): ForeignFormat | null => {
  const [first] = Array.isArray(value) ? (value as readonly Json[]) : [];
  return isObject(first) && has(first, 'traceId') && has(first, 'id') ? 'zipkin' : null;
};
