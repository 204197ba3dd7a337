/** The ledger as plain data: markers and moves of each shard, totals of each tenant and tracker. */
import { RECORDS_MEASURES, RECORDS_TRACKER } from '../ledger/keys.ts';
import { type AccountName, type LedgerTools, type Move, SHARDS, type Totals } from '../ledger/port.ts';

export type ShardState = {
  readonly shard: number;
  readonly life: string;
  readonly counter: number;
  readonly replayedAt: number;
  readonly afterLoss: boolean;
  readonly clockS: number;
  /** The lease, as it is stored; null: free. Read after the rest. */
  readonly owner: string | null;
  /** By `<topic id>/<partition>`. */
  readonly markers: Readonly<Record<string, number>>;
  /** Oldest first; `at`: the change counter, us. */
  readonly moves: readonly Move[];
  readonly movesForgotten: number;
};

type Amounts = Readonly<Record<string, number>>;

export type AccountState = AccountName & {
  readonly shard: number;
  readonly live: number;
  readonly admissions: number;
  readonly total: Amounts;
  readonly overflow: Amounts;
  readonly retired: Amounts;
  /** By label, of the first measure. */
  readonly unattributed: Amounts;
};

/** Sorted by shard; by tenant and tracker. */
export type LedgerState = { readonly shards: readonly ShardState[]; readonly accounts: readonly AccountState[] };

const MEASURES = ['bytes', 'spans'];

const named = (tracker: string, vector: readonly number[]): Amounts => {
  const names = tracker === RECORDS_TRACKER ? RECORDS_MEASURES : MEASURES;
  return Object.fromEntries(vector.map((value, i) => [names[i] ?? String(i), value]));
};

const accountState = (shard: number, { tenant, tracker }: AccountName, totals: Totals): AccountState => {
  const { live, admissions, total, overflow, retired, unattributed } = totals;
  return {
    tenant,
    tracker,
    shard,
    live,
    admissions,
    total: named(tracker, total),
    overflow: named(tracker, overflow),
    retired: named(tracker, retired),
    unattributed: Object.fromEntries(unattributed),
  };
};

type OwnerOf = (shard: number) => Promise<string | null>;

const readShard = async (ledger: Cuts, shard: number, ownerOf: OwnerOf): Promise<LedgerState> => {
  const cut = await ledger.cut(shard);
  if (cut === null) return { shards: [], accounts: [] };
  const { markers, ...view } = cut.view;
  const { moves, movesForgotten } = cut;
  const owner = await ownerOf(shard);
  return {
    shards: [{ shard, ...view, owner, markers: Object.fromEntries(markers), moves, movesForgotten }],
    accounts: cut.accounts.map(({ totals, ...name }) => accountState(shard, name, totals)),
  };
};

const byName = (a: AccountName, b: AccountName): number =>
  a.tenant === b.tenant ? (a.tracker < b.tracker ? -1 : 1) : a.tenant < b.tenant ? -1 : 1;

type Cuts = Pick<LedgerTools, 'cut'>;

/** Each shard as of one instant, shard after shard. Rejects as the ledger does. */
export const readState = async (ledger: Cuts, ownerOf: OwnerOf): Promise<LedgerState> => {
  const states: LedgerState[] = [];
  for (let shard = 0; shard < SHARDS; shard += 1) states.push(await readShard(ledger, shard, ownerOf));
  return {
    shards: states.flatMap(({ shards }) => shards),
    accounts: states.flatMap(({ accounts }) => accounts).sort(byName),
  };
};
