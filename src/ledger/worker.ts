/**
 * The worker: gathers batches of the partitions it holds, and settles what it gathered in the ledger. One loop (`tick`)
 * and the lanes change state; what the source tells only sets flags and swaps assignments.
 *
 * What keeps it exact, in one place:
 *  - a partition is gathered only while `active`: its markers are those of the ledger, and pending[s] is what the
 *    records in [markers[s], next) add to shard s;
 *  - a batch is gathered only if it was fetched from at or below `next`: no record is passed over;
 *  - what was gathered is flushed only after the topic's id was asked for again: a fetch is by name;
 *  - a section that is not applied means that someone else wrote or that the ledger lost something: all that was
 *    gathered of the partition is dropped and read again from where the ledger stands;
 *  - the group's commit only rises, and never above the lowest acknowledged marker.
 */
import type { SeriesTable } from '../attribution/series-table.ts';
import type {
  BatchControl,
  RecordSource,
  SourceBatch,
  SourceHandler,
  SourceRecord,
  TopicPartition,
} from '../kafka/port.ts';
import { Admission } from './admission.ts';
import { BOUNDS, type Bounds } from './bounds.ts';
import { type Clock, within } from './clock.ts';
import { Committer } from './committer.ts';
import { Conversation } from './conversation.ts';
import type { OnLoss } from './decide-position.ts';
import { Flusher } from './flusher.ts';
import { FullAccounts } from './full-accounts.ts';
import { shardOf } from './keys.ts';
import { Lanes } from './lanes.ts';
import { PartitionState, partitionKey } from './partition.ts';
import { RowCount } from './pending.ts';
import type { Ledger } from './port.ts';
import { Positioner } from './positioner.ts';
import { Throttle } from './throttle.ts';
import type { DropCause, WatchWorker } from './worker-events.ts';

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

export type WorkerOptions = {
  readonly source: RecordSource;
  readonly ledger: Ledger;
  /** All that the group consumes, whether partitions of them are held here or not. */
  readonly topics: readonly string[];
  readonly clock: Clock;
  readonly gather: Gather;
  /**
   * The lowest offset gathered of the partition that the ledger must not be told of yet; infinite where there is none,
   * which is so where this is not given.
   */
  readonly unsettled?: (where: TopicPartition) => number;
  /** Bytes that the series tables hold at present. */
  readonly tablesFootprint: () => number;
  readonly flushIntervalMs: number;
  readonly lookIntervalMs: number;
  readonly maxPendingBytes: number;
  /** `BOUNDS` where it is not given. */
  readonly bounds?: Bounds;
  readonly maxTenantsPerShard: number;
  readonly fromBeginning: boolean;
  readonly onLoss: OnLoss;
  /** How long a doubtful position is looked at again before it is believed. */
  readonly patienceMs: number;
  readonly watch: WatchWorker;
  /** The process must stop: an impossible state, a refused ledger, a loss with `stop`. Called once. */
  readonly fatal: (error: Error) => void;
};

