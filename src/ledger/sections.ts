/** Segments -> one call of the ledger, and its answer -> what is known of the series. */
import { MEASURES, type SeriesTable } from '../attribution/series-table.ts';
import { type Admission, accountKey } from './admission.ts';
import type { Segment } from './pending.ts';
import type { Account, CommitCall, CommitReply, Entry, MarkerField, Section } from './port.ts';
import { SERIES_ID_BYTES } from './port.ts';

/** A section to be: a segment, or null for one that only moves (or looks at) a marker. */
export type Part = {
  readonly field: MarkerField;
  readonly from: number;
  readonly to: number;
  readonly replay: boolean;
  readonly segment: Segment | null;
};

/** Which slot each id of an entry stands for. */
type Origin = { readonly table: SeriesTable; readonly slots: readonly (readonly number[])[] };

export type BuiltCall = { readonly call: CommitCall; readonly origins: readonly (Origin | null)[] };

export const buildCall = (
  shard: number,
  maxTenants: number,
  parts: readonly Part[],
  admission: Admission,
): BuiltCall => {
  const accounts = new CallAccounts();
  const sections: Section[] = [];
  const origins: (Origin | null)[] = [];
  for (const { field, from, to, replay, segment } of parts) {
    const built = segment === null || segment.isEmpty ? null : entriesOf(segment, accounts, admission);
    sections.push({ field, from, to, replay: replay && built !== null, entries: built?.entries ?? [] });
    origins.push(built && { table: segment!.table, slots: built.slots });
  }
  const asking = accounts.all.map((account) => {
    const demand = admission.takeDemand(accountKey(account));
    return demand === undefined ? account : { ...account, demand };
  });
  return { call: { shard, maxTenants, accounts: asking, sections }, origins };
};

/** The accounts that a call names, in the order of their first entries. */
class CallAccounts {
  readonly all: Account[] = [];
  readonly #byName = new Map<string, number>();
  /** By the account of a table, so that its name is put together once, not for each section. */
  readonly #byTable = new Map<SeriesTable, Map<number, number>>();

  /** The place of a table's account in the call. Of two tables the later one says what is in force. */
  indexOf(table: SeriesTable, account: number): number {
    let indexes = this.#byTable.get(table);
    if (indexes === undefined) {
      indexes = new Map();
      this.#byTable.set(table, indexes);
    }
    let index = indexes.get(account);
    if (index === undefined) {
      const { tenant, tracker, measures, limit, staleS } = table.accounts[account]!;
      const name = accountKey({ tenant, tracker });
      index = this.#byName.get(name) ?? this.all.length;
      this.all[index] = { tenant, tracker, measures, limit, staleS };
      this.#byName.set(name, index);
      indexes.set(account, index);
    }
    return index;
  }
}

const entriesOf = (
  segment: Segment,
  accounts: CallAccounts,
  admission: Admission,
): { entries: Entry[]; slots: number[][] } => {
  const { table, diverted } = segment;
  const entries: Entry[] = [];
  const slots: number[][] = [];
  for (const [account, rows] of rowsByAccount(segment)) {
    const ids = Buffer.allocUnsafe(rows.length * SERIES_ID_BYTES);
    const values = new Float64Array(rows.length * MEASURES);
    const keys: (Buffer | null)[] = [];
    const slotOf: number[] = [];
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      const slot = segment.slots[row]!;
      slotOf.push(slot);
      table.copyId(slot, ids, i * SERIES_ID_BYTES);
      values[i * MEASURES] = segment.values[row * MEASURES]!;
      values[i * MEASURES + 1] = segment.values[row * MEASURES + 1]!;
      keys.push(admission.isKnown(table, slot) ? null : table.keyOf(slot));
    }
    const overflow = diverted?.get(account) ?? null;
    const unattributed = unattributedOf(segment, account, slotOf, values);
    const entry = { account: accounts.indexOf(table, account), ids, values, keys, overflow };
    entries.push(unattributed === null ? entry : { ...entry, unattributed });
    slots.push(slotOf);
  }
  return { entries, slots };
};

