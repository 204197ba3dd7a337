/**
 * The hot half of the worker: takes batches of one partition after the other, record by record, into what is pending,
 * for as long as there is room. It changes nothing but pending and how far its partition is gathered.
 *
 * A batch may be given up at every await: the partition's epoch moved, gathering ended, the source took the batch back,
 * or no room came in time. The rest of it is fetched again from `next`.
 */
import type { SeriesTable } from '../attribution/series-table.ts';
import type { BatchControl, RecordSource, SourceBatch, SourceRecord, TopicPartition } from '../kafka/port.ts';
import type { Admission } from './admission.ts';
import type { Bounds } from './bounds.ts';
import type { Clock } from './clock.ts';
import type { PartitionState } from './partition.ts';
import { RowCount } from './pending.ts';
import { Throttle } from './throttle.ts';
import type { WatchWorker } from './worker-events.ts';

/** Takes the amounts of one record. */
export type RecordSink = {
  /** Whether what the record adds to the shard is still to be counted. */
  wants(shard: number): boolean;
  add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void;
};

/**
 * Decodes and attributes a record into a sink. Pure but for what it interns. False: nothing was added; the record, and
 * all that lies behind it in its partition, must wait, and is offered again when it is fetched again.
 */
export type Gather = (record: SourceRecord, where: TopicPartition, sink: RecordSink) => boolean;

export type GathererOptions = {
  readonly source: Pick<RecordSource, 'seek' | 'pause' | 'resume'>;
  readonly clock: Clock;
  readonly gather: Gather;
  readonly admission: Admission;
  readonly bounds: Bounds;
  readonly maxPendingBytes: number;
  /** Bytes that the series tables hold at present. */
  readonly tablesFootprint: () => number;
  /** All partitions that are held, gathered or not: they are paused together. */
  readonly partitions: () => Iterable<PartitionState>;
  /** Much is pending: it should be flushed without waiting for its time. */
  readonly pressing: () => void;
  readonly watch: WatchWorker;
};

/** What a row of pending costs: its slot, its amounts, its place in the index. */
const ROW_BYTES = 48;
/** Records, and bytes of records, after which a batch lets others have a turn. */
const TURN_RECORDS = 256;
const TURN_BYTES = 1 << 20;

export class Gatherer {
  /** Of all that is pending. */
  readonly rows: RowCount;
  readonly #options: GathererOptions;
  readonly #bounds: Bounds;
  readonly #admission: Admission;
  readonly #throttle: Throttle;
  /** Shards whose open segment is large enough, of the record at hand. */
  readonly #largeShards: number[] = [];
  #stopped = false;
  // The sink of the record at hand.
  #current!: PartitionState;
  #offset = 0;
  readonly #sink: RecordSink;

  constructor(options: GathererOptions) {
    this.#options = options;
    this.#bounds = options.bounds;
    this.#admission = options.admission;
    this.rows = new RowCount(this.#bounds.mostRows);
    this.#sink = { wants: (shard) => this.#offset >= this.#current.markers[shard]!, add: this.#add.bind(this) };
    this.#throttle = new Throttle({
      clock: options.clock,
      isFull: () => this.#isFull(),
      isRoomy: () => this.#isRoomy(),
      pause: () => this.#pause(),
      resume: () => this.#resume(),
    });
  }

  get pendingBytes(): number {
    return this.rows.total * ROW_BYTES + this.#options.tablesFootprint();
  }

  /** Time during which gathering was held up, up to now. */
  get pausedMs(): number {
    return this.#throttle.heldMs;
  }

  get isPaused(): boolean {
    return this.#throttle.isPaused;
  }

  /** So much is pending over all shards that nothing more may be gathered. */
  holdsTooManyBytes(): boolean {
    return this.rows.total > 0 && this.pendingBytes >= this.#options.maxPendingBytes;
  }

  /** Less may be pending than before. */
  relieve(): void {
    this.#throttle.relieve();
  }

  /** Nothing is gathered from now on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Gathers what of the batch is not gathered yet. False: not all of it. */
  async batch(state: PartitionState, batch: SourceBatch, control: BatchControl): Promise<boolean> {
    if (state.phase !== 'active' || this.#stopped) return false;
    // Fetched before the seek that made the partition active: by name, so perhaps from a topic of that name that is gone.
    if (!control.isCurrent()) return false;
    if (batch.fetchedFrom > state.next) {
      this.#options.source.seek(batch, state.next);
      return false;
    }
    const { epoch } = state;
    const isOver = () => state.epoch !== epoch || this.#stopped || !control.isCurrent();
    let records = 0;
    let bytes = 0;
    for (const record of batch.records) {
      if (record.offset < state.next) continue;
      while (this.#isFull()) {
        this.#options.pressing();
        if (!(await this.#throttle.room()) || isOver()) return false;
      }
      if (!this.#gather(state, record)) return false;
      records++;
      bytes += record.value?.length ?? 0;
      if (records < TURN_RECORDS && bytes < TURN_BYTES) continue;
      records = bytes = 0;
      await control.heartbeat();
      await this.#options.clock.turn();
      if (isOver()) return false;
    }
    state.advance(batch.next);
    state.logEnd = Math.max(batch.highWatermark, state.next);
    return true;
  }

  #gather(state: PartitionState, record: SourceRecord): boolean {
    state.advance(record.offset);
    this.#current = state;
    this.#offset = record.offset;
    if (!this.#options.gather(record, state, this.#sink)) return false;
    state.advance(record.offset + 1);
    state.lastTimestampMs = record.timestampMs;
    for (const shard of this.#largeShards) state.pending.seal(shard, state.next);
    this.#largeShards.length = 0;
    return true;
  }

  #add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    const state = this.#current;
    const segment = state.pending.open(shard, table, state.floors[shard]!, this.#offset);
    const placement = this.#admission.place(table, slot);
    if (placement === 'series') {
      state.pending.add(shard, segment, slot, first, second);
      if (segment.rows === this.#bounds.segmentRows) this.#largeShards.push(shard);
      if (this.rows.byShard[shard] === this.#bounds.pressingRows) this.#options.pressing();
    } else {
      const account = placement === 'refused' ? this.#admission.refusedAccount : table.accountOf(slot);
      segment.divert(account, first, second, table.gapsOf(slot));
    }
  }

  #isFull(): boolean {
    return this.rows.crowded > 0 || this.holdsTooManyBytes();
  }

  #isRoomy(): boolean {
    const { maxPendingBytes } = this.#options;
    return this.rows.crowded === 0 && (this.rows.total === 0 || this.pendingBytes < maxPendingBytes * 0.75);
  }

  #pause(): void {
    const all = [...this.#options.partitions()];
    this.#options.source.pause(all);
    this.#options.watch({ kind: 'paused', partitions: all.length });
  }

  #resume(): void {
    this.#options.source.resume([...this.#options.partitions()]);
    this.#options.watch({ kind: 'resumed' });
  }
}
