/**
 * What is gathered here and not yet in the ledger. For one partition and one shard it is a queue of SEGMENTS, each a
 * range of offsets with what its records add. Segments follow one another, and where there is a hole between two, or
 * before the first, no record in it adds anything to the shard. One segment becomes one section of a commit, so a record,
 * which lies in one segment, is never split.
 */
import { MEASURES, type SeriesTable } from '../attribution/series-table.ts';
import { SHARDS } from './port.ts';

const EMPTY = 0;

/** Rows (series slot -> amounts) of the records in [from, to), in the slots of one series table. */
export class Segment {
  readonly table: SeriesTable;
  readonly from: number;
  /** Offset behind the last record; null while the segment is open (it ends where the partition is gathered to). */
  to: number | null = null;
  rows = 0;
  slots = new Uint32Array(8);
  values = new Float64Array(8 * MEASURES);
  /** What was diverted to overflow: account -> amounts. */
  diverted: Map<number, Float64Array> | null = null;
  /** Of that, what came with gaps (of `SeriesTable`): account -> gaps -> first amount. */
  divertedGaps: Map<number, Map<number, number>> | null = null;
  /** Open addressing over `slots`: row + 1, or EMPTY. Twice as large as `slots`. */
  #index = new Uint32Array(16);

  constructor(table: SeriesTable, from: number) {
    this.table = table;
    this.from = from;
  }

  get isEmpty(): boolean {
    return this.rows === 0 && this.diverted === null;
  }

  /** Adds to the series of a slot. Answers whether the row is a new one. */
  add(slot: number, first: number, second: number): boolean {
    const mask = this.#index.length - 1;
    let at = scatter(slot) & mask;
    for (let entry = this.#index[at]!; entry !== EMPTY; entry = this.#index[at]!) {
      if (this.slots[entry - 1] === slot) {
        const value = (entry - 1) * MEASURES;
        this.values[value]! += first;
        this.values[value + 1]! += second;
        return false;
      }
      at = (at + 1) & mask;
    }
    this.#index[at] = this.rows + 1;
    this.slots[this.rows] = slot;
    this.values[this.rows * MEASURES] = first;
    this.values[this.rows * MEASURES + 1] = second;
    this.rows++;
    if (this.rows === this.slots.length) this.#grow();
    return true;
  }

  /** Adds to what an account has in overflow, without a series. `gaps`: as the table's `gapsOf` the slot. */
  divert(account: number, first: number, second: number, gaps = 0): void {
    if (gaps !== 0) this.#divertGaps(account, first, gaps);
    this.diverted ??= new Map();
    let amounts = this.diverted.get(account);
    if (amounts === undefined) {
      amounts = new Float64Array(MEASURES);
      this.diverted.set(account, amounts);
    }
    amounts[0]! += first;
    amounts[1]! += second;
  }

  #divertGaps(account: number, first: number, gaps: number): void {
    this.divertedGaps ??= new Map();
    let sums = this.divertedGaps.get(account);
    if (sums === undefined) {
      sums = new Map();
      this.divertedGaps.set(account, sums);
    }
    sums.set(gaps, (sums.get(gaps) ?? 0) + first);
  }

  #grow(): void {
    const capacity = this.slots.length * 2;
    const slots = new Uint32Array(capacity);
    slots.set(this.slots);
    const values = new Float64Array(capacity * MEASURES);
    values.set(this.values);
    const index = new Uint32Array(capacity * 2);
    const mask = index.length - 1;
    for (let row = 0; row < this.rows; row++) {
      let at = scatter(slots[row]!) & mask;
      while (index[at] !== EMPTY) at = (at + 1) & mask;
      index[at] = row + 1;
    }
    this.slots = slots;
    this.values = values;
    this.#index = index;
  }
}

/** Rows that are pending, over all partitions of a worker. */
export class RowCount {
  readonly byShard = new Float64Array(SHARDS);
  total = 0;
  /** Shards that have `crowd` rows or more. */
  crowded = 0;
  readonly #crowd: number;

  constructor(crowd: number) {
    this.#crowd = crowd;
  }

  change(shard: number, rows: number): void {
    const before = this.byShard[shard]!;
    const after = before + rows;
    this.byShard[shard] = after;
    this.total += rows;
    this.crowded += Number(after >= this.#crowd) - Number(before >= this.#crowd);
  }
}

/** The segments of one partition, by shard. The owner knows the markers and `next`. */
export class PartitionPending {
  readonly #count: RowCount;
  readonly #queues: (Segment[] | undefined)[] = new Array<Segment[] | undefined>(SHARDS).fill(undefined);

  constructor(count: RowCount) {
    this.#count = count;
  }

  /** The segment that the record at hand is added to. `from`: one that begins does so there, or where the last one ends if that is farther. */
  open(shard: number, table: SeriesTable, from: number, at: number): Segment {
    let queue = this.#queues[shard];
    if (queue === undefined) {
      queue = [];
      this.#queues[shard] = queue;
    }
    const last = queue[queue.length - 1];
    if (last !== undefined && last.to === null) {
      if (last.table === table) return last;
      last.to = at;
    }
    const segment = new Segment(table, last === undefined ? from : Math.max(last.to!, from));
    queue.push(segment);
    return segment;
  }

  /** Ends the open segment of the shard at `to`, an offset that lies between two records. */
  seal(shard: number, to: number): void {
    const queue = this.#queues[shard];
    const last = queue?.[queue.length - 1];
    if (last !== undefined && last.to === null) last.to = to;
  }

  /** Of these shards ends the open segments that nothing stands before. */
  sealFirst(shards: readonly number[], to: number): void {
    for (const shard of shards) if (this.#queues[shard]?.length === 1) this.seal(shard, to);
  }

  sealAll(to: number): void {
    for (let shard = 0; shard < SHARDS; shard++) this.seal(shard, to);
  }

  first(shard: number): Segment | undefined {
    return this.#queues[shard]?.[0];
  }

  /** Adds to a series in an open segment of the shard. */
  add(shard: number, segment: Segment, slot: number, first: number, second: number): void {
    if (segment.add(slot, first, second)) this.#count.change(shard, 1);
  }

  /** Takes away the first segment: the ledger has it. */
  settle(shard: number): void {
    const segment = this.#queues[shard]?.shift();
    if (segment !== undefined) this.#count.change(shard, -segment.rows);
  }

  clear(): void {
    this.#queues.forEach((queue, shard) => {
      for (const segment of queue ?? []) this.#count.change(shard, -segment.rows);
    });
    this.#queues.fill(undefined);
  }
}

/** Fibonacci hashing: neighbouring slots, which are what comes, land far apart. */
const scatter = (slot: number): number => Math.imul(slot, 0x9e3779b1) >>> 7;
