/** Kafka's primitive types, in the classic and in the "flexible" spelling (compact lengths, tagged fields). */
import { Undecodable } from './errors.ts';

const MAX_VARINT_BYTES = 10;

/** Reads from a buffer; what it answers of strings and bytes are slices. A read past the end throws `Undecodable`. */
export class WireReader {
  readonly buffer: Buffer;
  readonly end: number;
  at: number;

  constructor(buffer: Buffer, at = 0, end = buffer.length) {
    this.buffer = buffer;
    this.at = at;
    this.end = end;
  }

  get left(): number {
    return this.end - this.at;
  }

  #take(bytes: number): number {
    const at = this.at;
    if (bytes < 0 || bytes > this.end - at)
      throw new Undecodable('corrupt', `${bytes} bytes wanted, ${this.end - at} left`);
    this.at = at + bytes;
    return at;
  }

  int8(): number {
    return this.buffer.readInt8(this.#take(1));
  }

  int16(): number {
    return this.buffer.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.buffer.readInt32BE(this.#take(4));
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.#take(4));
  }

  /** Exact up to 2^53. */
  int64(): number {
    const at = this.#take(8);
    return this.buffer.readInt32BE(at) * 2 ** 32 + this.buffer.readUInt32BE(at + 4);
  }

  uvarint(): number {
    const { buffer, end } = this;
    let value = 0;
    let factor = 1;
    for (let n = 0; n < MAX_VARINT_BYTES; n++) {
      if (this.at >= end) break;
      const byte = buffer[this.at++]!;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
    throw new Undecodable('corrupt', 'a number without an end');
  }

  /** Zig-zag; exact up to 2^53. */
  varint(): number {
    const value = this.uvarint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  slice(bytes: number): Buffer {
    const at = this.#take(bytes);
    return this.buffer.subarray(at, at + bytes);
  }

  text(bytes: number): string {
    const at = this.#take(bytes);
    return this.buffer.toString('utf8', at, at + bytes);
  }

  /** -1 for null. */
  length(flexible: boolean, wide = false): number {
    if (flexible) return this.uvarint() - 1;
    return wide ? this.int32() : this.int16();
  }

  string(flexible: boolean): string | null {
    const bytes = this.length(flexible);
    return bytes < 0 ? null : this.text(bytes);
  }

  array<T>(flexible: boolean, item: () => T): T[] {
    const count = this.length(flexible, true);
    // Each item takes a byte at least: a count beyond that is a lie, and no reason to allocate.
    if (count > this.left) throw new Undecodable('corrupt', `${count} items in ${this.left} bytes`);
    const items: T[] = [];
    for (let i = 0; i < count; i++) items.push(item());
    return items;
  }

  /** Tagged fields, all of them unknown to us. */
  tags(flexible: boolean): void {
    if (!flexible) return;
    for (let left = this.uvarint(); left > 0; left--) {
      this.uvarint();
      this.slice(this.uvarint());
    }
  }
}

/** Writes small requests. */
export class WireWriter {
  readonly #parts: Uint8Array[] = [];

  get buffer(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #fixed(bytes: number, write: (part: Buffer) => void): this {
    const part = Buffer.alloc(bytes);
    write(part);
    this.#parts.push(part);
    return this;
  }

  /** An array that is null. */
  noArray(flexible: boolean): this {
    return flexible ? this.uvarint(0) : this.int32(-1);
  }

  int8(value: number): this {
    return this.#fixed(1, (part) => part.writeInt8(value));
  }

  int16(value: number): this {
    return this.#fixed(2, (part) => part.writeInt16BE(value));
  }

  int32(value: number): this {
    return this.#fixed(4, (part) => part.writeInt32BE(value));
  }

  int64(value: number): this {
    return this.#fixed(8, (part) => part.writeBigInt64BE(BigInt(value)));
  }

  uvarint(value: number): this {
    const bytes: number[] = [];
    for (let rest = value; ; rest = Math.floor(rest / 128)) {
      if (rest < 128) {
        bytes.push(rest);
        break;
      }
      bytes.push((rest % 128) + 128);
    }
    return this.raw(Buffer.from(bytes));
  }

  /** Zig-zag. */
  varint(value: number): this {
    return this.uvarint(value >= 0 ? value * 2 : -value * 2 - 1);
  }

  raw(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    return this;
  }

  string(flexible: boolean, value: string): this {
    const bytes = Buffer.from(value);
    if (flexible) this.uvarint(bytes.length + 1);
    else this.int16(bytes.length);
    return this.raw(bytes);
  }

  array<T>(flexible: boolean, items: readonly T[], write: (item: T) => void): this {
    if (flexible) this.uvarint(items.length + 1);
    else this.int32(items.length);
    for (const item of items) write(item);
    return this;
  }

  noTags(flexible: boolean): this {
    return flexible ? this.uvarint(0) : this;
  }
}
