/**
 * Finds where to go on with partitions that are held and not active. Reads the group's commit FIRST and the markers
 * after it (a commit never runs ahead of the markers it was made from, so a commit above them means lost writes, and
 * not a race), decides (decide-position.ts), acts, and looks again until the answer is `go`.
 */
import type { GroupCommit, LogRange, RecordSource, TopicInfo } from '../kafka/port.ts';
import { type Clock, sleep } from './clock.ts';
import { decidePosition, type OnLoss, type PositionDecision, type SetMarker } from './decide-position.ts';
import { commitMetadata, type Doubt, type PartitionState, partitionKey, readCommitMetadata } from './partition.ts';
import type { Creation, Ledger, MarkerField, MoveCause, ShardView } from './port.ts';
import { SHARDS } from './port.ts';
import { isTemporary } from './temporary.ts';
import type { DropCause, WatchWorker } from './worker-events.ts';

export type PositionerOptions = {
  readonly source: RecordSource;
  readonly ledger: Ledger;
  /** All that the group consumes, whether partitions of them are held here or not. */
  readonly topics: readonly string[];
  readonly clock: Clock;
  readonly fromBeginning: boolean;
  readonly onLoss: OnLoss;
  readonly patienceMs: number;
  readonly watch: WatchWorker;
  readonly fatal: (error: Error) => void;
  /** Waits until no call of this process that carries one of them is unresolved. */
  readonly resolved: (fields: readonly MarkerField[]) => Promise<void>;
  readonly generation: () => number;
  /** Whether it is part of the present assignment. */
  readonly isHeld: (state: PartitionState) => boolean;
  /** Runs while no other conversation about commits goes on. */
  readonly exclusively: <T>(work: () => Promise<T>) => Promise<T>;
  readonly drop: (
    state: PartitionState,
    cause: DropCause,
    shard: number | null,
    expected: number,
    stored: number | null,
  ) => void;
  readonly activate: (state: PartitionState) => void;
  readonly partitions: () => Iterable<PartitionState>;
};

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;
const LOOK_AGAIN_MS = 500;

/** The ledger of this group was lost, and `ledger.on_loss` is `stop`. */
export class LedgerLost extends Error {
  readonly code = 'LEDGER_LOST';
  override readonly name = 'LedgerLost';
}

/** What was read of a partition, at one time. */
type Reading = { readonly state: PartitionState; readonly epoch: number; readonly info: TopicInfo };

export class Positioner {
  readonly #options: PositionerOptions;
  #running = false;
  #again = false;
  #stopped = false;

  constructor(options: PositionerOptions) {
    this.#options = options;
  }

  /** Some partition may have to be positioned. */
  wake(): void {
    this.#again = true;
    if (this.#running || this.#stopped) return;
    this.#running = true;
    this.#run().catch((error: unknown) =>
      this.#options.fatal(error instanceof Error ? error : new Error(String(error))),
    );
  }

  stop(): void {
    this.#stopped = true;
  }

