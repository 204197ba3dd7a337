/**
 * The worker: holds the partitions that the source assigns, has their batches gathered (gatherer.ts), and settles what
 * was gathered in the ledger. One loop (ticker.ts) says when; when what is flushed, and how it is sent, say flusher.ts
 * and lanes.ts; where a partition begins, positioner.ts; what the group is told, committer.ts. The loop and the lanes
 * change state; what the source tells only sets flags and swaps assignments.
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
import type { RecordSource, SourceHandler, TopicPartition } from '../kafka/port.ts';
import { Admission } from './admission.ts';
import { BOUNDS, type Bounds } from './bounds.ts';
import { type Clock, within } from './clock.ts';
import { Committer } from './committer.ts';
import { Conversation } from './conversation.ts';
import type { OnLoss } from './decide-position.ts';
import { Flusher } from './flusher.ts';
import { FullAccounts } from './full-accounts.ts';
import { type Gather, Gatherer } from './gatherer.ts';
import { shardOf } from './keys.ts';
import { Lanes } from './lanes.ts';
import { PartitionState, partitionKey } from './partition.ts';
import type { Ledger } from './port.ts';
import { Positioner } from './positioner.ts';
import { Ticker } from './ticker.ts';
import type { DropCause, WatchWorker } from './worker-events.ts';

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

const FULL_SHARD_MS = 60_000;

export class Worker {
  readonly #options: WorkerOptions;
  readonly #conversation: Conversation;
  readonly #committer: Committer;
  readonly #gatherer: Gatherer;
  readonly #ticker: Ticker;
  readonly #lanes: Lanes;
  readonly #flusher: Flusher;
  readonly #positioner: Positioner;
  readonly #admission = new Admission(shardOf);
  readonly #fullAccounts: FullAccounts;
  #partitions = new Map<string, PartitionState>();
  #generation = -1;
  #lastCommitsMs = 0;
  #failed = false;

  constructor(options: WorkerOptions) {
    this.#options = options;
    const bounds = options.bounds ?? BOUNDS;
    const active = () => this.#active();
    const drop = this.#drop.bind(this);
    const fatal = this.#fail.bind(this);
    const generation = () => this.#generation;
    const partitions = () => this.#partitions.values();
    const wake = () => this.#ticker.wake();
    this.#ticker = new Ticker({ clock: options.clock, work: (nowMs) => this.#tick(nowMs), failed: fatal });
    this.#conversation = new Conversation(options.watch);
    const endsEarly = (state: PartitionState, end: number) =>
      drop(state, 'out_of_range', null, state.highestMarker, end);
    this.#committer = new Committer({ ...options, conversation: this.#conversation, active, generation, endsEarly });
    this.#gatherer = new Gatherer({ ...options, bounds, admission: this.#admission, partitions, pressing: wake });
    const { rows } = this.#gatherer;
    this.#lanes = new Lanes({
      ...options,
      callRows: bounds.callRows,
      admission: this.#admission,
      active,
      drop,
      fatal,
      settled: () => this.#gatherer.relieve(),
      freed: (shard) => {
        if (rows.byShard[shard]! >= bounds.pressingRows) wake();
      },
    });
    this.#flusher = new Flusher({
      ...options,
      conversation: this.#conversation,
      lanes: this.#lanes,
      rows,
      bounds,
      isFull: () => this.#gatherer.holdsTooManyBytes(),
      active,
      drop,
    });
    this.#fullAccounts = new FullAccounts({ ...options, admission: this.#admission });
    this.#positioner = new Positioner({
      ...options,
      resolved: (fields) => this.#lanes.resolved(fields),
      partitions,
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
      batch: (batch, control) => {
        const state = this.#partitions.get(partitionKey(batch));
        return state === undefined ? Promise.resolve(false) : this.#gatherer.batch(state, batch, control);
      },
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
    this.#ticker.start();
  }

  /**
   * Ends gathering, flushes and commits what was gathered, for at most `withinMs`. What is left is dropped: it will be
   * read again. The source must be quiet, and still a member.
   */
  async drain(withinMs: number): Promise<void> {
    this.#endGathering();
    const work = this.#ticker.ended().then(async () => {
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
    this.#endGathering();
    this.#lanes.stop();
    this.#positioner.stop();
  }

  get partitions(): Iterable<PartitionState> {
    return this.#partitions.values();
  }

  get pendingRows(): number {
    return this.#gatherer.rows.total;
  }

  get pendingBytes(): number {
    return this.#gatherer.pendingBytes;
  }

  /** Time during which gathering was held up, up to now. */
  get pausedMs(): number {
    return this.#gatherer.pausedMs;
  }

  get isPaused(): boolean {
    return this.#gatherer.isPaused;
  }

  // ---- what the source tells

  #assigned(generation: number, partitions: readonly TopicPartition[]): void {
    const before = this.#partitions;
    this.#generation = generation;
    this.#partitions = new Map();
    for (const where of partitions) {
      const key = partitionKey(where);
      const state = before.get(key) ?? new PartitionState(where, this.#gatherer.rows);
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

  // ---- the loop

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
    this.#gatherer.relieve();
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

  #endGathering(): void {
    this.#gatherer.stop();
    this.#ticker.stop();
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
}
