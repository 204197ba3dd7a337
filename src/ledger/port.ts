/**
 * The ledger: durable totals and the positions that they stand for, moved together. Two implementations, Redis and
 * memory, pass one contract suite (test/contract). The protocol, with the reasons: docs/ledger.md.
 *
 * Everything is divided into SHARDS by tenant. All state of a shard is lost or kept together, and every call below
 * that names a shard is atomic: it takes effect as a whole or not at all, and one that was sent twice has the effect
 * of one. A call that rejects with `LedgerUnavailable` may or may not have taken effect.
 *
 * Amounts are non-negative integers below 2^53, a vector per series whose length and meaning the tracker decides.
 */

import type { DemandWindow } from './demand.ts';

/** Part of the ledger's format: it can never change without a migration. */
export const SHARDS = 64;
export const LEDGER_FORMAT = 1;
/** Bytes of a series id: the first of a SHA-256 over the series key. */
export const SERIES_ID_BYTES = 16;

/** `<topic id>/<partition>`: the name of a partition's marker in every shard. */
export type MarkerField = string & { readonly __brand: 'MarkerField' };

/** A tracker of a tenant, with what is in force for it by the caller's configuration. */
export type Account = {
  readonly tenant: string;
  readonly tracker: string;
  /** Length of the vector of amounts. */
  readonly measures: number;
  /** Live series that it may have; 0: everything overflows. */
  readonly limit: number;
  /** Seconds of shard clock after which a series that was not refreshed is stale. */
  readonly staleS: number;
  /** What the caller saw overflow, as marks of demand.ts, 2 bytes each. Taken in with anything else that the call adds. */
  readonly demand?: Buffer;
};

/** What one section adds to one account. */
export type Entry = {
  /** Index into the accounts of the call. */
  readonly account: number;
  /** Series ids, 16 bytes each, none twice. */
  readonly ids: Buffer;
  /** For each id its vector of amounts, one after the other. */
  readonly values: Float64Array;
  /** For each id its series key, or null where the caller believes the series to be in the ledger. */
  readonly keys: readonly (Buffer | null)[];
  /** What the caller diverted to overflow by itself; null for nothing. */
  readonly overflow: Float64Array | null;
  /** For each label the sum of the first measure, in series and in overflow, where its value is `__missing__`. */
  readonly unattributed?: ReadonlyMap<string, number>;
};

/** What the records in [from, to) of one partition add to one shard. `to` == `from`: a look. */
export type Section = {
  readonly field: MarkerField;
  readonly from: number;
  readonly to: number;
  /** It lies below the group's commit: its effects may have been shown before the ledger lost them. */
  readonly replay: boolean;
  readonly entries: readonly Entry[];
};

export type CommitCall = {
  readonly shard: number;
  /** Tenants that the shard may hold per tracker; those beyond it are counted under `overflowTenant(shard)`. */
  readonly maxTenants: number;
  /** Every account that an entry names, once. */
  readonly accounts: readonly Account[];
  /** At most one for each partition. */
  readonly sections: readonly Section[];
};

export type SectionOutcome =
  /** Now, by this call. Also the answer to a look whose marker is the stored one. */
  | { readonly kind: 'applied'; readonly marker: number }
  /** The stored marker is at `to` or beyond: by an earlier sending of this call, or by someone else. */
  | { readonly kind: 'already'; readonly marker: number }
  /** The stored marker is neither `from` nor at `to` or beyond. */
  | { readonly kind: 'not-applied'; readonly marker: number }
  /** The shard does not have the marker. */
  | { readonly kind: 'absent' }
  /** These series came without a key and are not in the ledger: send the section again with their keys. */
  | {
      readonly kind: 'keys-needed';
      readonly marker: number;
      readonly missing: readonly { account: number; ids: Buffer }[];
    };

export type AccountState = {
  readonly live: number;
  /** Series that could still be created: max(0, limit - live). 0 where `tenantRefused`. */
  readonly room: number;
  /** Series ever created here. Changes whenever the set of live series may have gained one. */
  readonly admissions: number;
  /** Ids of this call that were added to overflow, 16 bytes each. */
  readonly overflowed: Buffer;
  /** The tenant had no place in the shard: its amounts were added to the shard's overflow tenant. */
  readonly tenantRefused: boolean;
};

export type CommitReply =
  /** The shard has no state at all: set up, lost, or never there. Nothing was written. */
  | { readonly kind: 'absent' }
  | {
      readonly kind: 'answered';
      readonly life: string;
      readonly counter: number;
      /** In the order of the call. */
      readonly sections: readonly SectionOutcome[];
      readonly accounts: readonly AccountState[];
    };

