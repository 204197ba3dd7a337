/** What the worker holds of one partition in the present assignment. */
import type { TopicPartition } from '../kafka/port.ts';
import { markerField } from './keys.ts';
import { PartitionPending, type RowCount } from './pending.ts';
import type { MarkerField } from './port.ts';
import { SHARDS } from './port.ts';

/** `positioning`: nothing of it is gathered. `active`: pending[s] is what [markers[s], next) adds to shard s. */
export type Phase = 'positioning' | 'active';

/** The broker does not know the topic or the partition; or what the ledger and the log say do not fit together. */
export type Doubt = 'none' | 'missing' | 'misfit';

type Untold = {
  /** The offsets that no shard or not every shard could read. */
  gap: { from: number; to: number } | null;
  /** Shards whose state is lost. */
  readonly lost: Set<number>;
  /** Offsets that the log lost. */
  truncated: number;
};

export class PartitionState {
  readonly topic: string;
  readonly partition: number;
  phase: Phase = 'positioning';
  /** Moves whenever what was gathered is dropped or gathering must pause: a loop that awaited compares it. */
  epoch = 0;
  /** Empty until the topic's id was asked for the first time. */
  topicId = '';
  /** The topic was seen here under another id: its records count from the first one. */
  remade = false;
  /** Everything below it is gathered. */
  next = 0;
  /** Everything below it may be flushed: the topic had this id after it was gathered. */
  flushTo = 0;
  /** As last acknowledged, by shard; whole numbers. Meaningless until `hasMarkers`. */
  readonly markers = new Float64Array(SHARDS);
  hasMarkers = false;
  /** Where the next segment of a shard begins if none is queued: the marker, or the end of the section on its way. */
  readonly floors = new Float64Array(SHARDS);
  readonly pending: PartitionPending;
  /** The group's commit as last read or written; -1 for none. */
  commit = -1;
  /** The farthest commit that was made for this topic id, as far as this process knows: the ledger has been there. The group may lose it. */
  reached = -1;
  /** First offset that was ever counted; null where nobody knows any more. */
  start: number | null = null;
  /** Offsets below it had been counted before, in a ledger that lost them. */
  replayUntil = 0;
  /** End of the log as the last batch said. */
  logEnd = 0;
  /** Timestamp of the last record gathered, ms since 1970; 0 for none. */
  lastTimestampMs = 0;
  /** What positioning waits to see pass, the rounds in a row that saw it, and since when (monotonic ms). */
  doubt: Doubt = 'none';
  doubtRounds = 0;
  doubtSinceMs = 0;
  /** What was found out while positioning, to be told once it is certain to have been dealt with. */
  readonly untold: Untold = { gap: null, lost: new Set(), truncated: 0 };

  constructor(where: TopicPartition, count: RowCount) {
    this.pending = new PartitionPending(count);
    this.topic = where.topic;
    this.partition = where.partition;
  }

  get field(): MarkerField {
    return markerField(this.topicId, this.partition);
  }

  get lowestMarker(): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const marker of this.markers) if (marker < lowest) lowest = marker;
    return lowest;
  }

  get highestMarker(): number {
    let highest = Number.NEGATIVE_INFINITY;
    for (const marker of this.markers) if (marker > highest) highest = marker;
    return highest;
  }

  /** Forgets what was gathered; it must be positioned again. */
  drop(): void {
    this.pending.clear();
    this.hasMarkers = false;
    this.suspend();
  }

  /** Keeps what was gathered, and gathers nothing until positioned. */
  suspend(): void {
    this.phase = 'positioning';
    this.epoch++;
  }

  /** Goes on from these markers with nothing gathered. */
  adopt(markers: ArrayLike<number>): void {
    this.pending.clear();
    this.markers.set(markers);
    this.floors.set(markers);
    this.hasMarkers = true;
    this.next = this.lowestMarker;
    this.flushTo = this.next;
  }

  /** Everything below `offset` is gathered. No segment reaches over the offset where a replay ends. */
  advance(offset: number): void {
    if (offset <= this.next) return;
    if (this.next < this.replayUntil && offset >= this.replayUntil) this.#endReplay();
    this.next = offset;
  }

  #endReplay(): void {
    this.pending.sealAll(this.replayUntil);
    for (let shard = 0; shard < SHARDS; shard++) this.floors[shard] = Math.max(this.floors[shard]!, this.replayUntil);
  }
}

export const partitionKey = (where: TopicPartition): string => `${where.partition}/${where.topic}`;

/** What we write beside an offset: which topic it is of, and where counting began. */
export type CommitNote = {
  readonly topicId: string;
  readonly start: number | null;
  /** An operator moved it down: the group had got further than the start, even where the commit stands there. */
  readonly sought?: boolean;
};

export const COMMIT_FORMAT = 1;

export const commitMetadata = (note: CommitNote): string =>
  JSON.stringify({
    v: COMMIT_FORMAT,
    id: note.topicId,
    start: note.start,
    ...(note.sought === true ? { sought: true } : {}),
  });

/** Null where the metadata is not ours: an operator's reset, or another client's. */
export const readCommitMetadata = (metadata: string): CommitNote | null => {
  try {
    const { v, id, start, sought } = JSON.parse(metadata) as Readonly<Record<string, unknown>>;
    if (v !== COMMIT_FORMAT || typeof id !== 'string') return null;
    const from = typeof start === 'number' && Number.isSafeInteger(start) ? start : null;
    return { topicId: id, start: from, ...(sought === true ? { sought } : {}) };
  } catch {
    return null;
  }
};
