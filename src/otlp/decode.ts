/** From a record's value, in whatever encoding, to the OTLP protobuf that is in it. */
import { ForeignDetector, type ForeignRecord, foreign } from './foreign.ts';
import { JsonEncoder } from './json.ts';
import type { Malformed } from './malformed.ts';
import { PushBytesReader } from './push-bytes.ts';
import { isFramed, unframe } from './registry-frame.ts';

export const ENCODINGS = ['auto', 'otlp_proto', 'otlp_json', 'tempo_push_bytes'] as const;

export type Encoding = (typeof ENCODINGS)[number];

const REQUEST_TAG = 0x0a;
const PUSH_TAG = 0x12;
const BRACE = 0x7b;
const BRACKET = 0x5b;
const QUOTE = 0x22;
const CLOSING_BRACE = 0x7d;
/** Of a text, what is looked at before its first sign. */
const MOST_BLANKS = 64;

/** One per worker. */
export class Decoder {
  readonly #foreign = new ForeignDetector();
  readonly #push = new PushBytesReader();
  readonly #json = new JsonEncoder();

  /**
   * An ExportTraceServiceRequest, valid until the next call and as long as `value` is; or why there is none. It may
   * still be malformed. A schema registry's frame is taken off. Never throws.
   */
  decode(value: Buffer, encoding: Encoding): Buffer | Malformed | ForeignRecord {
    if (!isFramed(value)) return this.#payload(value, encoding);
    const framed = unframe(value);
    return 'kind' in framed ? framed : this.#payload(framed.payload, encoding);
  }

  #payload(bytes: Buffer, encoding: Encoding): Buffer | Malformed | ForeignRecord {
    if (encoding === 'otlp_json') return this.#json.encode(bytes);
    if (encoding === 'tempo_push_bytes') return this.#push.read(bytes);
    return encoding === 'otlp_proto' ? this.#protobuf(bytes) : this.#any(bytes);
  }

  #protobuf(bytes: Buffer): Buffer | ForeignRecord {
    const format = this.#foreign.detect(bytes);
    return format === null ? bytes : foreign(format);
  }

  /** A line feed begins a region, too: a text that begins with one is told by what follows. */
  #any(bytes: Buffer): Buffer | Malformed | ForeignRecord {
    const first = bytes[0];
    if (first === REQUEST_TAG) return isText(bytes) ? this.#json.encode(bytes) : this.#protobuf(bytes);
    if (first === PUSH_TAG) {
      const traces = this.#push.read(bytes);
      return this.#push.hasRegion ? bytes : traces;
    }
    return isText(bytes) ? this.#json.encode(bytes) : bytes;
  }
}

/** Whether the bytes begin as a JSON object with a key, or as a list of such, behind blanks. */
const isText = (bytes: Buffer): boolean => {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  at = behindBlanks(bytes, at);
  if (bytes[at] === BRACKET) {
    const inner = bytes[behindBlanks(bytes, at + 1)];
    return inner === BRACE;
  }
  if (bytes[at] !== BRACE) return false;
  const inner = bytes[behindBlanks(bytes, at + 1)];
  return inner === QUOTE || inner === CLOSING_BRACE || at === 0;
};

const behindBlanks = (bytes: Buffer, from: number): number => {
  let at = from;
  while (at < from + MOST_BLANKS && isBlank(bytes[at])) at++;
  return at;
};

const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
