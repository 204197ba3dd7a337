/**
 * The way from pending into the ledger: one lane for each shard. A lane has at most ONE call on its way, and one whose
 * answer was lost is sent again, unchanged, until it is known; only then is the next one made. So an answer always
 * tells about the newest state that this process could have caused, and nothing is ever added twice.
 */
import type { Admission } from './admission.ts';
import { type Clock, sleep } from './clock.ts';
import type { PartitionState } from './partition.ts';
import type { Segment } from './pending.ts';
import {
  type CommitReply,
  type Ledger,
  LedgerUnavailable,
  type MarkerField,
  type SectionOutcome,
  SHARDS,
} from './port.ts';
import { type BuiltCall, buildCall, learn, type Part } from './sections.ts';
import type { DropCause, WatchWorker } from './worker-events.ts';

const FIRST_RETRY_MS = 50;
const LAST_RETRY_MS = 2_000;

type LanePart = Part & { readonly state: PartitionState; readonly epoch: number };

/** `turn`: the partition that the next call begins with, so that none waits for another's ever new segments. */
type Lane = { busy: boolean; lastCallMs: number; turn: number };

export type LanesOptions = {
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly admission: Admission;
  /** A call that carries so many rows takes no further segment. */
  readonly callRows: number;
  readonly maxTenantsPerShard: number;
  /** Partitions whose pending may be flushed. */
  readonly active: () => Iterable<PartitionState>;
  /** What was gathered of the partition is not what the ledger goes on from. */
  readonly drop: (
    state: PartitionState,
    cause: DropCause,
    shard: number,
    expected: number,
    stored: number | null,
  ) => void;
  /** A call was answered: less may be pending. */
  readonly settled: () => void;
  /** A lane that had something to send has sent it. */
  readonly freed: (shard: number) => void;
  readonly watch: WatchWorker;
  /** A lane met what cannot be: the process must stop. */
  readonly fatal: (error: unknown) => void;
};

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes: Lane[] = Array.from({ length: SHARDS }, () => ({
    busy: false,
    lastCallMs: Number.NEGATIVE_INFINITY,
    turn: 0,
  }));
  /** How many unresolved calls carry a partition. */
  readonly #carried = new Map<MarkerField, number>();
  #waiting: (() => void)[] = [];
  #stopped = false;

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** Lets these lanes send what lies below `flushTo` of the active partitions. A lane that is at it takes more with it. */
  flush(shards: readonly number[]): void {
    for (const shard of shards) this.#start(shard, () => this.#drain(shard));
  }

  /** No call of the lane is on its way. */
  isFree(shard: number): boolean {
    return !this.#lanes[shard]!.busy;
  }

  /** Looks at every shard that had no call for `idleMs`. */
  look(idleMs: number): void {
    const [any] = this.#options.active();
    if (any === undefined) return;
    const before = this.#options.clock.monotonicMs() - idleMs;
    for (let shard = 0; shard < SHARDS; shard++) {
      if (this.#lanes[shard]!.lastCallMs <= before) this.#start(shard, () => this.#look(shard));
    }
  }

  get isIdle(): boolean {
    return !this.#lanes.some(({ busy }) => busy);
  }

  /** Resolves when no lane has anything to send. */
  async idle(): Promise<void> {
    while (!this.#stopped && !this.isIdle) await this.#change();
  }

  /** Resolves when no call that carries one of the partitions is unresolved. */
  async resolved(fields: readonly MarkerField[]): Promise<void> {
    while (!this.#stopped && fields.some((field) => this.#carried.has(field))) {
      await this.#change();
    }
  }

  /** Gives up on unanswered calls: the process ends. */
  stop(): void {
    this.#stopped = true;
    this.#wake();
  }

  #start(shard: number, work: () => Promise<void>): void {
    const lane = this.#lanes[shard]!;
    if (lane.busy || this.#stopped) return;
    lane.busy = true;
    work()
      .catch((error: unknown) => this.#options.fatal(error))
      .finally(() => this.#wake());
  }

  /** Free again in the very turn in which nothing was left: a flush that comes later finds the lane free and starts it. */
  async #drain(shard: number): Promise<void> {
    let calls = 0;
    try {
      for (let parts = this.#collect(shard); parts.length > 0 && !this.#stopped; parts = this.#collect(shard)) {
        await this.#call(shard, parts);
        calls++;
      }
    } finally {
      this.#lanes[shard]!.busy = false;
    }
    if (calls > 0) this.#options.freed(shard);
  }

  /** Then drains: a flush that found the lane looking was passed over. */
  async #look(shard: number): Promise<void> {
    const parts: LanePart[] = [];
    for (const state of this.#options.active()) {
      const marker = state.markers[shard]!;
      parts.push({
        state,
        epoch: state.epoch,
        field: state.field,
        from: marker,
        to: marker,
        replay: false,
        segment: null,
      });
    }
    try {
      if (parts.length > 0) await this.#call(shard, parts);
    } catch (error) {
      this.#lanes[shard]!.busy = false;
      throw error;
    }
    await this.#drain(shard);
  }

  /** At most one section for each partition: its first segment, or the way to it. */
  #collect(shard: number): LanePart[] {
    const parts: LanePart[] = [];
    let rows = 0;
    for (const state of this.#inTurn(shard)) {
      const from = state.markers[shard]!;
      const segment = state.pending.first(shard);
      let to = state.flushTo;
      let carried: Segment | null = null;
      if (segment !== undefined && segment.from > from) to = Math.min(to, segment.from);
      else if (segment !== undefined && segment.to !== null && segment.to <= to) {
        if (rows > 0 && rows + segment.rows > this.#options.callRows) continue;
        carried = segment;
        to = segment.to;
      } else if (segment !== undefined) continue;
      if (to <= from) continue;
      rows += carried?.rows ?? 0;
      const replay = from < state.replayUntil;
      parts.push({ state, epoch: state.epoch, field: state.field, from, to, replay, segment: carried });
      state.floors[shard] = Math.max(state.floors[shard]!, to);
    }
    return parts;
  }

  #inTurn(shard: number): readonly PartitionState[] {
    const states = [...this.#options.active()];
    const first = this.#lanes[shard]!.turn++ % states.length;
    return first > 0 ? [...states.slice(first), ...states.slice(0, first)] : states;
  }

  async #call(shard: number, parts: readonly LanePart[]): Promise<void> {
    const { admission, maxTenantsPerShard, clock, watch } = this.#options;
    for (const { field } of parts) this.#carried.set(field, (this.#carried.get(field) ?? 0) + 1);
    try {
      const built = buildCall(shard, maxTenantsPerShard, parts, admission);
      const began = clock.monotonicMs();
      const reply = await this.#send(built);
      if (reply === null) return;
      const now = clock.monotonicMs();
      this.#lanes[shard]!.lastCallMs = now;
      learn(built, reply, admission, now);
      this.#settle(shard, parts, reply);
      this.#options.settled();
      const series = built.call.sections.reduce((sum, s) => sum + s.entries.reduce((n, e) => n + e.keys.length, 0), 0);
      watch({ kind: 'committed', shard, sections: parts.length, series, seconds: (now - began) / 1000 });
      const replayed = built.call.sections.filter((section) => section.replay).length;
      if (replayed > 0) watch({ kind: 'replayed', sections: replayed });
    } finally {
      for (const { field } of parts) {
        const left = this.#carried.get(field)! - 1;
        if (left === 0) this.#carried.delete(field);
        else this.#carried.set(field, left);
      }
      this.#wake();
    }
  }

  /** Sends until the answer is known. Null: stopped. */
  async #send({ call }: BuiltCall): Promise<CommitReply | null> {
    for (let delay = FIRST_RETRY_MS; !this.#stopped; delay = Math.min(delay * 2, LAST_RETRY_MS)) {
      try {
        return await this.#options.ledger.commit(call);
      } catch (error) {
        if (!(error instanceof LedgerUnavailable)) throw error;
        this.#options.watch({ kind: 'ledger_unavailable', error });
      }
      await sleep(this.#options.clock, delay);
    }
    return null;
  }

  #settle(shard: number, parts: readonly LanePart[], reply: CommitReply): void {
    parts.forEach((part, index) => {
      const { state, from, to } = part;
      if (state.epoch !== part.epoch && !state.hasMarkers) return;
      if (state.field !== part.field || state.markers[shard] !== from) return;
      const outcome: SectionOutcome | null = reply.kind === 'absent' ? null : reply.sections[index]!;
      if (outcome === null) this.#options.drop(state, 'shard_absent', shard, from, null);
      else if (outcome.kind === 'absent') this.#options.drop(state, 'marker_absent', shard, from, null);
      else if (outcome.kind === 'keys-needed') {
        const series = outcome.missing.reduce((sum, { ids }) => sum + ids.length / 16, 0);
        this.#options.watch({ kind: 'keys_needed', shard, series });
      } else if (outcome.kind === 'not-applied' || outcome.marker !== to) {
        this.#options.drop(state, 'marker_moved', shard, from, outcome.marker);
      } else {
        state.markers[shard] = to;
        if (part.segment !== null && state.pending.first(shard) === part.segment) state.pending.settle(shard);
      }
    });
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
