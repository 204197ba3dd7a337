/**
 * What this process knows of the ledger's room: which series are there, which accounts and shards are full. It decides
 * what is sent as a series and what is diverted to overflow here, so that a stream of ever new series costs neither
 * Redis work nor memory, and it is only ever a saving: the ledger decides about every series that is sent.
 *
 * A series is diverted only by the full list of live ids of its account, read after an answer without room, and only
 * until an answer shows room or other admissions. One whose labels are those of the overflow itself, as a client may
 * choose them, is never sent: a label set has one meaning.
 */

import { isReservedTenant, overflowTenant } from '../attribution/reserved.ts';
import type { SeriesTable } from '../attribution/series-table.ts';
import { LocalDemand } from './demand.ts';
import type { Account, AccountName, AccountState } from './port.ts';
import { SERIES_ID_BYTES } from './port.ts';

const UNKNOWN = 0;
const KNOWN = 1;

/** An account without room, with the ids that live in it. */
type FullAccount = AccountName & {
  readonly shard: number;
  admissions: number;
  /** Null until they have been read. */
  live: ReadonlySet<string> | null;
  /** Changes with `live`, and with each window of demand: a slot that was looked up under another version is looked up again. */
  version: number;
};

/** A shard that takes no further tenant for a tracker, with the tenants that have a place. */
type FullShard = {
  readonly shard: number;
  readonly tracker: string;
  tenants: ReadonlySet<string> | null;
  readonly sinceMs: number;
};

/** What is remembered beside one series table, by its slots and accounts. */
class TableMemory {
  status = new Uint8Array(1024);
  /** Version of the full account under which a slot was found not to be live. */
  divertedAt = new Uint32Array(1024);
  readonly accounts: { readonly key: string; version: number; full: FullAccount | undefined; refusedTo: number }[] = [];

  reserve(slots: number): void {
    if (slots <= this.status.length) return;
    const capacity = Math.max(slots, this.status.length * 2);
    const status = new Uint8Array(capacity);
    status.set(this.status);
    this.status = status;
    const divertedAt = new Uint32Array(capacity);
    divertedAt.set(this.divertedAt);
    this.divertedAt = divertedAt;
  }
}

export type Placement =
  /** Send it as a series. */
  | 'series'
  /** Add it to the overflow of its account. */
  | 'overflow'
  /** Add it to the overflow of `refusedAccount`. */
  | 'refused';

export class Admission {
  readonly #memories = new WeakMap<SeriesTable, TableMemory>();
  readonly #full = new Map<string, FullAccount>();
  readonly #fullShards = new Map<string, FullShard>();
  /** Of accounts that overflowed lately. */
  readonly #demands = new Map<string, LocalDemand>();
  readonly #shardOf: (tenant: string) => number;
  readonly #scratch = Buffer.alloc(SERIES_ID_BYTES);
  #lastTable: SeriesTable | null = null;
  #lastMemory = new TableMemory();
  #version = 1;
  /** The account that takes what a refused tenant sends; set by `place` when it answers 'refused'. */
  refusedAccount = 0;

  constructor(shardOf: (tenant: string) => number) {
    this.#shardOf = shardOf;
  }

