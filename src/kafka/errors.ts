/** What can go wrong with the log, as far as a caller can act on it. */

/** The cluster cannot be reached, answers too late, or answers that it cannot now. Nothing is known of the effect: try again. */
export class SourceUnavailable extends Error {
  readonly code = 'SOURCE_UNAVAILABLE';
  override readonly name = 'SourceUnavailable';
}

/** The generation is not the group's, or not ours any more: nothing was committed, and `assigned` or `lost` follows or has come. */
export class StaleGeneration extends Error {
  readonly code = 'STALE_GENERATION';
  override readonly name = 'StaleGeneration';
}

/** A fault of our own making or of the configuration that waiting does not mend. The message says the way out. */
export class SourceBroken extends Error {
  readonly code = 'SOURCE_BROKEN';
  override readonly name = 'SourceBroken';
}

/** What a handler meets at a heartbeat when the rest of its batch is none of its business. It must leave the handler. */
export class Rebalancing extends Error {
  readonly code = 'REBALANCING';
  override readonly name = 'Rebalancing';
}

/** Nobody has taken what was to be written, or nobody has said so. The message says the way out where there is one. */
export class Undelivered extends Error {
  readonly code = 'UNDELIVERED';
  override readonly name = 'Undelivered';
  /** The topic takes no batch as large as this one. */
  readonly isTooLarge: boolean;

  constructor(message: string, options: ErrorOptions & { readonly isTooLarge?: boolean } = {}) {
    super(message, options);
    this.isTooLarge = options.isTooLarge ?? false;
  }
}

export const UNDECODABLE_REASONS = ['corrupt', 'too_large', 'unknown_codec', 'old_format'] as const;
export type UndecodableReason = (typeof UNDECODABLE_REASONS)[number];

/** Bytes of a record batch that cannot be turned into records. */
export class Undecodable extends Error {
  readonly code = 'UNDECODABLE';
  override readonly name = 'Undecodable';
  readonly reason: UndecodableReason;

  constructor(reason: UndecodableReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Kafka's own name of an error ("NOT_COORDINATOR_FOR_GROUP"), as kafkajs hangs it on what it throws; empty for none. */
export const protocolError = (error: unknown): string => {
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    const { type } = e as { type?: unknown };
    if (typeof type === 'string') return type;
  }
  return '';
};

export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));
