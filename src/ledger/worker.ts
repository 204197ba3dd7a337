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
import { type Clock, within } from './clock.ts';
import type { OnLoss } from './decide-position.ts';
import { shardOf } from './keys.ts';
import { Lanes } from './lanes.ts';
import { commitMetadata, PartitionState, partitionKey, readCommitMetadata } from './partition.ts';
import { RowCount } from './pending.ts';
import type { Ledger } from './port.ts';
import { Positioner } from './positioner.ts';
import { isTemporary } from './temporary.ts';
import type { DropCause, WatchWorker } from './worker-events.ts';

/** Takes the amounts of one record. */
export type RecordSink = {
  /** Whether what the record adds to the shard is still to be counted. */
  wants(shard: number): boolean;
  add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void;
};

/** Decodes and attributes a record into a sink. Pure but for what it interns. */
export type Gather = (record: SourceRecord, where: TopicPartition, sink: RecordSink) => void;

export type WorkerOptions = {
  readonly source: RecordSource;
  readonly ledger: Ledger;
  /** All that the group consumes, whether partitions of them are held here or not. */
  readonly topics: readonly string[];
  readonly clock: Clock;
  readonly gather: Gather;
  /** Bytes that the series tables hold at present. */
  readonly tablesFootprint: () => number;
  readonly flushIntervalMs: number;
  readonly lookIntervalMs: number;
  readonly maxPendingBytes: number;
  readonly maxTenantsPerShard: number;
  readonly fromBeginning: boolean;
  readonly onLoss: OnLoss;
  /** How long a doubtful position is looked at again before it is believed. */
  readonly patienceMs: number;
  readonly watch: WatchWorker;
  /** The process must stop: an impossible state, a refused ledger, a loss with `stop`. Called once. */
  readonly fatal: (error: Error) => void;
};

