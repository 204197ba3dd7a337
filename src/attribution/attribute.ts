/**
 * Splits one record's bytes over series, `exact`: every byte of the record lands in one series, by one rule for all.
 *
 * A span has its own bytes. What else lies in its region (resource, scopes, framing) is the region's overhead, and
 * what lies outside of all regions is overhead of the record, given to its regions first. Overhead O over n takers:
 * the i-th, from 0, gets floor((i+1)*O/n) - floor(i*O/n), so that the parts sum to O and differ by one byte at most.
 */
import { KeySet } from '../otlp/key-set.ts';
import type { Malformed } from '../otlp/malformed.ts';
import { ABSENT, Scanner, type TraceVisitor, type Values } from '../otlp/scan.ts';
import type { TrackerRecipe } from './recipe.ts';
import { MEASURES, type SeriesTable, type TenantPlan } from './series-table.ts';
import { NO_VALUE } from './value-table.ts';

const NOTHING = Buffer.alloc(0);

/**
 * Hands out an overhead in equal parts, in whole bytes. Goes by remainders (the part has one byte more whenever their
 * sum passes n), so no product is formed that could pass 2^53.
 */
class Spread {
  #takers = 1;
  #base = 0;
  #remainder = 0;
  #sum = 0;

  start(bytes: number, takers: number): void {
    this.#takers = takers;
    this.#base = Math.floor(bytes / takers);
    this.#remainder = bytes - this.#base * takers;
    this.#sum = 0;
  }

  next(): number {
    this.#sum += this.#remainder;
    if (this.#sum < this.#takers) return this.#base;
    this.#sum -= this.#takers;
    return this.#base + 1;
  }
}

/** One per worker. Its results are overwritten by the next record. */
export class Attributor implements TraceVisitor {
  /** Results: series and what the record adds to them. No slot comes twice. */
  rows = 0;
  slots = new Uint32Array(64);
  /** For row r: bytes at 2r, spans at 2r + 1. */
  values = new Float64Array(64 * MEASURES);
  /** Spans of the record. */
  spans = 0;

  readonly #scanner = new Scanner();
  readonly #perRegion = new Spread();
  readonly #perSpan = new Spread();
  #table!: SeriesTable;
  #plan!: TenantPlan;
  #bytes!: Buffer;
  /** Of the region at hand: numbers of the resource's values and, at the span before, of the span's, by column. */
  #resourceIds = new Uint32Array(8);
  #spanIds = new Uint32Array(8);
  /** The span before had the same values: its rows are known. */
  #sameAsBefore = false;
  /** For each tracker: the values of the labels at hand, and the row that they led to. */
  readonly #tuples: Uint32Array[] = [];
  readonly #rowOfTracker: number[] = [];
  /** By slot: its row, if `slots` of that row agrees; else anything. */
  #rowOfSlot = new Uint32Array(256);

  /**
   * Attributes a record. Malformed: there are no results, whatever was found before the fault. A record of no bytes
   * has no rows. `plan` must be of `table`. Keeps nothing of `value`.
   */
  attribute(value: Buffer, table: SeriesTable, plan: TenantPlan): Malformed | null {
    this.rows = 0;
    this.spans = 0;
    this.#table = table;
    this.#plan = plan;
    this.#bytes = value;
    const malformed = this.#scanner.scan(value, plan.recipe.resourceKeys, this);
    this.#bytes = NOTHING;
    if (malformed !== null) {
      this.rows = 0;
      this.spans = 0;
    }
    return malformed;
  }

  /** For the scanner. */
  record(regions: number, outside: number): void {
    if (regions > 0) {
      this.#perRegion.start(outside, regions);
    } else if (outside > 0) {
      this.#clearResource();
      this.#addRegion(outside, 0);
    }
  }

  /** For the scanner. */
  region(resource: Values, bytes: number, spans: number, own: number): KeySet {
    const { resourceKeys, spanKeys } = this.#plan.recipe;
    const total = bytes + this.#perRegion.next();
    this.spans += spans;
    this.#clearResource();
    for (let column = 0; column < resourceKeys.size; column++) {
      this.#resourceIds[column] = this.#valueId(resource, column);
    }
    this.#addRegion(total, spans);
    if (spans === 0) return KeySet.NONE;
    this.#perSpan.start(total - own, spans);
    this.#sameAsBefore = false;
    return spanKeys;
  }

