/**
 * What the memory ledger holds for a shard. Rows are never changed, only replaced; a state or an account is changed
 * only by the generation that made it, else copied first. So a snapshot is a reference, and costs nothing until the
 * next write.
 */
import type { DemandWindow } from './demand.ts';
import { accountMember } from './keys.ts';
import type { AccountName, AccountPage, MarkerField, Move, MoveCause, SeriesRow, ShardView, Totals } from './port.ts';

export type MemoryRow = SeriesRow & {
  /** Order of admission in the account: what cursors count by. */
  readonly order: number;
  readonly key: Buffer;
};

export type MemoryAccount = {
  generation: number;
  readonly name: AccountName;
  readonly measures: number;
  changedAt: number;
  /** Shard clock, s. */
  changedClockS: number;
  admissions: number;
  total: number[];
  overflow: number[];
  retired: number[];
  /** Replaced, never changed. */
  unattributed: ReadonlyMap<string, number>;
  /** Replaced, never changed. */
  demand: readonly DemandWindow[];
  /** Where the next sweep of a commit begins: behind the row of this order. */
  sweptTo: number;
  /** By the id in hex. */
  rows: Map<string, MemoryRow>;
};

export type MemoryLease = {
  readonly kind: 'held' | 'released';
  /** The token, or the replica that it was released to. */
  readonly by: string;
  readonly untilUs: number;
};

export type MemoryShard = {
  generation: number;
  readonly installation: string;
  readonly life: string;
  readonly afterLoss: boolean;
  counter: number;
  replayedAt: number;
  clockUs: number;
  /** Server time of the last commit. */
  calledAtUs: number;
  markers: Map<MarkerField, number>;
  /** Oldest first; replaced, never changed. */
  moves: readonly Move[];
  movesForgotten: number;
  /** By `accountMember`. */
  accounts: Map<string, MemoryAccount>;
  lease: MemoryLease | null;
};

/** Notes of moves that a shard keeps. */
const MOVES_KEPT = 1000;

export const newShard = (
  stamp: Pick<MemoryShard, 'generation' | 'installation' | 'life'>,
  afterLoss: boolean,
  nowUs: number,
): MemoryShard => ({
  ...stamp,
  afterLoss,
  counter: nowUs,
  replayedAt: 0,
  clockUs: 0,
  calledAtUs: nowUs,
  markers: new Map(),
  moves: [],
  movesForgotten: 0,
  accounts: new Map(),
  lease: null,
});

export const copyShard = (shard: MemoryShard, generation: number): MemoryShard => ({
  ...shard,
  generation,
  markers: new Map(shard.markers),
  accounts: new Map(shard.accounts),
});

/** The account for writing, made where it is absent, copied where a snapshot may hold it. */
export const writableAccount = (shard: MemoryShard, name: AccountName, measures: number): MemoryAccount => {
  const member = accountMember(name);
  const found = shard.accounts.get(member);
  if (found?.generation === shard.generation) return found;
  const account =
    found === undefined
      ? emptyAccount(name, measures, shard.generation)
      : {
          ...found,
          generation: shard.generation,
          total: [...found.total],
          overflow: [...found.overflow],
          retired: [...found.retired],
          rows: new Map(found.rows),
        };
  shard.accounts.set(member, account);
  return account;
};

const emptyAccount = (name: AccountName, measures: number, generation: number): MemoryAccount => ({
  generation,
  name: { tenant: name.tenant, tracker: name.tracker },
  measures,
  changedAt: 0,
  changedClockS: 0,
  admissions: 0,
  total: zeros(measures),
  overflow: zeros(measures),
  retired: zeros(measures),
  unattributed: new Map(),
  demand: [],
  sweptTo: 0,
  rows: new Map(),
});

export const zeros = (measures: number): number[] => new Array<number>(measures).fill(0);

export const addTo = (sum: number[], values: ArrayLike<number>): void => {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
};

/** The one clock of everything that a shard writes: it rises also where the server's time steps back. */
export const nextCounter = (shard: MemoryShard, nowUs: number): number => Math.max(shard.counter + 1, nowUs);

export const clockS = (shard: MemoryShard): number => Math.floor(shard.clockUs / 1e6);

export const touch = (shard: MemoryShard, account: MemoryAccount): void => {
  account.changedAt = shard.counter;
  account.changedClockS = clockS(shard);
};

/** Moves a row's amounts to `retired`. */
export const retire = (account: MemoryAccount, id: string, row: MemoryRow): void => {
  account.rows.delete(id);
  addTo(account.retired, row.values);
};

/** The rows admitted after `order`, at most `count` of them, and where to go on (null: nowhere). */
export const rowsAfter = (
  account: MemoryAccount,
  order: number,
  count: number,
): { readonly rows: [string, MemoryRow][]; readonly last: number | null } => {
  const rows: [string, MemoryRow][] = [];
  for (const entry of account.rows) {
    if (entry[1].order <= order) continue;
    if (rows.length === count) return { rows, last: rows[count - 1]![1].order };
    rows.push(entry);
  }
  return { rows, last: null };
};

export const viewOf = (shard: MemoryShard): ShardView => ({
  life: shard.life,
  counter: shard.counter,
  replayedAt: shard.replayedAt,
  afterLoss: shard.afterLoss,
  clockS: clockS(shard),
  markers: new Map(shard.markers),
});

export const totalsOf = (account: MemoryAccount): Totals => ({
  live: account.rows.size,
  admissions: account.admissions,
  total: [...account.total],
  overflow: [...account.overflow],
  retired: [...account.retired],
  unattributed: account.unattributed,
});

export const pageOf = (
  shard: MemoryShard,
  account: MemoryAccount,
  cursor: string | null,
  count: number,
): AccountPage => {
  const { rows, last } = rowsAfter(account, Number(cursor ?? 0), count);
  return {
    view: viewOf(shard),
    changedAt: account.changedAt,
    totals: totalsOf(account),
    demand: account.demand,
    rows: rows.map(([, { id, lastSeenS, birthS, values }]) => ({ id, lastSeenS, birthS, values })),
    cursor: last === null ? null : String(last),
  };
};

/** Moves a marker from `expected` to `to`, or not at all; answers where it stands then. */
export const moveMarker = (
  shard: MemoryShard,
  field: MarkerField,
  expected: number | null,
  to: number | null,
  why: MoveCause,
  nowUs: number,
): number | null => {
  const from = shard.markers.get(field) ?? null;
  if (from !== expected || from === to) return from;
  if (to === null) shard.markers.delete(field);
  else shard.markers.set(field, to);
  shard.counter = nextCounter(shard, nowUs);
  shard.movesForgotten += Number(shard.moves.length >= MOVES_KEPT);
  shard.moves = [...shard.moves.slice(1 - MOVES_KEPT), { at: shard.counter, field, from, to, why }];
  return to;
};
