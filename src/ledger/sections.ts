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
type Origin = { readonly table: SeriesTable; readonly slots: readonly Uint32Array[] };

export type BuiltCall = { readonly call: CommitCall; readonly origins: readonly (Origin | null)[] };

export const buildCall = (
  shard: number,
  maxTenants: number,
  parts: readonly Part[],
  admission: Admission,
): BuiltCall => {
  const accounts: Account[] = [];
  const indexes = new Map<string, number>();
  const indexOf = (table: SeriesTable, account: number): number => {
    const { tenant, tracker, measures, limit, staleS } = table.accounts[account]!;
    const key = accountKey({ tenant, tracker });
    let index = indexes.get(key);
    if (index === undefined) {
      index = accounts.length;
      indexes.set(key, index);
    }
    accounts[index] = { tenant, tracker, measures, limit, staleS };
    return index;
  };
  const sections: Section[] = [];
  const origins: (Origin | null)[] = [];
  for (const { field, from, to, replay, segment } of parts) {
    const built = segment === null || segment.isEmpty ? null : entriesOf(segment, indexOf, admission);
    sections.push({ field, from, to, replay: replay && built !== null, entries: built?.entries ?? [] });
    origins.push(built && { table: segment!.table, slots: built.slots });
  }
  const asking = accounts.map((account) => {
    const demand = admission.takeDemand(accountKey(account));
    return demand === undefined ? account : { ...account, demand };
  });
  return { call: { shard, maxTenants, accounts: asking, sections }, origins };
};

const entriesOf = (
  segment: Segment,
  indexOf: (table: SeriesTable, account: number) => number,
  admission: Admission,
): { entries: Entry[]; slots: Uint32Array[] } => {
  const { table } = segment;
  const rowsOf = new Map<number, number[]>();
  for (let row = 0; row < segment.rows; row++) {
    const account = table.accountOf(segment.slots[row]!);
    const rows = rowsOf.get(account);
    if (rows === undefined) rowsOf.set(account, [row]);
    else rows.push(row);
  }
  for (const account of segment.diverted?.keys() ?? []) if (!rowsOf.has(account)) rowsOf.set(account, []);
  const entries: Entry[] = [];
  const slots: Uint32Array[] = [];
  for (const [account, rows] of rowsOf) {
    const ids = Buffer.allocUnsafe(rows.length * SERIES_ID_BYTES);
    const values = new Float64Array(rows.length * MEASURES);
    const keys: (Buffer | null)[] = [];
    const slotOf = new Uint32Array(rows.length);
    rows.forEach((row, i) => {
      const slot = segment.slots[row]!;
      slotOf[i] = slot;
      table.copyId(slot, ids, i * SERIES_ID_BYTES);
      values[i * MEASURES] = segment.values[row * MEASURES]!;
      values[i * MEASURES + 1] = segment.values[row * MEASURES + 1]!;
      keys.push(admission.isKnown(table, slot) ? null : table.keyOf(slot));
    });
    entries.push({
      account: indexOf(table, account),
      ids,
      values,
      keys,
      overflow: segment.diverted?.get(account) ?? null,
      ...unattributedOf(segment, account, rows),
    });
    slots.push(slotOf);
  }
  return { entries, slots };
};

/** Sums by label of what has no value for it, of the first measure; nothing where all has. */
const unattributedOf = (
  { table, slots, values, divertedGaps }: Segment,
  account: number,
  rows: readonly number[],
): { unattributed?: ReadonlyMap<string, number> } => {
  const byGaps = new Map(divertedGaps?.get(account));
  for (const row of rows) {
    const gaps = table.gapsOf(slots[row]!);
    if (gaps !== 0) byGaps.set(gaps, (byGaps.get(gaps) ?? 0) + values[row * MEASURES]!);
  }
  if (byGaps.size === 0) return {};
  const unattributed = new Map<string, number>();
  for (const [gaps, sum] of byGaps)
    for (const label of table.gaps[gaps]!) unattributed.set(label, (unattributed.get(label) ?? 0) + sum);
  return { unattributed };
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

const idSet = (ids: Buffer): ReadonlySet<string> => {
  const set = new Set<string>();
  for (let index = 0; index * SERIES_ID_BYTES < ids.length; index++) set.add(idAt(ids, index));
  return set;
};