/** Also the accounts that have something in overflow alone. */
const rowsByAccount = ({ table, slots, rows, diverted }: Segment): Map<number, number[]> => {
  const byAccount = new Map<number, number[]>();
  for (let row = 0; row < rows; row++) {
    const account = table.accountOf(slots[row]!);
    const some = byAccount.get(account);
    if (some === undefined) byAccount.set(account, [row]);
    else some.push(row);
  }
  for (const account of diverted?.keys() ?? []) if (!byAccount.has(account)) byAccount.set(account, []);
  return byAccount;
};

/** Sums by label of what has no value for it, of the first measure; null where all has. */
const unattributedOf = (
  { table, divertedGaps }: Segment,
  account: number,
  slots: readonly number[],
  values: Float64Array,
): ReadonlyMap<string, number> | null => {
  const diverted = divertedGaps?.get(account);
  let byGaps = diverted === undefined ? null : new Map(diverted);
  for (let i = 0; i < slots.length; i++) {
    const gaps = table.gapsOf(slots[i]!);
    if (gaps === 0) continue;
    byGaps ??= new Map();
    byGaps.set(gaps, (byGaps.get(gaps) ?? 0) + values[i * MEASURES]!);
  }
  if (byGaps === null) return null;
  const unattributed = new Map<string, number>();
  for (const [gaps, sum] of byGaps)
    for (const label of table.gaps[gaps]!) unattributed.set(label, (unattributed.get(label) ?? 0) + sum);
  return unattributed;
};

/** Notes which series of an answered call are in the ledger, and which accounts have room. */
export const learn = (built: BuiltCall, reply: CommitReply, admission: Admission, nowMs: number): void => {
  const { call, origins } = built;
  if (reply.kind !== 'answered' || reply.sections.some(({ kind }) => kind !== 'applied'))
    for (const account of call.accounts) if (account.demand !== undefined) admission.resendDemand(account);
  if (reply.kind !== 'answered') return;
  const overflowed = reply.accounts.map((account) => idSet(account.overflowed));
  reply.accounts.forEach((state, index) => {
    admission.note(call.shard, call.accounts[index]!, state, nowMs);
  });
  reply.sections.forEach((outcome, index) => {
    const origin = origins[index];
    if (!origin) return;
    const { entries } = call.sections[index]!;
    if (outcome.kind === 'applied') {
      entries.forEach((entry, e) => {
        const refused = reply.accounts[entry.account]!.tenantRefused;
        const full = overflowed[entry.account]!;
        origin.slots[e]!.forEach((slot, i) => {
          if (entry.keys[i] !== null) admission.setKnown(origin.table, slot, !refused && !full.has(idAt(entry.ids, i)));
        });
      });
    } else if (outcome.kind === 'keys-needed') {
      const missing = new Map(outcome.missing.map(({ account, ids }) => [account, idSet(ids)]));
      entries.forEach((entry, e) => {
        const gone = missing.get(entry.account);
        if (gone === undefined) return;
        origin.slots[e]!.forEach((slot, i) => {
          if (gone.has(idAt(entry.ids, i))) admission.setKnown(origin.table, slot, false);
        });
      });
    }
  });
};

const idAt = (ids: Buffer, index: number): string =>
  ids.toString('latin1', index * SERIES_ID_BYTES, (index + 1) * SERIES_ID_BYTES);

const NO_IDS: ReadonlySet<string> = new Set();

const idSet = (ids: Buffer): ReadonlySet<string> => {
  if (ids.length === 0) return NO_IDS;
  const set = new Set<string>();
  for (let index = 0; index * SERIES_ID_BYTES < ids.length; index++) set.add(idAt(ids, index));
  return set;
};