  async #run(): Promise<void> {
    let delay = FIRST_RETRY_MS;
    while (!this.#stopped) {
      this.#again = false;
      const todo = this.#todo();
      if (todo.length === 0) break;
      let pauseMs = 0;
      try {
        const done = await this.#round(todo);
        delay = FIRST_RETRY_MS;
        if (!done) pauseMs = LOOK_AGAIN_MS;
      } catch (error) {
        if (!isTemporary(error)) throw error;
        this.#tell(error);
        // Nobody looked meanwhile: what was doubtful has not been seen to stay.
        for (const state of todo) state.doubt = 'none';
        pauseMs = delay;
        delay = Math.min(delay * 2, LAST_RETRY_MS);
      }
      if (pauseMs > 0 && !this.#stopped) await sleep(this.#options.clock, pauseMs);
    }
    this.#running = false;
    if (this.#again && this.#todo().length > 0) this.wake();
  }

  #todo(): PartitionState[] {
    return [...this.#options.partitions()].filter(({ phase }) => phase === 'positioning');
  }

  /** Answers whether every partition got further; false asks for a pause before the next round. */
  async #round(todo: readonly PartitionState[]): Promise<boolean> {
    const { source, ledger, resolved } = this.#options;
    await resolved(todo.filter(({ topicId }) => topicId !== '').map(({ field }) => field));
    const infos = new Map((await source.topics(this.#topicsOfGroup())).map((info) => [info.name, info]));
    const readings = todo.flatMap((state): Reading[] => {
      const info = infos.get(state.topic);
      if (info === undefined || state.partition >= info.partitions) {
        this.#wait(state, 'missing', 'the topic, or the partition, does not exist at the broker that was asked');
        return [];
      }
      this.#identify(state, info);
      return [{ state, epoch: state.epoch, info }];
    });
    if (readings.length === 0) return false;
    return this.#options.exclusively(async () => {
      const generation = this.#options.generation();
      const commits = await this.#commits(infos);
      const views = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => ledger.view(shard)));
      const ranges = new Map(
        (await source.ranges(readings.map(({ state }) => state))).map((range) => [partitionKey(range), range]),
      );
      const progress = this.#hasProgress(commits, infos);
      let done = true;
      for (const reading of readings) {
        const range = ranges.get(partitionKey(reading.state));
        if (!this.#isCurrent(reading)) continue;
        if (range === undefined || !(await this.#settle(reading, generation, commits, views, range, progress)))
          done = false;
      }
      return done;
    });
  }

  #topicsOfGroup(): string[] {
    return [...new Set([...this.#options.topics, ...[...this.#options.partitions()].map(({ topic }) => topic)])];
  }

  /** Of all partitions of all topics, also of those that others hold: whether the group has got anywhere decides whether a missing shard is a new one. */
  async #commits(infos: ReadonlyMap<string, TopicInfo>): Promise<ReadonlyMap<string, GroupCommit>> {
    const all = [...infos.values()].flatMap(({ name, partitions }) =>
      Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
    );
    return new Map((await this.#options.source.commits(all)).map((commit) => [partitionKey(commit), commit]));
  }

  #hasProgress(commits: ReadonlyMap<string, GroupCommit>, infos: ReadonlyMap<string, TopicInfo>): boolean {
    return [...commits.values()].some(({ topic, offset, metadata }) => {
      const note = readCommitMetadata(metadata);
      return (
        offset !== null &&
        note !== null &&
        note.topicId === infos.get(topic)?.id &&
        note.start !== null &&
        (offset > note.start || note.sought === true)
      );
    });
  }

  /** A topic made again under the same name is another log: nothing that was gathered or known is of it. */
  #identify(state: PartitionState, info: TopicInfo): void {
    if (state.topicId === info.id) return;
    if (state.topicId !== '') {
      if (state.hasMarkers) this.#options.drop(state, 'topic_changed', null, state.next, null);
      state.remade = true;
      state.start = null;
      state.commit = -1;
      state.reached = -1;
      state.replayUntil = 0;
    }
    state.topicId = info.id;
  }

  #isCurrent({ state, epoch }: Reading): boolean {
    return !this.#stopped && state.epoch === epoch && this.#options.isHeld(state);
  }

  async #settle(
    reading: Reading,
    generation: number,
    commits: ReadonlyMap<string, GroupCommit>,
    views: readonly (ShardView | null)[],
    range: LogRange,
    groupHasProgress: boolean,
  ): Promise<boolean> {
    const { state, info } = reading;
    const { onLoss, patienceMs, clock } = this.#options;
    const held = commits.get(partitionKey(state));
    const note = held === undefined ? null : readCommitMetadata(held.metadata);
    if (held !== undefined && note !== null && note.topicId !== info.id) state.remade = true;
    // Without a note it is an operator's, of the topic that had the name then.
    const isOurs = held?.offset != null && (note === null ? !state.remade : note.topicId === info.id);
    state.commit = isOurs ? held.offset! : -1;
    if (isOurs && note !== null) state.reached = Math.max(state.reached, held.offset!);
    // A group that lost its commit, or was moved back, is behind what this process knows.
    const farthest = Math.max(state.commit, state.reached);
    const commit = farthest < 0 ? null : { offset: farthest, start: note?.start ?? state.start };
    const decision = decidePosition({
      field: state.field,
      commit,
      views,
      log: range,
      newStart: await this.#newStart(state, info, range),
      groupHasProgress,
      onLoss,
      patienceOver:
        state.doubt === 'misfit' && state.doubtRounds > 1 && clock.monotonicMs() - state.doubtSinceMs >= patienceMs,
    });
    if (!this.#isCurrent(reading)) return true;
    if (decision.kind !== 'look-again') state.doubt = 'none';
    return this.#act(reading, generation, decision, commit, range);
  }

  async #newStart(state: PartitionState, info: TopicInfo, range: LogRange): Promise<number> {
    if (this.#options.fromBeginning || state.remade) return range.start;
    const firstSight = await this.#options.ledger.firstSight(info.id, info.partitions);
    return state.partition < firstSight ? range.end : range.start;
  }

  /** Answers false where the next round should wait a little. */
  async #act(
    reading: Reading,
    generation: number,
    decision: PositionDecision,
    commit: { offset: number; start: number | null } | null,
    range: LogRange,
  ): Promise<boolean> {
    const { state, info } = reading;
    const { ledger, source, watch } = this.#options;
    const { topic, partition, field } = state;
    switch (decision.kind) {
      case 'go':
        this.#go(state, decision.markers, commit, range);
        return true;
      case 'look-again':
        this.#wait(state, 'misfit', decision.why);
        return false;
      case 'stop':
        watch({ kind: 'ledger_loss', shards: decision.lost, stopped: true, topic, partition });
        throw new LedgerLost(
          `the ledger has lost ${decision.lost.length} of its shards (first: ${decision.lost[0]}) and ledger.on_loss is "stop": ` +
            'restore the ledger, or start with "continue" or "recount"',
        );
      case 'begin': {
        const metadata = commitMetadata({ topicId: info.id, start: decision.start });
        await ledger.firstSight(info.id, info.partitions);
        await source.commit(generation, [{ topic, partition, offset: decision.start, metadata }]);
        await this.#set(field, decision.markers);
        return true;
      }
      case 'restore':
        for (const shard of decision.lost) state.untold.lost.add(shard);
        await this.#set(field, decision.markers);
        return true;
      case 'gap':
        this.#noteGap(state, range.start, decision.records);
        for (const shard of decision.retire) await ledger.retireAll(shard);
        await this.#move(field, decision.moves, 'gap');
        return true;
      case 'truncated': {
        state.untold.truncated = Math.max(state.untold.truncated, decision.records);
        // The commit first: a crash in between leaves markers beyond the log's end, which is this case again.
        if (commit !== null && commit.offset > decision.end) {
          const metadata = commitMetadata({ topicId: info.id, start: commit.start });
          await source.commit(generation, [{ topic, partition, offset: decision.end, metadata }]);
          state.reached = decision.end;
        }
        await this.#move(field, decision.moves, 'truncated');
        return true;
      }
    }
  }

  #noteGap({ untold }: PartitionState, to: number, records: number): void {
    const from = to - records;
    untold.gap = { from: Math.min(untold.gap?.from ?? from, from), to: Math.max(untold.gap?.to ?? to, to) };
  }

