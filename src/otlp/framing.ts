/**
 * Finds records in a file that comes in pieces.
 *
 *   one       = record
 *   delimited = *( varint of the record's length, record )         protobuf's own convention
 *   jsonl     = *( record LF ) [ record ]                          blank lines are none
 */
import { KeySet } from './key-set.ts';
import { MAX_RECORD_BYTES } from './malformed.ts';
import { Scanner, type TraceVisitor } from './scan.ts';

export const FRAMINGS = ['one', 'delimited', 'jsonl'] as const;

export type Framing = (typeof FRAMINGS)[number];

/** `offset`: where the record begins in the file, behind its length. `value` may lie in the piece. */
export type Framed = { readonly offset: number; readonly value: Buffer };

export type FramingFault = { readonly offset: number; readonly text: string };

export type Frames = {
  /** Takes the next piece of the file, which must stay as it is; answers the records that end in it, until there is a fault. */
  push(piece: Buffer): Iterable<Framed>;
  /** The file is at its end: what was still open. */
  end(): Iterable<Framed>;
  readonly fault: FramingFault | null;
};

export const framesOf = (framing: Framing): Frames => {
  if (framing === 'delimited') return new DelimitedFrames();
  return framing === 'jsonl' ? new LineFrames() : new OneFrame();
};

/** Pieces that belong together, joined once. */
class Pieces {
  bytes = 0;
  #pieces: Buffer[] = [];

  add(piece: Buffer): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.bytes += piece.length;
  }

  take(): Buffer {
    const [first] = this.#pieces;
    const all = this.#pieces.length === 1 ? first! : Buffer.concat(this.#pieces, this.bytes);
    this.#pieces = [];
    this.bytes = 0;
    return all;
  }
}

const tooLong = (offset: number): FramingFault => ({
  offset,
  text: `the record is longer than ${MAX_RECORD_BYTES} bytes`,
});

class OneFrame implements Frames {
  fault: FramingFault | null = null;
  readonly #held = new Pieces();

  push(piece: Buffer): readonly Framed[] {
    if (this.fault !== null) return [];
    this.#held.add(piece);
    if (this.#held.bytes > MAX_RECORD_BYTES) this.fault = tooLong(0);
    return [];
  }

  end(): readonly Framed[] {
    return this.fault === null ? [{ offset: 0, value: this.#held.take() }] : [];
  }
}

class LineFrames implements Frames {
  fault: FramingFault | null = null;
  readonly #held = new Pieces();
  /** Where what is held begins. */
  #offset = 0;

  *push(piece: Buffer): Generator<Framed, void, void> {
    let from = 0;
    while (this.fault === null) {
      const at = piece.indexOf(0x0a, from);
      this.#held.add(piece.subarray(from, at < 0 ? piece.length : at));
      if (this.#held.bytes > MAX_RECORD_BYTES) this.fault = tooLong(this.#offset);
      if (at < 0 || this.fault !== null) return;
      yield* this.#line(1);
      from = at + 1;
    }
  }

  *end(): Generator<Framed, void, void> {
    if (this.fault === null && this.#held.bytes > 0) yield* this.#line(0);
  }

  *#line(feed: number): Generator<Framed, void, void> {
    const offset = this.#offset;
    this.#offset += this.#held.bytes + feed;
    const value = this.#held.bytes === 0 ? null : this.#held.take();
    if (value?.some((byte) => byte > 0x20)) yield { offset, value };
  }
}

class DelimitedFrames implements Frames {
  fault: FramingFault | null = null;
  readonly #held = new Pieces();
  #offset = 0;
  /** Of the record at hand, -1 while its length is being read. */
  #length = -1;
  #value = 0;
  #digits = 0;

  *push(piece: Buffer): Generator<Framed, void, void> {
    let at = 0;
    while (this.fault === null) {
      if (this.#length < 0) {
        at = this.#readLength(piece, at);
        if (this.#length < 0) return;
      }
      const missing = this.#length - this.#held.bytes;
      const stop = Math.min(piece.length, at + missing);
      if (stop - at < missing) {
        this.#held.add(piece.subarray(at, stop));
        return;
      }
      this.#held.add(piece.subarray(at, stop));
      const offset = this.#offset;
      this.#offset += this.#length;
      const value = this.#length === 0 ? Buffer.alloc(0) : this.#held.take();
      this.#length = -1;
      yield { offset, value };
      at = stop;
    }
  }

  /** Answers the position behind what it read of a length. */
  #readLength(piece: Buffer, from: number): number {
    for (let at = from; at < piece.length; ) {
      const byte = piece[at++]!;
      this.#value += (byte & 0x7f) * 2 ** (7 * this.#digits);
      this.#digits++;
      this.#offset++;
      if (this.#value > MAX_RECORD_BYTES || this.#digits > 10) {
        this.fault = { offset: this.#offset - this.#digits, text: 'no length of a record is there' };
        return at;
      }
      if (byte < 0x80) {
        this.#length = this.#value;
        this.#value = 0;
        this.#digits = 0;
        return at;
      }
    }
    return piece.length;
  }

  end(): readonly Framed[] {
    if (this.fault !== null) return [];
    const offset = this.#offset;
    if (this.#length >= 0)
      this.fault = { offset, text: `the file ends after ${this.#held.bytes} of the record's ${this.#length} bytes` };
    else if (this.#digits > 0) this.fault = { offset, text: "the file ends inside a record's length" };
    return [];
  }
}

const REQUEST_TAG = 0x0a;

/**
 * Hops over LEN fields or delimited records; whether all that is seen of the file has that form. `anyStart`: records may
 * begin with another field than the usual one.
 */
const hops = (head: Buffer, isWhole: boolean, delimited: boolean, anyStart = false): boolean => {
  let at = 0;
  while (at < head.length) {
    if (!delimited && head[at++] !== REQUEST_TAG) return false;
    let length = 0;
    let scale = 1;
    for (;;) {
      if (at >= head.length) return !isWhole;
      const byte = head[at++]!;
      length += (byte & 0x7f) * scale;
      scale *= 0x80;
      if (length > MAX_RECORD_BYTES) return false;
      if (byte < 0x80) break;
    }
    const isStart = anyStart || length === 0 || at >= head.length || head[at] === REQUEST_TAG;
    if (delimited && !isStart) return false;
    at += length;
  }
  return at === head.length || !isWhole;
};

const NO_VISITOR: TraceVisitor = { record: () => {}, region: () => KeySet.NONE, span: () => {} };

/** Of a head that could be either: whether its first field reads as a region. */
const beginsWithRegion = (head: Buffer): boolean =>
  new Scanner().scan(head.subarray(0, 2 + head[1]!), KeySet.NONE, NO_VISITOR) === null;

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

/** By the beginning of a file; `isWhole`: that is all of it. What fits nothing is taken for one record. */
export const guessFraming = (head: Buffer, isWhole: boolean): Framing => {
  const first = head.findIndex((byte) => byte > 0x20);
  if (first >= 0 && head[first] === 0x7b) {
    const feed = head.indexOf(0x0a, first);
    const line = head.toString('utf8', first, feed < 0 ? head.length : feed);
    return (feed < 0 && !isWhole) || isJson(line) ? 'jsonl' : 'one';
  }
  if (head.length === 0) return 'delimited';
  const isDelimited = hops(head, isWhole, true);
  if (!hops(head, isWhole, false))
    return isDelimited || (isWhole && hops(head, true, true, true)) ? 'delimited' : 'one';
  return isDelimited && !beginsWithRegion(head) ? 'delimited' : 'one';
};