/** What a row of pending costs: its slot, its amounts, its place in the index. */
const ROW_BYTES = 48;
/** Records, and bytes of records, after which a batch lets others have a turn. */
const TURN_RECORDS = 256;
const TURN_BYTES = 1 << 20;
const FULL_SHARD_MS = 60_000;
const TICK_MS = 250;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #bounds: Bounds;
  readonly #conversation: Conversation;
  readonly #committer: Committer;
  readonly #throttle: Throttle;
  readonly #lanes: Lanes;
  readonly #flusher: Flusher;
  readonly #positioner: Positioner;
  readonly #admission = new Admission(shardOf);
  readonly #fullAccounts: FullAccounts;
  #partitions = new Map<string, PartitionState>();
  #generation = -1;
  readonly #rows: RowCount;
  /** Shards whose open segment is large enough, of the record at hand. */
  readonly #largeShards: number[] = [];
  #lastCommitsMs = 0;
  #stopped = false;
  #failed = false;
  #isWoken = false;
  #endPause: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();
  // The sink of the record at hand.
  #current!: PartitionState;
  #offset = 0;
  readonly #sink: RecordSink;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#bounds = options.bounds ?? BOUNDS;
    this.#rows = new RowCount(this.#bounds.mostRows);
    this.#sink = { wants: (shard) => this.#offset >= this.#current.markers[shard]!, add: this.#add.bind(this) };
    const active = () => this.#active();
    const drop = this.#drop.bind(this);
    const fatal = this.#fail.bind(this);
    const generation = () => this.#generation;
    this.#conversation = new Conversation(options.watch);
    const endsEarly = (state: PartitionState, end: number) =>
      drop(state, 'out_of_range', null, state.highestMarker, end);
    this.#committer = new Committer({ ...options, conversation: this.#conversation, active, generation, endsEarly });
    this.#throttle = new Throttle({
      clock: options.clock,
      isFull: () => this.#isFull(),
      isRoomy: () => this.#isRoomy(),
      pause: () => this.#pause(),
      resume: () => this.#resume(),
    });
    this.#lanes = new Lanes({
      ...options,
      callRows: this.#bounds.callRows,
      admission: this.#admission,
      active,
      drop,
      fatal,
      settled: () => this.#throttle.relieve(),
      freed: (shard) => {
        if (this.#rows.byShard[shard]! >= this.#bounds.pressingRows) this.#wakeLoop();
      },
    });
    this.#flusher = new Flusher({
      ...options,
      conversation: this.#conversation,
      lanes: this.#lanes,
      rows: this.#rows,
      bounds: this.#bounds,
      isFull: () => this.#holdsTooManyBytes(),
      active,
      drop,
    });
    this.#fullAccounts = new FullAccounts({ ...options, admission: this.#admission });
    this.#positioner = new Positioner({
      ...options,
      resolved: (fields) => this.#lanes.resolved(fields),
      partitions: () => this.#partitions.values(),
      generation,
      isHeld: (state) => this.#partitions.get(partitionKey(state)) === state,
      exclusively: (work) => this.#conversation.exclusively(work),
      drop,
      activate: (state) => this.#activate(state),
    });
  }

  /** What the source is to be started with. */
  get handler(): SourceHandler {
    return {
      assigned: (generation, partitions) => this.#assigned(generation, partitions),
      lost: () => this.#suspendAll(),
      batch: (batch, control) => this.#batch(batch, control),
      outOfRange: (where) => {
        const state = this.#partitions.get(partitionKey(where));
        if (state?.phase === 'active') this.#drop(state, 'out_of_range', null, state.next, null);
      },
      failed: (error) => this.#fail(error),
    };
  }

  /** Begins the loop. The source may be started before or after. */
  start(): void {
    this.#lastCommitsMs = this.#options.clock.monotonicMs();
    this.#flusher.begin(this.#lastCommitsMs);
    this.#loop = this.#run();
  }

  /**
   * Ends gathering, flushes and commits what was gathered, for at most `withinMs`. What is left is dropped: it will be
   * read again. The source must be quiet, and still a member.
   */
  async drain(withinMs: number): Promise<void> {
    this.#stopped = true;
    this.#wakeLoop();
    const work = this.#loop.then(async () => {
      await this.#flusher.flush('everything');
      await this.#lanes.idle();
      await this.#committer.idle();
      await this.#committer.commit();
    });
    await within(this.#options.clock, withinMs, work);
    this.stop();
  }

  /** Stops at once. Calls on their way may still take effect; that is safe. */
  stop(): void {
    this.#stopped = true;
    this.#wakeLoop();
    this.#lanes.stop();
    this.#positioner.stop();
  }

  get partitions(): Iterable<PartitionState> {
    return this.#partitions.values();
  }

  get pendingRows(): number {
    return this.#rows.total;
  }

  get pendingBytes(): number {
    return this.#rows.total * ROW_BYTES + this.#options.tablesFootprint();
  }

  /** Time during which gathering was held up, up to now. */
  get pausedMs(): number {
    return this.#throttle.heldMs;
  }

  get isPaused(): boolean {
    return this.#throttle.isPaused;
  }

  // ---- what the source tells

  #assigned(generation: number, partitions: readonly TopicPartition[]): void {
    const before = this.#partitions;
    this.#generation = generation;
    this.#partitions = new Map();
    for (const where of partitions) {
      const key = partitionKey(where);
      const state = before.get(key) ?? new PartitionState(where, this.#rows);
      before.delete(key);
      state.suspend();
      this.#partitions.set(key, state);
    }
    for (const state of before.values()) this.#forget(state);
    if (this.isPaused) this.#options.source.pause(partitions);
    this.#positioner.wake();
  }

  /** Membership is gone, but what was gathered is good for as long as the markers are what they were. */
  #suspendAll(): void {
    for (const state of this.#partitions.values()) state.suspend();
  }

  async #batch(batch: SourceBatch, control: BatchControl): Promise<boolean> {
    const state = this.#partitions.get(partitionKey(batch));
    if (state === undefined || state.phase !== 'active' || this.#stopped) return false;
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
        this.#wakeLoop();
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

  // ---- gathering

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
      if (this.#rows.byShard[shard] === this.#bounds.pressingRows) this.#wakeLoop();
    } else {
      const account = placement === 'refused' ? this.#admission.refusedAccount : table.accountOf(slot);
      segment.divert(account, first, second, table.gapsOf(slot));
    }
  }

  // ---- the loop

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#pauseLoop();
      this.#isWoken = false;
      if (this.#stopped) return;
      try {
        await this.#tick(this.#options.clock.monotonicMs());
      } catch (error) {
        this.#fail(error);
        return;
      }
    }
  }

  async #tick(now: number): Promise<void> {
    const { lookIntervalMs } = this.#options;
    await this.#flusher.tick(now);
    this.#lanes.look(lookIntervalMs);
    if (now - this.#lastCommitsMs >= lookIntervalMs) {
      this.#lastCommitsMs = now;
      this.#background(this.#committer.readCommits());
      this.#background(this.#committer.readEnds());
    }
    this.#admission.forgetFullShards(now, FULL_SHARD_MS);
    this.#admission.turnDemand(now);
    this.#background(this.#fullAccounts.read());
    this.#background(this.#committer.commit());
    this.#throttle.relieve();
  }

  // ---- bounds

  #isFull(): boolean {
    return this.#rows.crowded > 0 || this.#holdsTooManyBytes();
  }

  #holdsTooManyBytes(): boolean {
    return this.#rows.total > 0 && this.pendingBytes >= this.#options.maxPendingBytes;
  }

  #isRoomy(): boolean {
    const { maxPendingBytes } = this.#options;
    return this.#rows.crowded === 0 && (this.#rows.total === 0 || this.pendingBytes < maxPendingBytes * 0.75);
  }

  #pause(): void {
    this.#options.source.pause([...this.#partitions.values()]);
    this.#options.watch({ kind: 'paused', partitions: this.#partitions.size });
  }

  #resume(): void {
    this.#options.source.resume([...this.#partitions.values()]);
    this.#options.watch({ kind: 'resumed' });
  }

  // ---- small things

  *#active(): Generator<PartitionState> {
    for (const state of this.#partitions.values()) if (state.phase === 'active') yield state;
  }

  #activate(state: PartitionState): void {
    state.phase = 'active';
    this.#options.source.seek(state, state.next);
  }

  #drop(state: PartitionState, cause: DropCause, shard: number | null, expected: number, stored: number | null): void {
    if (this.#partitions.get(partitionKey(state)) !== state) return;
    state.drop();
    const { topic, partition } = state;
    this.#options.watch({ kind: 'dropped', cause, shard, expected, stored, topic, partition });
    this.#positioner.wake();
  }

  #forget(state: PartitionState): void {
    this.#positioner.tellUntold(state);
    state.drop();
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#options.fatal(error instanceof Error ? error : new Error(String(error)));
  }

  #wakeLoop(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  #pauseLoop(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(this.#isWoken ? 0 : TICK_MS, resolve);
      this.#isWoken = false;
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}
