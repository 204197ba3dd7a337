/**
 * Reads fields as Tempo's receiver (pdata) does, and says what they cost once they are written again.
 *
 *   tag     = varint of number * 8 + wire type; the number is its low 32 bits as a signed integer, from 1
 *   varint  = at most 10 bytes; what lies beyond 64 bits is ignored
 *   unknown = a payload by its wire type, or a group: *( SGROUP | EGROUP ) until as many are closed as were opened. A
 *             field of another type in it ends it, so that the EGROUP behind it is one too many
 *
 * Differs from `Wire` in what it refuses and in that it needs the values of varints, not only their ends.
 */
import type { MalformedReason } from './malformed.ts';
import { I32, I64, LEN, VARINT } from './wire.ts';

const SGROUP = 3;
const EGROUP = 4;

/** Bytes of a varint, 0 <= n < 2^53. */
export function varintBytes(n: number): number {
  if (n < 0x80) return 1;
  if (n < 0x4000) return 2;
  if (n < 0x20_0000) return 3;
  if (n < 0x1000_0000) return 4;
  let bytes = 5;
  for (let rest = n / 0x8_0000_0000; rest >= 1; rest /= 0x80) bytes++;
  return bytes;
}

/** A LEN field of `length` bytes with a tag of one byte. */
export function lenBytes(length: number): number {
  return 1 + varintBytes(length) + length;
}

/** A text or bytes field with a tag of one byte: nothing where it is empty. */
export function textBytes(length: number): number {
  return length === 0 ? 0 : lenBytes(length);
}

/** Positions go in, positions come out; -1: refused, `reason` and `position` say why. */
export class CanonicalReader {
  bytes: Buffer = Buffer.alloc(0);
  reason: MalformedReason = 'truncated';
  position = 0;
  /** Of the last tag read. */
  field = 0;
  wireType = 0;
  /** The last varint read: 64 bits. */
  low = 0;
  high = 0;
  /** End of the payload of the last LEN read. */
  stop = 0;

  tag(at: number, end: number): number {
    const first = this.bytes[at]!;
    if (first < 0x80 && first >= 8) {
      this.field = first >>> 3;
      this.wireType = first & 7;
      return at + 1;
    }
    const next = this.varint(at, end);
    if (next < 0) return -1;
    this.field = (this.low >>> 3) | (this.high << 29);
    this.wireType = this.low & 7;
    return this.field > 0 ? next : this.fail(at, 'bad_tag');
  }

  /** Sets `low` and `high`, each from 0 to 2^32 - 1. */
  varint(at: number, end: number): number {
    const bytes = this.bytes;
    let low = 0;
    let high = 0;
    let next = at;
    for (let shift = 0; ; shift += 7) {
      if (shift > 63) return this.fail(at, 'bad_varint');
      if (next >= end) return this.fail(at, 'truncated');
      const byte = bytes[next++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift > 28) high |= bits << (shift - 32);
      else {
        low |= bits << 28;
        high = bits >>> 4;
      }
      if (byte < 0x80) break;
    }
    this.low = low >>> 0;
    this.high = high >>> 0;
    return next;
  }

  /** Of a known field that must be a LEN: where its payload starts. Its end is in `stop`. */
  len(at: number, end: number): number {
    if (this.wireType !== LEN) return this.fail(at, 'bad_wire_type');
    const first = at < end ? this.bytes[at]! : 0x80;
    if (first < 0x80 && at + 1 + first <= end) {
      this.stop = at + 1 + first;
      return at + 1;
    }
    const start = this.varint(at, end);
    if (start < 0) return -1;
    if (this.high !== 0 || start + this.low > end) return this.fail(at, 'truncated');
    this.stop = start + this.low;
    return start;
  }

  /** Of a known field that must be a varint: the position behind it. */
  number(at: number, end: number): number {
    if (this.wireType !== VARINT) return this.fail(at, 'bad_wire_type');
    return this.varint(at, end);
  }

  /** Of a known field that must be 4 or 8 bytes: the position behind it. `low` is 0 only where all of them are. */
  fixed(at: number, end: number, wireType: typeof I32 | typeof I64): number {
    if (this.wireType !== wireType) return this.fail(at, 'bad_wire_type');
    const stop = at + (wireType === I64 ? 8 : 4);
    if (stop > end) return this.fail(at, 'truncated');
    let bits = 0;
    for (let i = at; i < stop; i++) bits |= this.bytes[i]!;
    this.low = bits;
    return stop;
  }

  /** Passes over the payload of a field that nobody knows. */
  unknown(from: number, end: number): number {
    let at = from;
    let depth = 0;
    while (at < end) {
      switch (this.wireType) {
        case VARINT:
          return this.varint(at, end);
        case I64:
        case I32:
          return this.fixed(at, end, this.wireType);
        case LEN:
          return this.len(at, end) < 0 ? -1 : this.stop;
        case SGROUP:
          depth++;
          break;
        case EGROUP:
          if (depth === 0) return this.fail(at, 'bad_group');
          depth--;
          break;
        default:
          return this.fail(at, 'bad_tag');
      }
      if (depth === 0) return at;
      at = this.tag(at, end);
      if (at < 0) return -1;
    }
    return this.fail(from, 'truncated');
  }

  /** What the last varint costs as a field of 32 bits: unsigned with nothing above. */
  uint32Bytes(): number {
    return this.low === 0 ? 0 : 1 + varintBytes(this.low);
  }

  /** As an enumeration or a signed field of 32 bits: a negative one is written with 64. */
  int32Bytes(): number {
    return this.low === 0 ? 0 : 1 + this.int32VarintBytes();
  }

  int32VarintBytes(): number {
    return this.low >= 0x8000_0000 ? 10 : varintBytes(this.low);
  }

  int64VarintBytes(): number {
    return this.high >= 0x20_0000
      ? this.high >= 0x8000_0000
        ? 10
        : this.high >= 0x100_0000
          ? 9
          : 8
      : varintBytes(this.high * 2 ** 32 + this.low);
  }

  fail(position: number, reason: MalformedReason): -1 {
    this.position = position;
    this.reason = reason;
    return -1;
  }
}