/** Pending updates of a shard at which a flush comes early, not more than once in EARLY_FLUSH_MS. */
const EARLY_FLUSH_ROWS = 16_000;
const EARLY_FLUSH_MS = 1_000;
/** Pending updates of a shard at which gathering pauses until the ledger has taken some. */
const PAUSE_ROWS = 4 * EARLY_FLUSH_ROWS;
/** A segment of so many rows takes no further record. */
const SEGMENT_ROWS = 1_000;
/** What a row of pending costs: its slot, its amounts, its place in the index. */
const ROW_BYTES = 48;
/** Records, and bytes of records, after which a batch lets others have a turn. */
const TURN_RECORDS = 256;
const TURN_BYTES = 1 << 20;
const FULL_SHARD_MS = 60_000;
const TICK_MS = 250;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #lanes: Lanes;
  readonly #positioner: Positioner;
  readonly #admission = new Admission(shardOf);
  #partitions = new Map<string, PartitionState>();
  #generation = -1;
  readonly #rows = new RowCount(PAUSE_ROWS);
  /** Shards whose open segment is large enough, of the record at hand. */
  readonly #largeShards: number[] = [];
  #pausedSinceMs: number | null = null;
  #pausedMs = 0;
  #wantsFlush = false;
  #lastFlushMs = 0;
  #lastCommitsMs = 0;
  #committing: Promise<void> | null = null;
  #loading = false;
  /** The source failed to answer the last question. */
  #sourceAway = false;
  #stopped = false;
  #failed = false;
  #turn: Promise<void> = Promise.resolve();
  #wakeLoop: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();
  // The sink of the record at hand.
  #current!: PartitionState;
  #offset = 0;
  readonly #sink: RecordSink;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#sink = { wants: (shard) => this.#offset >= this.#current.markers[shard]!, add: this.#add.bind(this) };
    const active = () => this.#active();
    const drop = this.#drop.bind(this);
    const fatal = this.#fail.bind(this);
    this.#lanes = new Lanes({ ...options, admission: this.#admission, active, drop, fatal });
    this.#positioner = new Positioner({
      ...options,
      resolved: (fields) => this.#lanes.resolved(fields),
      partitions: () => this.#partitions.values(),
      generation: () => this.#generation,
      isHeld: (state) => this.#partitions.get(partitionKey(state)) === state,
      exclusively: (work) => this.#exclusively(work),
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
    this.#lastFlushMs = this.#lastCommitsMs = this.#options.clock.monotonicMs();
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
      await this.#flush('all');
      await this.#lanes.idle();
      await this.#committing;
      await this.#commit();
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

  /** Time during which gathering was paused, up to now. */
  get pausedMs(): number {
    const since = this.#pausedSinceMs;
    return this.#pausedMs + (since === null ? 0 : this.#options.clock.monotonicMs() - since);
  }

  get isPaused(): boolean {
    return this.#pausedSinceMs !== null;
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
    let records = 0;
    let bytes = 0;
    for (const record of batch.records) {
      if (record.offset < state.next) continue;
      if (this.#isOverBound()) {
        this.#pause();
        return false;
      }
      this.#gather(state, record);
      records++;
      bytes += record.value?.length ?? 0;
      if (records < TURN_RECORDS && bytes < TURN_BYTES) continue;
      records = bytes = 0;
      await control.heartbeat();
      await this.#options.clock.turn();
      if (state.epoch !== epoch || this.#stopped || !control.isCurrent()) return false;
    }
    state.advance(batch.next);
    state.logEnd = Math.max(batch.highWatermark, state.next);
    return true;
  }

  // ---- gathering

  #gather(state: PartitionState, record: SourceRecord): void {
    state.advance(record.offset);
    this.#current = state;
    this.#offset = record.offset;
    this.#options.gather(record, state, this.#sink);
    state.advance(record.offset + 1);
    state.lastTimestampMs = record.timestampMs;
    for (const shard of this.#largeShards) state.pending.seal(shard, state.next);
    this.#largeShards.length = 0;
  }

  #add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    const state = this.#current;
    const segment = state.pending.open(shard, table, state.floors[shard]!, this.#offset);
    const placement = this.#admission.place(table, slot);
    if (placement === 'series') {
      state.pending.add(shard, segment, slot, first, second);
      if (segment.rows === SEGMENT_ROWS) this.#largeShards.push(shard);
      if (this.#rows.byShard[shard] === EARLY_FLUSH_ROWS) this.#wantsFlush = true;
    } else {
      segment.divert(placement === 'refused' ? this.#admission.refusedAccount : table.accountOf(slot), first, second);
    }
  }

  #isOverBound(): boolean {
    return this.#rows.crowded > 0 || (this.#rows.total > 0 && this.pendingBytes >= this.#options.maxPendingBytes);
  }

  // ---- the loop

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#pauseLoop();
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
    const { flushIntervalMs, lookIntervalMs } = this.#options;
    const early = this.#wantsFlush && now - this.#lastFlushMs >= EARLY_FLUSH_MS;
    if (early || now - this.#lastFlushMs >= flushIntervalMs) {
      this.#lastFlushMs = now;
      await this.#flush();
    }
    this.#lanes.look(lookIntervalMs);
    if (now - this.#lastCommitsMs >= lookIntervalMs) {
      this.#lastCommitsMs = now;
      this.#background(this.#readCommits());
      this.#background(this.#readEnds());
    }
    this.#admission.forgetFullShards(now, FULL_SHARD_MS);
    this.#background(this.#readFull());
    this.#background(this.#commit());
    if (this.isPaused && this.#isRoomy()) this.#resume();
  }

  /**
   * A shard that still waits for its first segment to be taken keeps its open one: while the ledger is away, segments
   * grow instead of becoming ever more. `all`: nothing stays open.
   */
  async #flush(which: 'waiting' | 'all' = 'waiting'): Promise<void> {
    this.#wantsFlush = false;
    const gathered = [...this.#active()].map((state) => {
      state.seal(which);
      return { state, epoch: state.epoch, to: state.next };
    });
    if (gathered.length === 0) return;
    const topics = await this.#ask(
      'topics',
      this.#options.source.topics([...new Set(gathered.map(({ state }) => state.topic))]),
    );
    if (topics === null) return;
    const ids = new Map(topics.map(({ name, id }) => [name, id]));
    for (const { state, epoch, to } of gathered) {
      const id = ids.get(state.topic);
      if (state.epoch !== epoch || id === undefined) continue;
      if (id === state.topicId) state.flushTo = to;
      else this.#drop(state, 'topic_changed', null, to, null);
    }
    this.#lanes.flush();
  }

  /** Tells the group how far the ledger is, where that is farther than the group knows. */
  async #commit(): Promise<void> {
    if (!this.#commitsDue().length || this.#committing) return;
    this.#committing = this.#exclusively(async () => {
      const due = this.#commitsDue();
      const generation = this.#generation;
      const requests = due.map(({ state, offset }) => ({
        topic: state.topic,
        partition: state.partition,
        offset,
        metadata: commitMetadata(state),
      }));
      if (requests.length === 0) return;
      const done = await this.#ask(
        'commit',
        this.#options.source.commit(generation, requests).then(() => true),
      );
      if (done === null) return;
      for (const { state, offset } of due) {
        state.commit = offset;
        state.reached = Math.max(state.reached, offset);
      }
      this.#options.watch({ kind: 'kafka_committed', partitions: due.length });
    });
    try {
      await this.#committing;
    } finally {
      this.#committing = null;
    }
  }

  #commitsDue(): { state: PartitionState; offset: number }[] {
    return [...this.#active()]
      .map((state) => ({ state, offset: Math.max(state.lowestMarker, state.reached) }))
      .filter(({ state, offset }) => offset > state.commit);
  }

  /** A coordinator that lost commits, or an operator who moved them down, is told again. */
  async #readCommits(): Promise<void> {
    const states = [...this.#active()].map((state) => ({ state, epoch: state.epoch }));
    if (states.length === 0) return;
    await this.#exclusively(async () => {
      const commits = await this.#ask('commits', this.#options.source.commits(states.map(({ state }) => state)));
      if (commits === null) return;
      const held = new Map(commits.map((commit) => [partitionKey(commit), commit]));
      for (const { state, epoch } of states) {
        const commit = held.get(partitionKey(state));
        if (state.epoch !== epoch || commit === undefined) continue;
        const isOurs = commit.offset !== null && readCommitMetadata(commit.metadata)?.topicId === state.topicId;
        state.commit = isOurs ? commit.offset! : -1;
      }
    });
  }

  /** Fetches tell where a log ends; a partition that is paused, or of which nothing can be read, must not seem to have no lag. */
  async #readEnds(): Promise<void> {
    const states = [...this.#active()];
    if (states.length === 0) return;
    const ranges = await this.#ask('log ranges', this.#options.source.ranges(states));
    const ends = new Map((ranges ?? []).map((range) => [partitionKey(range), range.end]));
    for (const state of states) state.logEnd = Math.max(ends.get(partitionKey(state)) ?? state.logEnd, state.next);
  }

  /** Reads what lives in the accounts, and who is in the shards, that have no room. */
  async #readFull(): Promise<void> {
    if (this.#loading) return;
    this.#loading = true;
    const { ledger } = this.#options;
    const { accounts, shards } = this.#admission.unread();
    try {
      for (const account of accounts) {
        const { admissions, ids } = await ledger.liveIds(account.shard, account);
        this.#admission.setLive(account, admissions, ids);
      }
      for (const { shard, tracker } of shards)
        this.#admission.setTenants(shard, tracker, await ledger.tenants(shard, tracker));
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.#options.watch({ kind: 'ledger_unavailable', error });
    } finally {
      this.#loading = false;
    }
  }

  // ---- pausing

  #pause(): void {
    if (this.isPaused) return;
    this.#pausedSinceMs = this.#options.clock.monotonicMs();
    this.#wantsFlush = true;
    this.#options.source.pause([...this.#partitions.values()]);
    this.#options.watch({ kind: 'paused', partitions: this.#partitions.size });
    this.#wakeLoop();
  }

  #isRoomy(): boolean {
    const { maxPendingBytes } = this.#options;
    return this.#rows.crowded === 0 && (this.#rows.total === 0 || this.pendingBytes < maxPendingBytes * 0.75);
  }

  #resume(): void {
    this.#pausedMs = this.pausedMs;
    this.#pausedSinceMs = null;
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

  /** One conversation with the coordinator about commits at a time: what was read there stays true until it is acted on. */
  #exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.then(
      () => {},
      () => {},
    );
    return mine;
  }

  /** Null: not now. */
  async #ask<T>(during: string, answer: Promise<T>): Promise<T | null> {
    try {
      const given = await answer;
      if (this.#sourceAway) this.#options.watch({ kind: 'source_available' });
      this.#sourceAway = false;
      return given;
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.#sourceAway = true;
      this.#options.watch({ kind: 'source_unavailable', during, error });
      return null;
    }
  }

  #background(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#options.fatal(error instanceof Error ? error : new Error(String(error)));
  }

  #pauseLoop(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(TICK_MS, resolve);
      this.#wakeLoop = () => {
        cancel();
        resolve();
      };
    });
  }
}
