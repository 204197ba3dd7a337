/** A tracker's extras over the numbers of one value table: what a source's value becomes, worked out once for each. */
import type { Rewrite } from './extras.ts';
import type { TrackerRecipe } from './recipe.ts';
import { NO_VALUE, type ValueTable } from './value-table.ts';

/** Values by the numbers of those that they are made of. */
class Derived {
  readonly #rewrite: Rewrite;
  readonly #values: ValueTable;
  /** A number + 1; 0: not asked for yet. */
  #known = new Uint32Array(64);

  constructor(rewrite: Rewrite, values: ValueTable) {
    this.#rewrite = rewrite;
    this.#values = values;
    values.derivedBytes += this.#known.byteLength;
  }

  of(id: number): number {
    const known = this.#known[id] ?? 0;
    if (known !== 0) return known - 1;
    const derived = this.#values.internText(this.#rewrite(this.#values.text(id)));
    if (id >= this.#known.length) {
      const larger = new Uint32Array(Math.max(id + 1, this.#known.length * 2));
      larger.set(this.#known);
      this.#values.derivedBytes += larger.byteLength - this.#known.byteLength;
      this.#known = larger;
    }
    this.#known[id] = derived + 1;
    return derived;
  }
}

export class TrackerExtras {
  readonly #sources: Int32Array;
  readonly #ends: Int32Array;
  readonly #derived: readonly (Derived | null)[];
  readonly #defaults: Uint32Array;

  /** The recipe must have extras. */
  constructor({ sources, ends, extras }: TrackerRecipe, values: ValueTable) {
    this.#sources = sources;
    this.#ends = ends;
    this.#derived = extras!.rewrites.map((rewrite) => (rewrite === null ? null : new Derived(rewrite, values)));
    this.#defaults = Uint32Array.from(extras!.defaults, (text) => values.internText(text));
  }

  /** The number of a label's value: of its first source that has one after its rewriting, else of its default. */
  resolve(label: number, resourceIds: Uint32Array, spanIds: Uint32Array): number {
    const end = this.#ends[label]!;
    for (let i = label === 0 ? 0 : this.#ends[label - 1]!; i < end; i++) {
      const source = this.#sources[i]!;
      const raw = source >= 0 ? resourceIds[source]! : spanIds[~source]!;
      if (raw === NO_VALUE) continue;
      const id = this.#derived[i]?.of(raw) ?? raw;
      if (id !== NO_VALUE) return id;
    }
    return this.#defaults[label]!;
  }
}
