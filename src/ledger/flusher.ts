/** When what was gathered goes to the ledger, and which shards of it. */
import type { RecordSource, TopicPartition } from '../kafka/port.ts';
import type { Bounds } from './bounds.ts';
import type { Conversation } from './conversation.ts';
import type { Lanes } from './lanes.ts';
import type { PartitionState } from './partition.ts';
import type { RowCount } from './pending.ts';
import { SHARDS } from './port.ts';
import type { DropCause } from './worker-events.ts';

export type FlusherOptions = {
  readonly source: Pick<RecordSource, 'topics'>;
  readonly conversation: Conversation;
  readonly lanes: Lanes;
  readonly rows: RowCount;
  readonly bounds: Bounds;
  readonly flushIntervalMs: number;
  /** See `WorkerOptions`. */
  readonly unsettled?: (where: TopicPartition) => number;
  /** So much is pending over all shards that nothing more may be gathered. */
  readonly isFull: () => boolean;
  readonly active: () => Iterable<PartitionState>;
  readonly drop: (
    state: PartitionState,
    cause: DropCause,
    shard: number | null,
    expected: number,
    stored: number | null,
  ) => void;
};

const EARLY_MS = 1_000;
const ALL_SHARDS: readonly number[] = Array.from({ length: SHARDS }, (_, shard) => shard);

export class Flusher {
  readonly #options: FlusherOptions;
  #lastMs = 0;
  #lastEarlyMs = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
  }

  /** The first flush is an interval from now. */
  begin(nowMs: number): void {
    this.#lastMs = this.#lastEarlyMs = nowMs;
  }

  /** Flushes what is due. */
  async tick(nowMs: number): Promise<void> {
    const isTime = nowMs - this.#lastMs >= this.#options.flushIntervalMs;
    const shards = isTime ? ALL_SHARDS : this.#largeShards(nowMs);
    if (shards.length > 0) this.#lastEarlyMs = nowMs;
    if (isTime) this.#lastMs = nowMs;
    if (shards.length > 0) await this.flush(shards);
  }

  /**
   * Ends segments where their partitions are gathered to, asks for the topics' ids, and lets the lanes of these shards
   * send. A shard that still waits for its first segment to be taken keeps its open one: while the ledger is away,
   * segments grow instead of becoming ever more. `everything`: nothing stays open.
   */
  async flush(shards: readonly number[] | 'everything'): Promise<void> {
    const { source, conversation, lanes, active, drop } = this.#options;
    const gathered = [...active()].map((state) => {
      if (shards === 'everything') state.pending.sealAll(state.next);
      else state.pending.sealFirst(shards, state.next);
      const unsettled = this.#options.unsettled?.(state) ?? Number.POSITIVE_INFINITY;
      return { state, epoch: state.epoch, to: Math.min(state.next, unsettled) };
    });
    if (gathered.length === 0) return;
    const names = [...new Set(gathered.map(({ state }) => state.topic))];
    const topics = await conversation.ask('topics', source.topics(names));
    if (topics === null) return;
    const ids = new Map(topics.map(({ name, id }) => [name, id]));
    for (const { state, epoch, to } of gathered) {
      const id = ids.get(state.topic);
      if (state.epoch !== epoch || id === undefined) continue;
      if (id === state.topicId) state.flushTo = to;
      else drop(state, 'topic_changed', null, to, null);
    }
    lanes.flush(shards === 'everything' ? ALL_SHARDS : shards);
  }

  /** Those to be flushed before it is time; none but once a second while the source is away. */
  #largeShards(nowMs: number): readonly number[] {
    const { conversation, rows, bounds, lanes, isFull } = this.#options;
    const isTime = nowMs - this.#lastEarlyMs >= EARLY_MS;
    if (!isTime && conversation.isAway) return [];
    if (isTime && isFull()) return ALL_SHARDS;
    const least = isTime ? bounds.earlyRows : bounds.pressingRows;
    return ALL_SHARDS.filter((shard) => rows.byShard[shard]! >= least && lanes.isFree(shard));
  }
}
