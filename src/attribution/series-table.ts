/**
 * Series seen by this process, each with a small dense number, its SLOT. A slot stands for a tenant, a tracker and an
 * exposed label set; two tuples of attribute values that expose the same labels have the same slot.
 *
 *   attribute values -> numbers (ValueTable) -> tuple of shape and numbers -> slot <- series id <- exposed labels
 *
 * Only a tuple never seen before is turned into text and hashed. Nothing is ever removed: whoever owns a table throws
 * it away as a whole when it has become too large or when settings have changed.
 */
import { randomInt } from 'node:crypto';
import type { Dimension } from './dimensions.ts';
import { MISSING, OVERFLOW } from './label-value.ts';
import { compileRecipe, type Precedence, type Recipe } from './recipe.ts';
import { encodeSeriesKey, type Labels, SERIES_ID_BYTES, seriesId } from './series-key.ts';
import { TrackerExtras } from './tracker-extras.ts';
import { ValueTable } from './value-table.ts';

/** Bytes and spans. */
export const MEASURES = 2;

/** What is in force for a tenant. */
export type TenantSettings = { readonly trackers: readonly TrackerSettings[] };

export type TrackerSettings = {
  readonly name: string;
  readonly dimensions: readonly Dimension[];
  /** Live series that the tenant may have in this tracker. */
  readonly limit: number;
  readonly staleS: number;
};

/** A tenant's tracker. `index`: its place in `accounts`. */
export type AccountPlan = {
  readonly index: number;
  readonly tenant: string;
  readonly tracker: string;
  readonly measures: typeof MEASURES;
  readonly limit: number;
  readonly staleS: number;
};

/** A tenant's trackers, ready for the hot path. Belongs to the table that made it. */
export type TenantPlan = {
  readonly tenant: string;
  readonly recipe: Recipe;
  /** For each tracker of the recipe its shape in the table. */
  readonly shapes: readonly number[];
  /** For each tracker of the recipe what its extras make of the table's values; null: it has none. */
  readonly extras: readonly (TrackerExtras | null)[];
};

export type SeriesTableOptions = {
  readonly settings: (tenant: string) => TenantSettings;
  /** In bytes of UTF-8. */
  readonly maxLabelValueLength: number;
  /** `order` where it is not given. */
  readonly precedence?: Precedence;
  /** Secret; by chance where it is not given. */
  readonly seed?: readonly [number, number];
};

/** An account and the names of its labels, sorted: what a tuple of values needs to be a series. */
type Shape = { readonly account: number; readonly labels: readonly string[] };

/** The house's own accounts have few series by construction, and they never grow stale. */
const RESERVED_LIMIT = 1000;
const RESERVED_STALE_S = 10 * 365 * 86_400;
/** What a plan, and what a shape with its account, take beside typed arrays, roughly. */
const PLAN_BYTES = 300;

export class SeriesTable {
  /** In the order of their indices. */
  readonly accounts: AccountPlan[] = [];
  readonly #settings: (tenant: string) => TenantSettings;
  readonly #precedence: Precedence;
  readonly #values: ValueTable;
  readonly #seed: number;
  readonly #plans = new Map<string, TenantPlan>();
  readonly #recipes = new Map<string, Pick<TenantPlan, 'recipe' | 'extras'>>();
  readonly #shapes: Shape[] = [];
  readonly #reservedAccounts = new Map<string, number>();
  readonly #reservedShapes = new Map<string, number>();
  #size = 0;
  /** By slot: account, first tuple (a place in `#words`), id. */
  #accountOf = new Uint32Array(64);
  #tupleOf = new Uint32Array(64);
  #ids = Buffer.alloc(64 * SERIES_ID_BYTES);
  /** By slot: which of its labels have no value, a place in `gaps`. */
  #gapsOf = new Uint32Array(64);
  readonly #gaps: (readonly string[])[] = [[]];
  readonly #gapPlaces = new Map<string, number>([['', 0]]);
  /** Few: one at most for each account and set of labels. */
  readonly #likeOverflow = new Set<number>();
  /** Open addressing by linear steps, a slot + 1 or 0. A power of two, at most half full. */
  #slotPlaces = new Uint32Array(128);
  /** Tuples, one after the other: slot, shape, one value for each label of the shape. */
  #words = new Uint32Array(512);
  #wordsUsed = 1;
  #tuples = 0;
  /** As `#slotPlaces`, with the places of tuples in `#words`. */
  #tuplePlaces = new Uint32Array(128);

  constructor(options: SeriesTableOptions) {
    const seed = options.seed ?? [randomInt(2 ** 32), randomInt(2 ** 32)];
    this.#settings = options.settings;
    this.#precedence = options.precedence ?? 'order';
    this.#values = new ValueTable(options.maxLabelValueLength, seed);
    this.#seed = Math.imul(seed[0] ^ 0x5bd1e995, seed[1] | 1);
  }

  /** Slots given so far: all numbers below it. */
  get size(): number {
    return this.#size;
  }

