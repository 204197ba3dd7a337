/**
 * The seam to the log: what the rest of the house knows of Kafka. Types only, so that another client can take the
 * place of kafkajs, and so that the simulation can take the place of both.
 *
 * Offsets are JavaScript numbers (Kafka's stay far below 2^53). `offset` of a commit, `next` of a batch and `end` of a
 * log are always the NEXT offset, never the last one.
 */

export type TopicPartition = { readonly topic: string; readonly partition: number };

export type RecordHeader = { readonly name: string; readonly value: Uint8Array };

/**
 * One record. Its buffers are slices of the fetch buffer: they belong to the client, may be read until the batch
 * handler has settled, and must be copied before they are kept.
 */
export type SourceRecord = {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** In wire order, names as written, the same name possibly several times. */
  readonly headers: readonly RecordHeader[];
};

/** The part of one fetch that belongs to one partition, in ascending order of offset. */
export type SourceBatch = TopicPartition & {
  /** The offset that was asked for. Records below it may lie in the batch (compression keeps whole batches) and are left out. */
  readonly fetchedFrom: number;
  /** The offset to go on at: behind the last record and behind control or aborted records. */
  readonly next: number;
  /** The end of the partition that is readable, as the broker said with this fetch. */
  readonly highWatermark: number;
  /** Empty when only control, aborted or compacted-away records lie in [fetchedFrom, next). */
  readonly records: readonly SourceRecord[];
};

export type BatchControl = {
  /** Keeps the membership alive; cheap to call often. Its errors (a rebalance) must leave the handler. */
  heartbeat(): Promise<void>;
  /** False once a rebalance or a seek has made the rest of this batch none of our business. */
  isCurrent(): boolean;
};

/**
 * What the owner of a source hears. Synchronous calls arrive in order and must not throw; `batch` is awaited, one
 * call at a time for a partition.
 */
export type SourceHandler = {
  /**
   * A generation began, with all partitions now held. The previous assignment is over, also where partitions stay:
   * pauses are over, and nothing is fetched of a partition before it was sought.
   */
  assigned(generation: number, partitions: readonly TopicPartition[]): void;
  /** The membership was lost (left, evicted, connection gone); another `assigned` follows if the source recovers. */
  lost(): void;
  /**
   * Answers when the batch was taken (`true`: fetching goes on at `next`) or not (`false`: it will be fetched again from
   * where the last seek or taken batch left off). A rejection other than by a heartbeat is a fault: the source stops
   * with `failed`.
   */
  batch(batch: SourceBatch, control: BatchControl): Promise<boolean>;
  /** The broker says that the position lies outside of the log (retention, a truncated or another log). Nothing was changed. */
  outOfRange(where: TopicPartition): void;
  /** The source has stopped for good and cannot recover by itself: the process must not look alive. */
  failed(error: Error): void;
};

/** What the group holds for a partition. `offset` is null where it has no commit (also for Kafka's negative ones). */
export type GroupCommit = TopicPartition & { readonly offset: number | null; readonly metadata: string };

export type CommitRequest = TopicPartition & { readonly offset: number; readonly metadata: string };

/** `id` is the topic's id as hex without dashes; the topic's name stands in where a broker has no topic ids. */
export type TopicInfo = { readonly name: string; readonly id: string; readonly partitions: number };

export type LogRange = TopicPartition & { readonly start: number; readonly end: number };

/**
 * A member of the group. Calls that ask the cluster reject with a `SourceUnavailable` when it cannot be reached in
 * time; the caller tries again.
 */
export type RecordSource = {
  /** Connects, joins and goes on by itself through every outage until `stop`. Resolves when the first attempt to connect was begun. */
  start(handler: SourceHandler): Promise<void>;
  /** Stops fetching at once; the handler hears nothing more. Membership, commits and cluster calls still work. */
  quiesce(): Promise<void>;
  /** Leaves the group and disconnects. */
  stop(): Promise<void>;
  seek(where: TopicPartition, offset: number): void;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  /** The group's commits, as the coordinator holds them now. */
  commits(partitions: readonly TopicPartition[]): Promise<readonly GroupCommit[]>;
  /** Commits all or nothing of the request in that generation, else rejects with `StaleGeneration` or `SourceUnavailable`. */
  commit(generation: number, requests: readonly CommitRequest[]): Promise<void>;
  /** `names` may be patterns, which begin with `^`. A topic that does not exist is left out. */
  topics(names: readonly string[]): Promise<readonly TopicInfo[]>;
  ranges(partitions: readonly TopicPartition[]): Promise<readonly LogRange[]>;
  clusterId(): Promise<string>;
};
