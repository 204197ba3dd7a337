/**
 * Attribute values seen, each with a small number. Kept as they lie on the wire: nothing is decoded for a value that
 * is known. One value may have several numbers (a padded varint, 3 and 3.0); who needs them to be one compares texts.
 */
import { STRING } from '../otlp/scan.ts';
import { labelValue, MISSING, significantBytes } from './label-value.ts';

/** The number of no value at all. */
export const NO_VALUE = 0;

/** A power of two. */
const RECENT_VALUES = 1024;

export class ValueTable {
  /** Kept for its values by others, who add what they take. */
  derivedBytes = 0;
  readonly #maxLabelBytes: number;
  readonly #maxBytes: number;
  readonly #key0: number;
  readonly #key1: number;
  /** Values so far, the one that is missing included. */
  #size = 1;
  /** For a value its kind, the end of its bytes, its hash. It begins where the one before ends. */
  #kinds = new Uint8Array(64);
  #ends = new Uint32Array(64);
  #hashes = new Int32Array(64);
  #bytes = Buffer.alloc(1024);
  /** Open addressing by linear steps; 0 is free. A power of two, at most half full. */
  #places = new Uint32Array(128);
  /** The value met last of those alike in length and a few bytes, or 0: most values are found by a look at it. */
  readonly #recent = new Uint32Array(RECENT_VALUES);

  /** `seed`: two secret numbers. Clients choose values, and must not be able to make them collide. */
  constructor(maxLabelBytes: number, seed: readonly [number, number]) {
    this.#maxLabelBytes = maxLabelBytes;
    this.#maxBytes = significantBytes(maxLabelBytes);
    this.#key0 = seed[0] | 0;
    this.#key1 = seed[1] | 0;
  }

  get footprint(): number {
    return (
      this.derivedBytes +
      this.#kinds.byteLength +
      this.#ends.byteLength +
      this.#hashes.byteLength +
      this.#bytes.byteLength +
      this.#places.byteLength +
      this.#recent.byteLength
    );
  }

  /** The number of the value of that kind whose payload is [start, end) of `bytes`. Copies what it keeps. */
  intern(kind: number, bytes: Buffer, start: number, end: number): number {
    const stop = kind === STRING && end - start > this.#maxBytes ? start + this.#maxBytes : end;
    const alike = start < stop ? likeness(bytes, start, stop) : 0;
    const recent = this.#recent[alike]!;
    if (recent !== 0 && this.#same(recent, kind, bytes, start, stop)) return recent;
    const id = this.#find(kind, bytes, start, stop);
    this.#recent[alike] = id;
    return id;
  }

  #find(kind: number, bytes: Buffer, start: number, stop: number): number {
    const hash = this.#hash(kind, bytes, start, stop);
    const places = this.#places;
    const mask = places.length - 1;
    let place = hash & mask;
    for (let id = places[place]!; id !== 0; id = places[place]!) {
      if (this.#hashes[id] === hash && this.#same(id, kind, bytes, start, stop)) return id;
      place = (place + 1) & mask;
    }
    return this.#add(kind, bytes, start, stop, hash, place);
  }

  /** The number of a text; of an empty one that of no value. */
  internText(text: string): number {
    const bytes = Buffer.from(text);
    return bytes.length === 0 ? NO_VALUE : this.intern(STRING, bytes, 0, bytes.length);
  }

  /** The text of a value as a label. */
  text(id: number): string {
    if (id === NO_VALUE) return MISSING;
    const payload = this.#bytes.subarray(this.#ends[id - 1]!, this.#ends[id]!);
    return labelValue(this.#kinds[id]!, payload, this.#maxLabelBytes);
  }

  #same(id: number, kind: number, bytes: Buffer, start: number, end: number): boolean {
    const from = this.#ends[id - 1]!;
    if (this.#kinds[id] !== kind || this.#ends[id]! - from !== end - start) return false;
    const own = this.#bytes;
    for (let i = start, j = from; i < end; i++, j++) if (bytes[i] !== own[j]) return false;
    return true;
  }

  #add(kind: number, bytes: Buffer, start: number, end: number, hash: number, place: number): number {
    const id = this.#size++;
    if (id === this.#kinds.length) this.#growValues();
    const from = this.#ends[id - 1]!;
    const to = from + end - start;
    if (to > this.#bytes.length) {
      const larger = Buffer.alloc(Math.max(to, this.#bytes.length * 2));
      this.#bytes.copy(larger, 0, 0, from);
      this.#bytes = larger;
    }
    bytes.copy(this.#bytes, from, start, end);
    this.#kinds[id] = kind;
    this.#ends[id] = to;
    this.#hashes[id] = hash;
    this.#places[place] = id;
    if (this.#size * 2 > this.#places.length) this.#rehash();
    return id;
  }

  #growValues(): void {
    const length = this.#kinds.length * 2;
    const kinds = new Uint8Array(length);
    const ends = new Uint32Array(length);
    const hashes = new Int32Array(length);
    kinds.set(this.#kinds);
    ends.set(this.#ends);
    hashes.set(this.#hashes);
    this.#kinds = kinds;
    this.#ends = ends;
    this.#hashes = hashes;
  }

  #rehash(): void {
    const places = new Uint32Array(this.#places.length * 2);
    const mask = places.length - 1;
    for (let id = 1; id < this.#size; id++) {
      let place = this.#hashes[id]! & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = id;
    }
    this.#places = places;
  }

  /** HalfSipHash-1-3 (public domain, Aumasson and Bernstein) over the payload, then kind and length. */
  #hash(kind: number, bytes: Buffer, start: number, end: number): number {
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = this.#key0 ^ 0x6c796765;
    let v3 = this.#key1 ^ 0x74656462;
    let at = start;
    const rounds = ((end - start) >> 2) + 5;
    for (let round = 0; round < rounds; round++) {
      let word = 0;
      if (at + 4 <= end) {
        word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
        at += 4;
      } else if (round === rounds - 5) {
        word = kind << 24;
        if (at < end) word |= bytes[at]!;
        if (at + 1 < end) word |= bytes[at + 1]! << 8;
        if (at + 2 < end) word |= bytes[at + 2]! << 16;
      } else if (round === rounds - 4) {
        word = end - start;
      } else if (round === rounds - 3) v2 ^= 0xff;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return v1 ^ v3;
  }
}

/** Not secret: whoever makes values alike has the hash computed for each of them, as if there were no recent ones. */
function likeness(bytes: Buffer, start: number, end: number): number {
  const length = end - start;
  const mixed =
    Math.imul(
      bytes[end - 1]! ^ (bytes[start + (length >> 1)]! << 8) ^ (bytes[start + (length >> 2)]! << 16),
      0x9e3779b1,
    ) ^ Math.imul(bytes[start + length - (length >> 2) - 1]! ^ (length << 8), 0x85ebca6b);
  return mixed >>> 22;
}