  /** Bytes that the table holds, roughly. */
  get footprint(): number {
    return (
      this.#values.footprint +
      this.#accountOf.byteLength +
      this.#tupleOf.byteLength +
      this.#gapsOf.byteLength +
      this.#ids.byteLength +
      this.#slotPlaces.byteLength +
      this.#words.byteLength +
      this.#tuplePlaces.byteLength +
      (this.#plans.size + this.#shapes.length) * PLAN_BYTES
    );
  }

  /** The plan of a tenant; its settings are asked for once. */
  plan(tenant: string): TenantPlan {
    let plan = this.#plans.get(tenant);
    if (plan === undefined) {
      plan = this.#compile(tenant);
      this.#plans.set(tenant, plan);
    }
    return plan;
  }

  accountOf(slot: number): number {
    return this.#accountOf[slot]!;
  }

  /** Whether it is to be counted as overflow: it has labels, and each says what the line of overflow says. */
  isLikeOverflow(slot: number): boolean {
    return this.#likeOverflow.size > 0 && this.#likeOverflow.has(slot);
  }

  /** A number for the labels of the slot that say `__missing__`: their place in `gaps`, 0 for none. */
  gapsOf(slot: number): number {
    return this.#gapsOf[slot]!;
  }

  /** Sets of labels, as `gapsOf` numbers them. */
  get gaps(): readonly (readonly string[])[] {
    return this.#gaps;
  }

  /** Writes the 16 bytes of the series id to `target` from `at` on. */
  copyId(slot: number, target: Buffer, at: number): void {
    this.#ids.copy(target, at, slot * SERIES_ID_BYTES, (slot + 1) * SERIES_ID_BYTES);
  }

  /** The series key of a slot, made anew at each call. */
  keyOf(slot: number): Buffer {
    return encodeSeriesKey(this.#labelsOf(this.#tupleOf[slot]!));
  }

  /** A slot for an account of the house's own, or for one of a tenant with labels of the caller's choice. */
  reserved(tenant: string, tracker: string, labels: Readonly<Record<string, string>>): number {
    const names = Object.keys(labels).sort();
    const key = JSON.stringify([tenant, tracker, names]);
    let shape = this.#reservedShapes.get(key);
    if (shape === undefined) {
      shape = this.#addShape(this.#reservedAccount(tenant, tracker), names);
      this.#reservedShapes.set(key, shape);
    }
    const values = Uint32Array.from(names, (name) => this.#values.internText(labels[name]!));
    return this.slot(shape, values);
  }

  /** The number of an attribute's value, for `slot`. `bytes` may be reused afterwards. */
  value(kind: number, bytes: Buffer, start: number, end: number): number {
    return this.#values.intern(kind, bytes, start, end);
  }

  /** The slot of the series that the values (one for each label of the shape; there may be more) make. */
  slot(shape: number, values: Uint32Array): number {
    const count = this.#shapes[shape]!.labels.length;
    const places = this.#tuplePlaces;
    const words = this.#words;
    const mask = places.length - 1;
    let place = this.#hash(shape, values, 0, count) & mask;
    for (let at = places[place]!; at !== 0; at = places[place]!) {
      if (words[at + 1] === shape) {
        let i = 0;
        while (i < count && words[at + 2 + i] === values[i]) i++;
        if (i === count) return words[at]!;
      }
      place = (place + 1) & mask;
    }
    return this.#addTuple(shape, values, count, place);
  }

  #compile(tenant: string): TenantPlan {
    const { trackers } = this.#settings(tenant);
    const key = JSON.stringify(trackers.map((tracker) => tracker.dimensions));
    let compiled = this.#recipes.get(key);
    if (compiled === undefined) {
      const dimensions = trackers.map((tracker) => tracker.dimensions);
      const made = compileRecipe(dimensions, this.#precedence);
      const extras = made.trackers.map((one) => (one.extras === null ? null : new TrackerExtras(one, this.#values)));
      compiled = { recipe: made, extras };
      this.#recipes.set(key, compiled);
    }
    const { recipe, extras } = compiled;
    const shapes = recipe.trackers.map((tracker, i) =>
      this.#addShape(this.#account(tenant, trackers[i]!), tracker.labels),
    );
    return { tenant, recipe, shapes, extras };
  }

  #account(tenant: string, { name, limit, staleS }: TrackerSettings): number {
    const reserved = this.#reservedAccounts.get(JSON.stringify([tenant, name]));
    return reserved ?? this.#addAccount(tenant, name, limit, staleS);
  }

  #reservedAccount(tenant: string, tracker: string): number {
    const plan = this.#plans.get(tenant);
    for (const shape of plan?.shapes ?? []) {
      const { account } = this.#shapes[shape]!;
      if (this.accounts[account]!.tracker === tracker) return account;
    }
    const key = JSON.stringify([tenant, tracker]);
    let account = this.#reservedAccounts.get(key);
    if (account === undefined) {
      account = this.#addAccount(tenant, tracker, RESERVED_LIMIT, RESERVED_STALE_S);
      this.#reservedAccounts.set(key, account);
    }
    return account;
  }

  #addAccount(tenant: string, tracker: string, limit: number, staleS: number): number {
    const index = this.accounts.length;
    this.accounts.push({ index, tenant, tracker, measures: MEASURES, limit, staleS });
    return index;
  }

  #addShape(account: number, labels: readonly string[]): number {
    return this.#shapes.push({ account, labels }) - 1;
  }

  #labelsOf(tuple: number): Labels {
    const { labels } = this.#shapes[this.#words[tuple + 1]!]!;
    return labels.map((name, i) => [name, this.#values.text(this.#words[tuple + 2 + i]!)]);
  }

  #addTuple(shape: number, values: Uint32Array, count: number, place: number): number {
    const at = this.#wordsUsed;
    if (at + 2 + count > this.#words.length) {
      const larger = new Uint32Array(Math.max(Math.ceil(this.#words.length * 1.5), at + 2 + count));
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[at + 1] = shape;
    for (let i = 0; i < count; i++) this.#words[at + 2 + i] = values[i]!;
    this.#wordsUsed += 2 + count;
    const slot = this.#slotOfTuple(at, this.#shapes[shape]!.account);
    this.#words[at] = slot;
    this.#tuplePlaces[place] = at;
    this.#tuples++;
    if (this.#tuples * 2 > this.#tuplePlaces.length) this.#rehashTuples();
    return slot;
  }

  /** With Tempo's precedence never: there such a series has a place under the limit, and others may lack it. */
  #isLikeOverflow(labels: Labels): boolean {
    return this.#precedence === 'order' && labels.length > 0 && labels.every(([, value]) => value === OVERFLOW);
  }

  /** The slot of the label set that a tuple exposes, by its id: other values may expose the same. */
  #slotOfTuple(tuple: number, account: number): number {
    const labels = this.#labelsOf(tuple);
    const id = seriesId(encodeSeriesKey(labels));
    const mask = this.#slotPlaces.length - 1;
    let place = this.#idHash(id, 0, account) & mask;
    for (let entry = this.#slotPlaces[place]!; entry !== 0; entry = this.#slotPlaces[place]!) {
      const slot = entry - 1;
      const from = slot * SERIES_ID_BYTES;
      if (this.#accountOf[slot] === account && id.compare(this.#ids, from, from + SERIES_ID_BYTES) === 0) return slot;
      place = (place + 1) & mask;
    }
    const slot = this.#size++;
    if (slot === this.#accountOf.length) this.#growSlots();
    this.#accountOf[slot] = account;
    if (this.#isLikeOverflow(labels)) this.#likeOverflow.add(slot);
    this.#gapsOf[slot] = this.#gapsAmong(labels);
    this.#tupleOf[slot] = tuple;
    id.copy(this.#ids, slot * SERIES_ID_BYTES);
    this.#slotPlaces[place] = slot + 1;
    if (this.#size * 2 > this.#slotPlaces.length) this.#rehashSlots();
    return slot;
  }

  #gapsAmong(labels: Labels): number {
    const missing = labels.filter(([, value]) => value === MISSING).map(([name]) => name);
    const key = missing.join(' ');
    let place = this.#gapPlaces.get(key);
    if (place === undefined) {
      place = this.#gaps.push(missing) - 1;
      this.#gapPlaces.set(key, place);
    }
    return place;
  }

  #growSlots(): void {
    const length = this.#accountOf.length * 2;
    const accountOf = new Uint32Array(length);
    const tupleOf = new Uint32Array(length);
    const gapsOf = new Uint32Array(length);
    const ids = Buffer.alloc(length * SERIES_ID_BYTES);
    accountOf.set(this.#accountOf);
    tupleOf.set(this.#tupleOf);
    gapsOf.set(this.#gapsOf);
    ids.set(this.#ids);
    this.#accountOf = accountOf;
    this.#tupleOf = tupleOf;
    this.#gapsOf = gapsOf;
    this.#ids = ids;
  }

  #rehashSlots(): void {
    const places = new Uint32Array(this.#slotPlaces.length * 2);
    const mask = places.length - 1;
    for (let slot = 0; slot < this.#size; slot++) {
      let place = this.#idHash(this.#ids, slot * SERIES_ID_BYTES, this.#accountOf[slot]!) & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = slot + 1;
    }
    this.#slotPlaces = places;
  }

  #rehashTuples(): void {
    const places = new Uint32Array(this.#tuplePlaces.length * 2);
    const mask = places.length - 1;
    for (let at = 1; at < this.#wordsUsed; ) {
      const shape = this.#words[at + 1]!;
      const count = this.#shapes[shape]!.labels.length;
      let place = this.#hash(shape, this.#words, at + 2, count) & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = at;
      at += 2 + count;
    }
    this.#tuplePlaces = places;
  }

  #hash(shape: number, values: Uint32Array, from: number, count: number): number {
    let hash = mix(this.#seed, shape);
    for (let i = from; i < from + count; i++) hash = mix(hash, values[i]!);
    return hash;
  }

  #idHash(id: Buffer, at: number, account: number): number {
    return mix(mix(mix(this.#seed, account), id.readInt32LE(at)), id.readInt32LE(at + 4));
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x85ebca6b);
  return Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35) ^ (mixed >>> 13);
}