  /** A call whose answer was lost may have done all that a later round would have told: so it is told at the end, once, or when the partition goes. */
  tellUntold({ topic, partition, untold }: PartitionState): void {
    const { watch } = this.#options;
    if (untold.lost.size > 0)
      watch({ kind: 'ledger_loss', shards: [...untold.lost], stopped: false, topic, partition });
    if (untold.gap !== null) watch({ kind: 'gap', records: untold.gap.to - untold.gap.from, topic, partition });
    if (untold.truncated > 0) watch({ kind: 'truncated', records: untold.truncated, topic, partition });
    untold.lost.clear();
    untold.gap = null;
    untold.truncated = 0;
  }

  /** What was gathered is kept if the ledger stands where we left it: whoever held the partition meanwhile settled nothing. */
  #go(
    state: PartitionState,
    markers: Float64Array,
    commit: { offset: number; start: number | null } | null,
    range: LogRange,
  ): void {
    const { topic, partition } = state;
    const farthest = commit?.offset ?? -1;
    const isUntouched =
      state.hasMarkers &&
      markers.every((marker, shard) => marker === state.markers[shard]) &&
      // Else what was gathered is a replay up to there, and is not cut there.
      farthest <= Math.max(state.replayUntil, state.lowestMarker);
    if (!isUntouched) state.adopt(markers);
    state.start = commit?.start ?? state.start;
    state.replayUntil = isUntouched ? Math.max(state.replayUntil, farthest) : Math.max(0, farthest);
    state.logEnd = range.end;
    this.#options.activate(state);
    this.tellUntold(state);
    this.#options.watch({ kind: 'positioned', next: state.next, commit: state.commit, topic, partition });
    const lost = farthest - state.lowestMarker;
    if (lost > 0) this.#options.watch({ kind: 'lost_writes', records: lost, topic, partition });
  }

  async #set(field: MarkerField, markers: readonly SetMarker[]): Promise<void> {
    await Promise.all(
      markers.map(({ shard, to, create }) =>
        this.#options.ledger.setMarkers(shard, [[field, to]], create satisfies Creation),
      ),
    );
  }

  async #move(
    field: MarkerField,
    moves: readonly { shard: number; expected: number; to: number }[],
    why: MoveCause,
  ): Promise<void> {
    const { ledger } = this.#options;
    await Promise.all(moves.map(({ shard, expected, to }) => ledger.move(shard, field, expected, to, why)));
  }

  #wait(state: PartitionState, doubt: Doubt, why: string): void {
    if (state.doubt !== doubt) {
      state.doubt = doubt;
      state.doubtRounds = 0;
      state.doubtSinceMs = this.#options.clock.monotonicMs();
      this.#options.watch({ kind: 'waiting', why, topic: state.topic, partition: state.partition });
    }
    state.doubtRounds++;
  }

  #tell(error: Error): void {
    const isLedger = 'code' in error && error.code === 'LEDGER_UNAVAILABLE';
    this.#options.watch(
      isLedger ? { kind: 'ledger_unavailable', error } : { kind: 'source_unavailable', during: 'positioning', error },
    );
  }
}
