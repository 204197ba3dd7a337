/**
 * Writes protobuf from the end of a buffer to its beginning: a length is known by the time it is written. So fields of
 * a message, and items of a repeated one, are written last first.
 */
import { I32, I64, LEN, VARINT } from './wire.ts';

const FIRST_BYTES = 16 * 1024;
/** A buffer that one large record needed is not kept for good. */
const KEPT_BYTES = 8 << 20;

export class BackwardWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #at = FIRST_BYTES;

  /** Begins anew; what was taken before is overwritten. */
  clear(): void {
    if (this.#buffer.length > KEPT_BYTES) this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES);
    this.#at = this.#buffer.length;
  }

  /** Bytes written so far. */
  get size(): number {
    return this.#buffer.length - this.#at;
  }

  /** All that was written. Valid until `clear`. */
  get bytes(): Buffer {
    return this.#buffer.subarray(this.#at);
  }

  /** Closes a LEN field whose payload is all that was written since the writer had `before` bytes. */
  close(field: number, before: number): void {
    this.varint(this.size - before);
    this.#tag(field, LEN);
  }

  raw(field: number, bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#at -= bytes.length;
    this.#buffer.set(bytes, this.#at);
    this.varint(bytes.length);
    this.#tag(field, LEN);
  }

  /** Lone surrogates become U+FFFD. */
  text(field: number, text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#room(bytes);
    this.#at -= bytes;
    this.#buffer.write(text, this.#at, bytes);
    this.varint(bytes);
    this.#tag(field, LEN);
  }

  /** A non-negative integer below 2^53. */
  number(field: number, value: number): void {
    this.varint(value);
    this.#tag(field, VARINT);
  }

  /** As int64: a negative one takes ten bytes. */
  int64(field: number, value: bigint): void {
    const groups: number[] = [];
    let rest = BigInt.asUintN(64, value);
    do {
      groups.push(Number(rest & 0x7fn));
      rest >>= 7n;
    } while (rest > 0n);
    this.#groups(groups);
    this.#tag(field, VARINT);
  }

  fixed32(field: number, value: number): void {
    this.#room(4);
    this.#at -= 4;
    this.#buffer.writeUInt32LE(value, this.#at);
    this.#tag(field, I32);
  }

  fixed64(field: number, value: bigint): void {
    this.#room(8);
    this.#at -= 8;
    this.#buffer.writeBigUInt64LE(value, this.#at);
    this.#tag(field, I64);
  }

  double(field: number, value: number): void {
    this.#room(8);
    this.#at -= 8;
    this.#buffer.writeDoubleLE(value, this.#at);
    this.#tag(field, I64);
  }

  varint(value: number): void {
    if (value < 0x80) {
      this.#room(1);
      this.#buffer[--this.#at] = value;
      return;
    }
    const groups: number[] = [];
    for (let rest = value; ; rest = Math.floor(rest / 0x80)) {
      groups.push(rest % 0x80);
      if (rest < 0x80) break;
    }
    this.#groups(groups);
  }

  /** The lowest group first; written so that it comes first on the wire. */
  #groups(groups: readonly number[]): void {
    this.#room(groups.length);
    this.#at -= groups.length;
    for (let i = 0; i < groups.length; i++) {
      this.#buffer[this.#at + i] = groups[i]! | (i < groups.length - 1 ? 0x80 : 0);
    }
  }

  #tag(field: number, wireType: number): void {
    this.varint(field * 8 + wireType);
  }

  #room(bytes: number): void {
    if (this.#at >= bytes) return;
    const used = this.size;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, used + bytes));
    this.#buffer.copy(larger, larger.length - used, this.#at);
    this.#at = larger.length - used;
    this.#buffer = larger;
  }
}
