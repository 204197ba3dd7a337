/**
 * The label texts of one account's series, rendered once and kept as bytes outside of the collector's sight. Grows only:
 * a slot keeps its text for as long as anyone holds the arena, so an answer that is being written may read while
 * series are added. Who drops many series copies the rest into another arena.
 */
import { SERIES_ID_BYTES } from '../ledger/port.ts';

const FIRST_CHUNK_BYTES = 512;
const CHUNK_BYTES = 1 << 18;

/** What the text stands for, one bit each. */
export const FLAG_LIKE_OVERFLOW = 1;
export const FLAG_ACCEPTED = 2;
/** No line of it may be written. */
export const FLAG_HIDDEN = 4;

export class LabelArena {
  /** Slots [0, count) are filled. */
  count = 0;
  readonly chunks: Buffer[] = [];
  chunkOf = new Uint32Array(4);
  startOf = new Uint32Array(4);
  lengthOf = new Uint32Array(4);
  flagsOf = new Uint8Array(4);
  #ids = Buffer.allocUnsafeSlow(4 * SERIES_ID_BYTES);
  /** Open addressing by the id's first bytes (a cryptographic hash): slot + 1, 0 for none. */
  #index = new Uint32Array(8);
  #chunkUsed = 0;
  #longest = 0;

  /** Bytes of the longest text. */
  get longest(): number {
    return this.#longest;
  }

  /** The slot of a series id, or -1. */
  find(id: Buffer): number {
    const mask = this.#index.length - 1;
    for (let i = id.readUInt32LE(0) & mask; ; i = (i + 1) & mask) {
      const slot = this.#index[i]! - 1;
      if (slot < 0 || this.#holds(slot, id)) return slot;
    }
  }

  /** Adds a series that is not there. Copies the id. */
  append(id: Buffer, text: string, flags: number): number {
    const bytes = Buffer.byteLength(text);
    const slot = this.#place(id, bytes, flags);
    this.chunks[this.chunkOf[slot]!]!.write(text, this.startOf[slot]!, bytes);
    return slot;
  }

  /** Adds a copy of another arena's series. */
  appendFrom(other: LabelArena, from: number): number {
    const bytes = other.lengthOf[from]!;
    const start = other.startOf[from]!;
    const slot = this.#place(other.idAt(from), bytes, other.flagsOf[from]!);
    const target = this.chunks[this.chunkOf[slot]!]!;
    other.chunks[other.chunkOf[from]!]!.copy(target, this.startOf[slot]!, start, start + bytes);
    return slot;
  }

  /** A view, valid until the next series is added. */
  idAt(slot: number): Buffer {
    return this.#ids.subarray(slot * SERIES_ID_BYTES, (slot + 1) * SERIES_ID_BYTES);
  }

  textAt(slot: number): string {
    const start = this.startOf[slot]!;
    return this.chunks[this.chunkOf[slot]!]!.toString('utf8', start, start + this.lengthOf[slot]!);
  }

  #holds(slot: number, id: Buffer): boolean {
    const start = slot * SERIES_ID_BYTES;
    return this.#ids.compare(id, 0, SERIES_ID_BYTES, start, start + SERIES_ID_BYTES) === 0;
  }

  #place(id: Buffer, bytes: number, flags: number): number {
    const slot = this.count++;
    if (slot === this.chunkOf.length) this.#grow();
    id.copy(this.#ids, slot * SERIES_ID_BYTES, 0, SERIES_ID_BYTES);
    this.#enter(slot);
    let chunk = this.chunks.at(-1);
    if (chunk === undefined || this.#chunkUsed + bytes > chunk.length) {
      const size = Math.min(CHUNK_BYTES, chunk === undefined ? FIRST_CHUNK_BYTES : chunk.length * 2);
      chunk = Buffer.allocUnsafeSlow(Math.max(size, bytes));
      this.chunks.push(chunk);
      this.#chunkUsed = 0;
    }
    this.chunkOf[slot] = this.chunks.length - 1;
    this.startOf[slot] = this.#chunkUsed;
    this.lengthOf[slot] = bytes;
    this.flagsOf[slot] = flags;
    this.#chunkUsed += bytes;
    this.#longest = Math.max(this.#longest, bytes);
    return slot;
  }

  #enter(slot: number): void {
    const mask = this.#index.length - 1;
    let i = this.#ids.readUInt32LE(slot * SERIES_ID_BYTES) & mask;
    while (this.#index[i] !== 0) i = (i + 1) & mask;
    this.#index[i] = slot + 1;
  }

  #grow(): void {
    const slots = Math.ceil(this.chunkOf.length * 1.5);
    this.chunkOf = grown(this.chunkOf, slots);
    this.startOf = grown(this.startOf, slots);
    this.lengthOf = grown(this.lengthOf, slots);
    const flags = new Uint8Array(slots);
    flags.set(this.flagsOf);
    this.flagsOf = flags;
    const ids = Buffer.allocUnsafeSlow(slots * SERIES_ID_BYTES);
    this.#ids.copy(ids);
    this.#ids = ids;
    if (slots * 1.5 <= this.#index.length) return;
    this.#index = new Uint32Array(this.#index.length * 2);
    for (let slot = 0; slot < this.count - 1; slot++) this.#enter(slot);
  }
}

const grown = (from: Uint32Array<ArrayBuffer>, length: number): Uint32Array<ArrayBuffer> => {
  const to = new Uint32Array(length);
  to.set(from);
  return to;
};