/** Where a shard stands. */
export type ShardView = {
  /** Random, made with the shard: another life is another ledger. */
  readonly life: string;
  /** The change counter: a hybrid clock in microseconds, max(counter + 1, server time), never the server's clock alone. */
  readonly counter: number;
  /** The change counter as it was at the last replay; 0 where there was none. */
  readonly replayedAt: number;
  /** The shard was made in the place of one that was lost: a marker that it lacks belongs at the group's commit, not at the partition's start. */
  readonly afterLoss: boolean;
  /** Seconds that the shard has lived while calls came. */
  readonly clockS: number;
  readonly markers: ReadonlyMap<MarkerField, number>;
};

export type Totals = {
  readonly live: number;
  readonly admissions: number;
  /** Vectors of the account's measures. total == sum of the series + overflow + retired, at every instant. */
  readonly total: readonly number[];
  readonly overflow: readonly number[];
  readonly retired: readonly number[];
  /** By label, of the first measure: what came, ever, without a value for it. */
  readonly unattributed: ReadonlyMap<string, number>;
};

export type SeriesRow = {
  readonly id: Buffer;
  /** Shard clock, s. */
  readonly lastSeenS: number;
  /** The change counter of the commit that admitted it, in whole seconds. */
  readonly birthS: number;
  readonly values: readonly number[];
};

export type AccountPage = {
  readonly view: ShardView;
  /** The change counter at the account's last change: equal on all pages of an account that was read at rest. */
  readonly changedAt: number;
  readonly totals: Totals;
  /** What overflowed lately; empty for nothing. Oldest first. */
  readonly demand: readonly DemandWindow[];
  readonly rows: readonly SeriesRow[];
  /** Give it to the next call; null at the end. A row may come twice. */
  readonly cursor: string | null;
};

/** Why a marker was moved otherwise than by a commit. `seek`, `forget`: by an operator. */
export const MOVE_CAUSES = ['gap', 'truncated', 'seek', 'forget'] as const;
export type MoveCause = (typeof MOVE_CAUSES)[number];

/** What a marker jumped over: up, and the records in between are not counted; down, and they are counted again. */
export type Move = {
  /** The change counter, us. */
  readonly at: number;
  readonly field: MarkerField;
  readonly from: number | null;
  readonly to: number | null;
  readonly why: MoveCause;
};

/** A shard's totals, with all that tells which records they stand for; of one instant. */
export type ShardCut = {
  readonly view: ShardView;
  /** Oldest first. */
  readonly moves: readonly Move[];
  /** Older moves that nobody knows any more. */
  readonly movesForgotten: number;
  readonly accounts: readonly (AccountName & { readonly totals: Totals })[];
};

export type AccountName = { readonly tenant: string; readonly tracker: string };

export type Creation = 'no' | 'first' | 'after-loss';

/** What was found out about the server before the first flush. */
export type Finding = { readonly severity: 'refuse' | 'warn'; readonly text: string };

export type Identity = { readonly clusterId: string; readonly groupId: string };

/** Totals, markers, identity: what the worker needs. */
export type Ledger = {
  /** Looks at the server: version, eviction policy, persistence, commands. Empty: nothing to say. */
  examine(): Promise<readonly Finding[]>;
  /** Binds this object and the prefix to an installation, or rejects with `LedgerRefused`: another one's, or another format. */
  claim(identity: Identity): Promise<void>;
  /** Partitions of a topic when its id was first seen: the given number where nobody has said one before. */
  firstSight(topicId: string, partitions: number): Promise<number>;
  commit(call: CommitCall): Promise<CommitReply>;
  /** Null where the shard has no state. */
  view(shard: number): Promise<ShardView | null>;
  /**
   * Sets markers where they are absent and answers the view after it. Where the shard has no state: `no` answers null
   * and writes nothing, `first` makes it, `after-loss` makes it and notes why.
   */
  setMarkers(
    shard: number,
    markers: readonly (readonly [MarkerField, number])[],
    create: Creation,
  ): Promise<ShardView | null>;
  /**
   * Moves a marker from `expected` (null: absent) to `to` (also down; null: takes it away), or not at all, and notes
   * why among the shard's moves. Answers the stored marker after it.
   */
  move(
    shard: number,
    field: MarkerField,
    expected: number | null,
    to: number | null,
    why: MoveCause,
  ): Promise<number | null>;
  /** All live ids of an account and the admissions count that they stand for (read again if it changed while reading). */
  liveIds(shard: number, account: AccountName): Promise<{ readonly admissions: number; readonly ids: Buffer }>;
  /** Tenants that the shard holds for a tracker. */
  tenants(shard: number, tracker: string): Promise<readonly string[]>;
  /** Retires every series of the shard (a gap in a replay made what was shown unreachable): amounts move to `retired`, series are born again. In bounded steps; resolves when done. */
  retireAll(shard: number): Promise<void>;
  /** Forgets the shard as a whole, so that a new life begins at the next `setMarkers(create)`. For `ledger.on_loss`. */
  forgetShard(shard: number): Promise<void>;
  close(): Promise<void>;
};

