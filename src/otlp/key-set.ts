/**
 * Attribute keys that somebody wants, to be found again among bytes. Grouped by length: most keys of a span are told
 * apart from all wanted ones by their length alone.
 */
export class KeySet {
  static readonly NONE = new KeySet([]);

  /** Distinct, in the order given; a key's place here is its column. */
  readonly keys: readonly string[];
  /** For a length the first key of it, or -1. Longer keys than the longest wanted one have no place. */
  readonly heads: Int32Array;
  readonly #next: Int32Array;
  readonly #starts: Int32Array;
  readonly #bytes: Buffer;

  constructor(keys: readonly string[]) {
    this.keys = [...new Set(keys)];
    const encoded = this.keys.map((key) => Buffer.from(key));
    this.#bytes = Buffer.concat(encoded);
    this.heads = new Int32Array(Math.max(0, ...encoded.map((key) => key.length + 1))).fill(-1);
    this.#next = new Int32Array(encoded.length).fill(-1);
    this.#starts = new Int32Array(encoded.length);
    let start = 0;
    for (const [column, key] of encoded.entries()) {
      this.#starts[column] = start;
      this.#next[column] = this.heads[key.length]!;
      this.heads[key.length] = column;
      start += key.length;
    }
  }

  get size(): number {
    return this.keys.length;
  }

  /** The column of the key in `bytes` from `at` on, or -1. */
  find(bytes: Buffer, at: number, length: number): number {
    if (length >= this.heads.length) return -1;
    let column = this.heads[length]!;
    while (column >= 0) {
      const start = this.#starts[column]!;
      let i = length;
      while (i > 0 && bytes[at + i - 1] === this.#bytes[start + i - 1]) i--;
      if (i === 0) return column;
      column = this.#next[column]!;
    }
    return -1;
  }
}