  place(table: SeriesTable, slot: number): Placement {
    const memory = this.#memoryOf(table);
    if (slot >= memory.status.length) memory.reserve(Math.max(table.size, slot + 1));
    if (memory.status[slot] === KNOWN) return 'series';
    if (table.isLikeOverflow(slot)) return 'overflow';
    if (this.#full.size === 0 && this.#fullShards.size === 0) return 'series';
    const account = this.#accountOf(table, memory, table.accountOf(slot));
    if (account.refusedTo >= 0) {
      this.refusedAccount = account.refusedTo;
      return 'refused';
    }
    const full = account.full;
    if (full === undefined || full.live === null) return 'series';
    if (memory.divertedAt[slot] === full.version) return 'overflow';
    table.copyId(slot, this.#scratch, 0);
    if (full.live.has(this.#scratch.toString('latin1', 0, SERIES_ID_BYTES))) return 'series';
    memory.divertedAt[slot] = full.version;
    this.#demands.get(account.key)?.add(this.#scratch);
    return 'overflow';
  }

  isKnown(table: SeriesTable, slot: number): boolean {
    const memory = this.#memoryOf(table);
    return slot < memory.status.length && memory.status[slot] === KNOWN;
  }

  setKnown(table: SeriesTable, slot: number, known: boolean): void {
    const memory = this.#memoryOf(table);
    memory.reserve(slot + 1);
    memory.status[slot] = known ? KNOWN : UNKNOWN;
  }

  /** Takes in what an answer says of an account. */
  note(shard: number, account: Account, state: AccountState, nowMs: number): void {
    const { tenant, tracker } = account;
    const name = { tenant, tracker };
    const key = accountKey(name);
    const full = this.#full.get(key);
    if (state.overflowed.length > 0 && !state.tenantRefused)
      this.#demandOf(key, account, nowMs)?.addAll(state.overflowed);
    if (state.tenantRefused) {
      const shardKey = `${shard}/${name.tracker}`;
      if (!this.#fullShards.has(shardKey)) {
        this.#fullShards.set(shardKey, { shard, tracker: name.tracker, tenants: null, sinceMs: nowMs });
      }
    } else if (full !== undefined && (state.room > 0 || (full.live !== null && full.admissions !== state.admissions))) {
      this.#full.delete(key);
      this.#version++;
    }
    if (!state.tenantRefused && state.room === 0 && state.overflowed.length > 0 && !this.#full.has(key)) {
      this.#full.set(key, { ...name, shard, admissions: state.admissions, live: null, version: ++this.#version });
    }
  }

  /** Full accounts whose live ids, and full shards whose tenants, have not been read yet. */
  unread(): { accounts: (AccountName & { shard: number })[]; shards: { shard: number; tracker: string }[] } {
    return {
      accounts: [...this.#full.values()].filter((full) => full.live === null),
      shards: [...this.#fullShards.values()].filter((full) => full.tenants === null),
    };
  }

  setLive(name: AccountName, admissions: number, ids: Buffer): void {
    const full = this.#full.get(accountKey(name));
    if (full === undefined) return;
    const live = new Set<string>();
    for (let at = 0; at < ids.length; at += SERIES_ID_BYTES) live.add(ids.toString('latin1', at, at + SERIES_ID_BYTES));
    full.live = live;
    full.admissions = admissions;
    full.version = ++this.#version;
  }

  setTenants(shard: number, tracker: string, tenants: readonly string[]): void {
    const full = this.#fullShards.get(`${shard}/${tracker}`);
    if (full === undefined) return;
    full.tenants = new Set(tenants);
    this.#version++;
  }

  /** Marks of what overflowed of the account and was not sent yet; undefined for none. */
  takeDemand(key: string): Buffer | undefined {
    const marks = this.#demands.get(key)?.take();
    return marks?.length ? marks : undefined;
  }

  /** The ledger has not taken in what was sent with a call. */
  resendDemand(name: AccountName): void {
    this.#demands.get(accountKey(name))?.resend();
  }

  /** Ends windows of demand: what goes on overflowing is marked again. Call it now and then. */
  turnDemand(nowMs: number): void {
    for (const [key, demand] of this.#demands) {
      const turn = demand.turn(nowMs);
      if (turn === 'same') continue;
      const full = this.#full.get(key);
      if (full !== undefined) full.version = ++this.#version;
      else if (turn === 'over') this.#demands.delete(key);
    }
  }

  #demandOf(key: string, { tenant, staleS }: Account, nowMs: number): LocalDemand | undefined {
    let demand = this.#demands.get(key);
    if (demand === undefined && !isReservedTenant(tenant)) {
      demand = new LocalDemand(staleS, nowMs);
      this.#demands.set(key, demand);
    }
    return demand;
  }

  /** Asks the ledger again about shards that have been full for longer than `ms`: tenants may have been removed. */
  forgetFullShards(nowMs: number, ms: number): void {
    for (const [key, full] of this.#fullShards) {
      if (nowMs - full.sinceMs < ms) continue;
      this.#fullShards.delete(key);
      this.#version++;
    }
  }

  #memoryOf(table: SeriesTable): TableMemory {
    if (table === this.#lastTable) return this.#lastMemory;
    let memory = this.#memories.get(table);
    if (memory === undefined) {
      memory = new TableMemory();
      this.#memories.set(table, memory);
    }
    this.#lastTable = table;
    this.#lastMemory = memory;
    return memory;
  }

  #accountOf(table: SeriesTable, memory: TableMemory, index: number): TableMemory['accounts'][number] {
    let account = memory.accounts[index];
    if (account === undefined) {
      account = { key: accountKey(table.accounts[index]!), version: 0, full: undefined, refusedTo: -1 };
      memory.accounts[index] = account;
    }
    if (account.version !== this.#version) {
      account.version = this.#version;
      account.full = this.#full.get(account.key);
      account.refusedTo = this.#refusal(table, index);
    }
    return account;
  }

  #refusal(table: SeriesTable, index: number): number {
    if (this.#fullShards.size === 0) return -1;
    const { tenant, tracker } = table.accounts[index]!;
    const shard = this.#shardOf(tenant);
    const full = this.#fullShards.get(`${shard}/${tracker}`);
    if (full === undefined || full.tenants === null || full.tenants.has(tenant)) return -1;
    const stand = overflowTenant(shard);
    return tenant === stand ? -1 : table.accountOf(table.reserved(stand, tracker, {}));
  }
}

/** Tracker names hold no NUL, so two accounts never share a key. */
export const accountKey = (name: AccountName): string => `${name.tracker}\0${name.tenant}`;