/** What publishing needs. */
export type LedgerReader = {
  view(shard: number): Promise<ShardView | null>;
  /** Accounts changed after `since` (a change counter), and the view they belong to. */
  changes(
    shard: number,
    since: number,
  ): Promise<{ readonly view: ShardView; readonly accounts: readonly AccountName[] } | null>;
  /** A page of about `count` series. Null: the shard or the account is gone. */
  page(shard: number, account: AccountName, cursor: string | null, count: number): Promise<AccountPage | null>;
  /** Series keys of the ids; null for a series that is gone. */
  keys(shard: number, account: AccountName, ids: Buffer): Promise<readonly (Buffer | null)[]>;
  /** One bounded step of a purge: looks at about `count` series, retires the stale ones. Cursor null: the pass is over. */
  purge(
    shard: number,
    account: AccountName,
    staleS: number,
    cursor: string | null,
    count: number,
  ): Promise<{ readonly cursor: string | null; readonly purged: number }>;
  /** Removes an account without series that has not changed for `retentionS` of shard clock; its totals go to the shard's. Answers whether it did. */
  removeAccount(shard: number, account: AccountName, retentionS: number): Promise<boolean>;
};

/** What an operator needs beside that. */
export type LedgerTools = {
  /** As `claim`, but binds nothing: rejects with `LedgerRefused` where there is no ledger, another's, or another format. */
  join(identity: Identity): Promise<void>;
  /** Null: the shard has no state. Rejects with `LedgerUnavailable` where the accounts do not stay the same for long enough. */
  cut(shard: number): Promise<ShardCut | null>;
  /** Retires series by their ids (16 bytes each), whatever their age; answers how many were there. */
  retireSeries(shard: number, account: AccountName, ids: Buffer): Promise<number>;
};

export type LeaseAnswer =
  | {
      readonly kind: 'taken';
      /** The former holder had released it to this replica by name. */
      readonly released: boolean;
      /** The change counter that the take wrote: a shard that stands before it has lost the take. */
      readonly counter: number;
    }
  | { readonly kind: 'held' | 'absent' };

/** Who publishes what, and who is alive. Times by the server's clock. */
export type Leases = {
  /** Notes that the replica is alive, and answers all that were within `withinMs`, sorted. */
  signIn(replica: string, withinMs: number): Promise<readonly string[]>;
  signOut(replica: string): Promise<void>;
  /** Moves the change counter. */
  take(shard: number, replica: string, token: string, leaseMs: number): Promise<LeaseAnswer>;
  /** Moves the change counter. False: the lease is not ours any more. */
  renew(shard: number, token: string, leaseMs: number): Promise<boolean>;
  /** Gives the lease up, to a replica by name (for `leaseMs`, during which nobody else can take it) or to nobody. */
  release(shard: number, token: string, to: string | null, leaseMs: number): Promise<void>;
  /** For each shard whether its lease could be taken by this replica now. */
  free(replica: string, shards: readonly number[]): Promise<readonly boolean[]>;
};

/** The server cannot be reached, answers too late, or answers that it cannot now (loading, read-only, out of memory). Try again. */
export class LedgerUnavailable extends Error {
  readonly code = 'LEDGER_UNAVAILABLE';
  override readonly name = 'LedgerUnavailable';
}

/** Another installation's ledger, another format, or a server that must not hold a ledger. The message says the way out. */
export class LedgerRefused extends Error {
  readonly code = 'LEDGER_REFUSED';
  override readonly name = 'LedgerRefused';
}

/** What cannot be: a sum beyond 2^53, an unreadable value. The process must stop. */
export class LedgerBroken extends Error {
  readonly code = 'LEDGER_BROKEN';
  override readonly name = 'LedgerBroken';
}
