/** How much may be pending in a shard, and how much of it one call carries. In rows: series times partitions. */
export type Bounds = {
  /** A segment of so many takes no further record: it becomes a section, and that is never split. */
  readonly segmentRows: number;
  /** A call of so many takes no further section. It blocks the ledger for as long as it lasts. */
  readonly callRows: number;
  /** A shard with so many is flushed early, not more than once a second. */
  readonly earlyRows: number;
  /** A shard with so many is flushed as soon as its lane is free. */
  readonly pressingRows: number;
  /** Gathering is held up while a shard has so many. */
  readonly mostRows: number;
};

/**
 * Redis takes 10,000 known series in 20 ms, and as many new ones in 50. Within a segment a series is one row however
 * often it comes; so long segments spare work, and 8,000 is as long as a call may block.
 */
export const BOUNDS: Bounds = {
  segmentRows: 8_000,
  callRows: 10_000,
  earlyRows: 16_000,
  pressingRows: 32_000,
  mostRows: 64_000,
};
