/** Calls to a ledger in few words, for the contract's tests. */
import { createHash } from 'node:crypto';
import { expect } from '@jest/globals';
import { type DemandWindow, markOf } from '../../src/ledger/demand.ts';
import type {
  Account,
  AccountName,
  CommitCall,
  CommitReply,
  Entry,
  Leases,
  Ledger,
  LedgerReader,
  LedgerTools,
  MarkerField,
  Section,
  SectionOutcome,
  SeriesRow,
  Totals,
} from '../../src/ledger/port.ts';

export type AnyLedger = Ledger & LedgerReader & LedgerTools & Leases;

export const SHARD = 5;
export const TRACKER = 'cost-attribution';
export const field = (partition: number): MarkerField => `topic/${partition}` as MarkerField;

/** The id of a series by its name, as the worker makes them: from a hash. */
export const idOf = (name: string | number): Buffer =>
  createHash('sha256').update(`series ${name}`).digest().subarray(0, 16);
export const keyOf = (name: string | number): Buffer => Buffer.from(`key of ${name}`);

/** What a worker sends of series that it saw overflow. */
export const marksOf = (...names: readonly (string | number)[]): Buffer => {
  const marks = Buffer.alloc(2 * names.length);
  names.forEach((name, i) => {
    marks.writeUInt16LE(markOf(idOf(name)), 2 * i);
  });
  return marks;
};

export const account = (tenant: string, more: Partial<Account> = {}): Account => ({
  tenant,
  tracker: TRACKER,
  measures: 2,
  limit: 100,
  staleS: 30,
  ...more,
});

export type Amounts = Readonly<Record<string, readonly number[]>>;

/** What is added to an account: amounts by series name. Series among `known` come without their key. */
export const entry = (
  accountIndex: number,
  amounts: Amounts,
  more: {
    readonly known?: readonly string[];
    readonly overflow?: readonly number[];
    readonly unattributed?: Readonly<Record<string, number>>;
  } = {},
): Entry => ({
  account: accountIndex,
  ids: Buffer.concat(Object.keys(amounts).map(idOf)),
  values: Float64Array.from(Object.values(amounts).flat()),
  keys: Object.keys(amounts).map((name) => (more.known?.includes(name) ? null : keyOf(name))),
  overflow: more.overflow === undefined ? null : Float64Array.from(more.overflow),
  ...(more.unattributed === undefined ? {} : { unattributed: new Map(Object.entries(more.unattributed)) }),
});

export const section = (
  partition: number,
  from: number,
  to: number,
  entries: readonly Entry[] = [],
  replay = false,
): Section => ({ field: field(partition), from, to, replay, entries });

export const call = (
  accounts: readonly Account[],
  sections: readonly Section[],
  more: Partial<CommitCall> = {},
): CommitCall => ({ shard: SHARD, maxTenants: 100, accounts, sections, ...more });

export type Answered = Extract<CommitReply, { kind: 'answered' }>;

/** Commits, expects an answer, and that afterwards every account named still adds up. */
export const commit = async (ledger: AnyLedger, what: CommitCall): Promise<Answered> => {
  const reply = await ledger.commit(what);
  expect(reply.kind).toBe('answered');
  for (const name of what.accounts) await expectConserved(ledger, what.shard, name);
  return reply as Answered;
};

/** Commits the section [from, from + 1) of partition 0 with one entry for one account. */
export const add = (
  ledger: AnyLedger,
  from: number,
  to: Account,
  amounts: Amounts,
  more: Parameters<typeof entry>[2] = {},
): Promise<Answered> => commit(ledger, call([to], [section(0, from, from + 1, [entry(0, amounts, more)])]));

/** A shard with partition 0 at 0. */
export const begin = async (ledger: AnyLedger, shard = SHARD): Promise<void> => {
  await ledger.setMarkers(shard, [[field(0), 0]], 'first');
};

export const kinds = (reply: Answered): SectionOutcome['kind'][] => reply.sections.map(({ kind }) => kind);

export type WholeAccount = {
  readonly totals: Totals;
  readonly changedAt: number;
  readonly demand: readonly DemandWindow[];
  readonly rows: readonly SeriesRow[];
};

/** All pages of an account, each series once. */
export const read = async (
  ledger: AnyLedger,
  shard: number,
  name: AccountName,
  pageRows = 1000,
): Promise<WholeAccount | null> => {
  const rows = new Map<string, SeriesRow>();
  let cursor: string | null = null;
  for (;;) {
    const page = await ledger.page(shard, name, cursor, pageRows);
    if (page === null) return null;
    for (const row of page.rows) rows.set(row.id.toString('hex'), row);
    const { totals, changedAt, demand } = page;
    if (page.cursor === null) return { totals, changedAt, demand, rows: [...rows.values()] };
    cursor = page.cursor;
  }
};

/** What the series of these names hold, in their order; undefined for one that is not there. */
export const valuesOf = async (
  ledger: AnyLedger,
  name: AccountName,
  ...series: string[]
): Promise<(readonly number[] | undefined)[]> => {
  const rows = (await read(ledger, SHARD, name))?.rows ?? [];
  return series.map((one) => rows.find(({ id }) => id.equals(idOf(one)))?.values);
};

export const sum = (vectors: readonly (readonly number[])[], measures: number): number[] =>
  Array.from({ length: measures }, (_, i) => vectors.reduce((all, vector) => all + vector[i]!, 0));

/** series + overflow + retired == total, live is what is there, and every series has its key. */
export const expectConserved = async (ledger: AnyLedger, shard: number, name: AccountName): Promise<void> => {
  const whole = await read(ledger, shard, name);
  if (whole === null) return;
  const { total, overflow, retired, live } = whole.totals;
  expect(sum([...whole.rows.map(({ values }) => values), overflow, retired], total.length)).toEqual(total);
  expect(live).toBe(whole.rows.length);
  const keys = await ledger.keys(shard, name, Buffer.concat(whole.rows.map(({ id }) => id)));
  expect(keys.filter((key) => key === null)).toEqual([]);
  const { ids } = await ledger.liveIds(shard, name);
  expect(ids.length).toBe(16 * live);
};
