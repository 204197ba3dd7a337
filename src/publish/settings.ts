/** What the publisher is told by its owner. */
import type { Clock } from '../ledger/clock.ts';
import type { AccountName, Leases, LedgerReader, MarkerField } from '../ledger/port.ts';

export type PublishSettings = {
  /** In force for the account: places for series, seconds of shard clock until a series is stale. */
  account(account: AccountName): { readonly limit: number; readonly staleS: number };
  /** Label names of the account's dimensions. */
  dimensionLabels(account: AccountName): readonly string[];
  /** Names of a tracker's measures, in the order of its vectors; an empty one is kept and not shown. */
  measures(tracker: string): readonly string[];
};

export type PublishLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

export type PublishOptions = {
  /** Names this process; never used by another, also not by its successor. */
  readonly replica: string;
  /** A lease without renewal; everything about ownership is in proportion to it. */
  readonly leaseMs: number;
  /** Pause between two looks at the owned shards. */
  readonly readEveryMs: number;
  /** How long a series shows 0 to scrapers after its birth. */
  readonly holdMs: number;
  readonly fullReadEveryMs: number;
  /** Series of one page. */
  readonly pageSeries: number;
  readonly purgeEveryMs: number;
  /** Shard clock after which an account without series is removed. */
  readonly tenantRetentionS: number;
  /** A shard that could show nothing newer for that long is alerted. */
  readonly alertAfterMs: number;
  /** Ledger calls at the same time, for each of: takes and releases, readings. Looks and renewals are all sent at once. */
  readonly width: number;
};

export const PUBLISH_DEFAULTS = {
  leaseMs: 15_000,
  readEveryMs: 1_000,
  holdMs: 75_000,
  fullReadEveryMs: 600_000,
  pageSeries: 500,
  purgeEveryMs: 60_000,
  tenantRetentionS: 7 * 86_400,
  alertAfterMs: 300_000,
  width: 8,
} as const satisfies Omit<PublishOptions, 'replica'>;

export type PublishDeps = {
  readonly reader: LedgerReader;
  readonly leases: Leases;
  readonly clock: Clock;
  /** A token that nobody else makes. */
  readonly token: () => string;
  /**
   * The group's commits, as the coordinator holds them now, of EVERY partition of the topics that are consumed now;
   * below 0 where there is none. May reject: then nothing newer is shown.
   */
  readonly commits: () => Promise<ReadonlyMap<MarkerField, number>>;
  readonly settings: PublishSettings;
  readonly log: PublishLog;
  /** Hears of what cannot be: the process must stop. */
  readonly fatal?: (error: Error) => void;
};
