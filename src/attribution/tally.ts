/**
 * What a record adds to which series, while it is being read: one row for each series that it meets, in the order in
 * which it meets them. Knows labels; how many bytes a span is worth is said by those who extend it.
 */
import type { Malformed } from '../otlp/malformed.ts';
import { ABSENT, type Values } from '../otlp/scan.ts';
import type { TrackerRecipe } from './recipe.ts';
import { MEASURES, type SeriesTable, type TenantPlan } from './series-table.ts';
import type { TrackerExtras } from './tracker-extras.ts';
import { NO_VALUE } from './value-table.ts';

/** Values of wanted keys, one column each. */
type Columns = Pick<Values, 'kinds' | 'starts' | 'ends'>;

const NOTHING = Buffer.alloc(0);

export abstract class Tally {
  /** Results: series and what the record adds to them. No slot comes twice. Overwritten by the next record. */
  rows = 0;
  slots = new Uint32Array(64);
  /** For row r: bytes at 2r, spans at 2r + 1. */
  values = new Float64Array(64 * MEASURES);
  /** Spans of the record. */
  spans = 0;
  /** Rows whose bytes came out below zero and were made zero. */
  clamped = 0;

  protected plan!: TenantPlan;
  /** Bytes that belong to what is read without being in it. */
  protected beside = 0;
  #table!: SeriesTable;
  #bytes: Buffer = NOTHING;
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
   * has no rows. `plan` must be of `table`. `beside`: bytes to be spread over the regions with those that are in none.
   * Keeps nothing of `value`.
   */
  attribute(value: Buffer, table: SeriesTable, plan: TenantPlan, beside = 0): Malformed | null {
    this.rows = 0;
    this.spans = 0;
    this.clamped = 0;
    this.#table = table;
    this.plan = plan;
    this.beside = beside;
    this.#bytes = value;
    const malformed = this.read(value);
    this.#bytes = NOTHING;
    if (malformed !== null) {
      this.rows = 0;
      this.spans = 0;
      this.clamped = 0;
    }
    return malformed;
  }

  /** Goes through the record, opens its regions and adds what is in them. */
  protected abstract read(value: Buffer): Malformed | null;

  /**
   * Begins a region, null: one without a resource; its values are in columns of the recipe's resource keys. Adds all of
   * it for the trackers whose labels no span of it can change, if they have at least `leastLabels`.
   */
  protected open(resource: Columns | null, bytes: number, spans: number, leastLabels: number): void {
    const { recipe, shapes, extras } = this.plan;
    this.#clearValues();
    this.#sameAsBefore = false;
    if (resource !== null) {
      const columns = recipe.resourceKeys.size;
      for (let column = 0; column < columns; column++) this.#resourceIds[column] = this.#valueId(resource, column);
    }
    for (let i = 0; i < shapes.length; i++) {
      const tracker = recipe.trackers[i]!;
      const labels = tracker.labels.length;
      const tuple = this.#tupleFor(i, labels);
      for (let label = 0; label < labels; label++) tuple[label] = this.#resolve(tracker, label, extras[i]!);
      if ((spans === 0 || tracker.spanLabels.length === 0) && labels >= leastLabels) {
        this.#add(this.#rowOf(this.#table.slot(shapes[i]!, tuple)), bytes, spans);
      }
    }
  }

  /** Adds a span, for the other trackers. Its values begin at `from`, in columns of the recipe's span keys. */
  protected addSpan(values: Columns, from: number, bytes: number): void {
    const { recipe, shapes, extras } = this.plan;
    for (let column = 0; column < recipe.spanKeys.size; column++) {
      const id = this.#valueId(values, from + column);
      if (id === this.#spanIds[column]) continue;
      this.#spanIds[column] = id;
      this.#sameAsBefore = false;
    }
    for (let i = 0; i < shapes.length; i++) {
      const tracker = recipe.trackers[i]!;
      if (tracker.spanLabels.length === 0) continue;
      if (!this.#sameAsBefore) {
        this.#fillSpanLabels(tracker, extras[i]!, this.#tuples[i]!);
        this.#rowOfTracker[i] = this.#rowOf(this.#table.slot(shapes[i]!, this.#tuples[i]!));
      }
      this.#add(this.#rowOfTracker[i]!, bytes, 1);
    }
    this.#sameAsBefore = true;
  }

  #fillSpanLabels(tracker: TrackerRecipe, extras: TrackerExtras | null, tuple: Uint32Array): void {
    const labels = tracker.spanLabels;
    for (let i = 0; i < labels.length; i++) tuple[labels[i]!] = this.#resolve(tracker, labels[i]!, extras);
  }

  /** The value of a label: its first source that has one. */
  #resolve(tracker: TrackerRecipe, label: number, extras: TrackerExtras | null): number {
    if (extras !== null) return extras.resolve(label, this.#resourceIds, this.#spanIds);
    const end = tracker.ends[label]!;
    for (let i = label === 0 ? 0 : tracker.ends[label - 1]!; i < end; i++) {
      const source = tracker.sources[i]!;
      const id = source >= 0 ? this.#resourceIds[source]! : this.#spanIds[~source]!;
      if (id !== NO_VALUE) return id;
    }
    return NO_VALUE;
  }

  #valueId(values: Columns, at: number): number {
    const kind = values.kinds[at]!;
    if (kind === ABSENT) return NO_VALUE;
    return this.#table.value(kind, this.#bytes, values.starts[at]!, values.ends[at]!);
  }

  #clearValues(): void {
    const { resourceKeys, spanKeys } = this.plan.recipe;
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
