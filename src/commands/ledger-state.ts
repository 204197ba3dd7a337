/** The ledger as plain data: markers of each shard, totals of each tenant and tracker. */
import { RECORDS_MEASURES, RECORDS_TRACKER } from '../ledger/keys.ts';
import { type AccountName, type LedgerReader, SHARDS } from '../ledger/port.ts';

export type ShardState = {
  readonly shard: number;
  readonly life: string;
  readonly counter: number;
  readonly replayedAt: number;
  readonly afterLoss: boolean;
  readonly clockS: number;
  /** The lease, as it is stored; null: free. */
  readonly owner: string | null;
  /** By `<topic id>/<partition>`. */
  readonly markers: Readonly<Record<string, number>>;
};

type Amounts = Readonly<Record<string, number>>;

export type AccountState = AccountName & {
  readonly shard: number;
  readonly live: number;
  readonly admissions: number;
  readonly total: Amounts;
  readonly overflow: Amounts;
  readonly retired: Amounts;
};

/** Sorted by shard; by tenant and tracker. */
export type LedgerState = { readonly shards: readonly ShardState[]; readonly accounts: readonly AccountState[] };

const MEASURES = ['bytes', 'spans'];

const named = (tracker: string, vector: readonly number[]): Amounts => {
  const names = tracker === RECORDS_TRACKER ? RECORDS_MEASURES : MEASURES;
  return Object.fromEntries(vector.map((value, i) => [names[i] ?? String(i), value]));
};

const readAccount = async (
  reader: LedgerReader,
  shard: number,
  account: AccountName,
): Promise<readonly AccountState[]> => {
  const page = await reader.page(shard, account, null, 1);
  if (page === null) return [];
  const { live, admissions, total, overflow, retired } = page.totals;
  const { tracker } = account;
  const amounts = {
    total: named(tracker, total),
    overflow: named(tracker, overflow),
    retired: named(tracker, retired),
  };
  return [{ ...account, shard, live, admissions, ...amounts }];
};

type OwnerOf = (shard: number) => Promise<string | null>;

const readShard = async (reader: LedgerReader, shard: number, ownerOf: OwnerOf): Promise<LedgerState> => {
  const changed = await reader.changes(shard, 0);
  if (changed === null) return { shards: [], accounts: [] };
  const { markers, ...view } = changed.view;
  const accounts: AccountState[] = [];
  for (const account of changed.accounts) accounts.push(...(await readAccount(reader, shard, account)));
  const owner = await ownerOf(shard);
  return { shards: [{ shard, ...view, owner, markers: Object.fromEntries(markers) }], accounts };
};

const byName = (a: AccountName, b: AccountName): number =>
  a.tenant === b.tenant ? (a.tracker < b.tracker ? -1 : 1) : a.tenant < b.tenant ? -1 : 1;

/** Shard after shard: exact of each, at slightly different times where the service runs. Rejects as the reader does. */
export const readState = async (reader: LedgerReader, ownerOf: OwnerOf): Promise<LedgerState> => {
  const states: LedgerState[] = [];
  for (let shard = 0; shard < SHARDS; shard += 1) states.push(await readShard(reader, shard, ownerOf));
  return {
    shards: states.flatMap(({ shards }) => shards),
    accounts: states.flatMap(({ accounts }) => accounts).sort(byName),
  };
};