  /** For the scanner. */
  span(values: Values, own: number): void {
    const { recipe, shapes } = this.#plan;
    const bytes = own + this.#perSpan.next();
    for (let column = 0; column < recipe.spanKeys.size; column++) {
      const id = this.#valueId(values, column);
      if (id === this.#spanIds[column]) continue;
      this.#spanIds[column] = id;
      this.#sameAsBefore = false;
    }
    for (let i = 0; i < shapes.length; i++) {
      const tracker = recipe.trackers[i]!;
      if (tracker.spanLabels.length === 0) continue;
      if (!this.#sameAsBefore) {
        this.#fillSpanLabels(tracker, this.#tuples[i]!);
        this.#rowOfTracker[i] = this.#rowOf(this.#table.slot(shapes[i]!, this.#tuples[i]!));
      }
      this.#add(this.#rowOfTracker[i]!, bytes, 1);
    }
    this.#sameAsBefore = true;
  }

  /** For each tracker: the labels as the resource makes them; and all of the region, where spans make no difference. */
  #addRegion(bytes: number, spans: number): void {
    const { recipe, shapes } = this.#plan;
    for (let i = 0; i < shapes.length; i++) {
      const tracker = recipe.trackers[i]!;
      const tuple = this.#tupleFor(i, tracker.labels.length);
      for (let label = 0; label < tracker.labels.length; label++) tuple[label] = this.#resolve(tracker, label);
      if (spans === 0 || tracker.spanLabels.length === 0) {
        this.#add(this.#rowOf(this.#table.slot(shapes[i]!, tuple)), bytes, spans);
      }
    }
  }

  #fillSpanLabels(tracker: TrackerRecipe, tuple: Uint32Array): void {
    const labels = tracker.spanLabels;
    for (let i = 0; i < labels.length; i++) tuple[labels[i]!] = this.#resolve(tracker, labels[i]!);
  }

  /** The value of a label: its first source that has one. */
  #resolve(tracker: TrackerRecipe, label: number): number {
    const end = tracker.ends[label]!;
    for (let i = label === 0 ? 0 : tracker.ends[label - 1]!; i < end; i++) {
      const source = tracker.sources[i]!;
      const id = source >= 0 ? this.#resourceIds[source]! : this.#spanIds[~source]!;
      if (id !== NO_VALUE) return id;
    }
    return NO_VALUE;
  }

  #valueId(values: Values, column: number): number {
    const kind = values.kinds[column]!;
    if (kind === ABSENT) return NO_VALUE;
    return this.#table.value(kind, this.#bytes, values.starts[column]!, values.ends[column]!);
  }

  #clearResource(): void {
    const { resourceKeys, spanKeys } = this.#plan.recipe;
    if (resourceKeys.size > this.#resourceIds.length) this.#resourceIds = new Uint32Array(resourceKeys.size * 2);
    if (spanKeys.size > this.#spanIds.length) this.#spanIds = new Uint32Array(spanKeys.size * 2);
    this.#resourceIds.fill(NO_VALUE);
    this.#spanIds.fill(NO_VALUE);
  }

  #tupleFor(tracker: number, labels: number): Uint32Array {
    let tuple = this.#tuples[tracker];
    if (tuple === undefined || tuple.length < labels) {
      tuple = new Uint32Array(Math.max(8, labels * 2));
      this.#tuples[tracker] = tuple;
      this.#rowOfTracker[tracker] = 0;
    }
    return tuple;
  }

  #rowOf(slot: number): number {
    if (slot >= this.#rowOfSlot.length) this.#growRowOfSlot(slot);
    const known = this.#rowOfSlot[slot]!;
    if (known < this.rows && this.slots[known] === slot) return known;
    const row = this.rows++;
    if (row === this.slots.length) this.#grow();
    this.#rowOfSlot[slot] = row;
    this.slots[row] = slot;
    this.values[row * MEASURES] = 0;
    this.values[row * MEASURES + 1] = 0;
    return row;
  }

  #growRowOfSlot(slot: number): void {
    const larger = new Uint32Array(Math.max(slot + 1, this.#table.size) * 2);
    larger.set(this.#rowOfSlot);
    this.#rowOfSlot = larger;
  }

  #add(row: number, bytes: number, spans: number): void {
    this.values[row * MEASURES]! += bytes;
    this.values[row * MEASURES + 1]! += spans;
  }

  #grow(): void {
    const slots = new Uint32Array(this.slots.length * 2);
    const values = new Float64Array(this.values.length * 2);
    slots.set(this.slots);
    values.set(this.values);
    this.slots = slots;
    this.values = values;
  }
}
