/** What goes out of a shard of the memory ledger, as lua/purge.lua, retire.lua and remove-account.lua have it. */
import { removedTenant } from '../attribution/reserved.ts';
import { accountMember } from './keys.ts';
import type { MemoryAccount, MemoryShard } from './memory-state.ts';
import { addTo, clockS, nextCounter, retire, rowsAfter, touch, writableAccount } from './memory-state.ts';
import type { AccountName } from './port.ts';
import { LedgerBroken, SERIES_ID_BYTES } from './port.ts';

/** One step of a purge. Cursor null: the pass is over. */
export const purgeStep = (
  state: MemoryShard,
  account: AccountName,
  staleS: number,
  cursor: string | null,
  count: number,
  nowUs: number,
): { readonly cursor: string | null; readonly purged: number } => {
  const found = state.accounts.get(accountMember(account));
  if (found === undefined) return { cursor: null, purged: 0 };
  const { rows, last } = rowsAfter(found, Number(cursor ?? 0), count);
  const stale = rows.filter(([, row]) => clockS(state) - row.lastSeenS > staleS);
  if (stale.length > 0) {
    const changed = writableAccount(state, found.name, found.measures);
    for (const [id, row] of stale) retire(changed, id, row);
    change(state, changed, nowUs);
  }
  return { cursor: last === null ? null : String(last), purged: stale.length };
};

/** Of these ids (16 bytes each) how many were there. */
export const retireIds = (state: MemoryShard, account: AccountName, ids: Buffer, nowUs: number): number => {
  const found = state.accounts.get(accountMember(account));
  if (found === undefined) return 0;
  const wanted = new Set<string>();
  for (let i = 0; i < ids.length; i += SERIES_ID_BYTES) wanted.add(ids.toString('hex', i, i + SERIES_ID_BYTES));
  const there = [...wanted].filter((id) => found.rows.has(id));
  if (there.length === 0) return 0;
  const changed = writableAccount(state, found.name, found.measures);
  for (const id of there) retire(changed, id, changed.rows.get(id)!);
  change(state, changed, nowUs);
  return there.length;
};

export const retireShard = (state: MemoryShard, nowUs: number): void => {
  for (const { name, measures, rows } of state.accounts.values()) {
    if (rows.size === 0) continue;
    const account = writableAccount(state, name, measures);
    for (const [id, row] of account.rows) retire(account, id, row);
    change(state, account, nowUs);
  }
};

/** Removes an account of shard number `shard` that has been without series and changes for so long. False: it stays. */
export const removeOld = (
  state: MemoryShard,
  shard: number,
  account: AccountName,
  retentionS: number,
  nowUs: number,
): boolean => {
  const found = state.accounts.get(accountMember(account));
  const heir = { tenant: removedTenant(shard), tracker: account.tracker };
  if (found === undefined || account.tenant === heir.tenant || found.rows.size > 0) return false;
  if (clockS(state) - found.changedClockS <= retentionS) return false;
  const measures = state.accounts.get(accountMember(heir))?.measures ?? found.measures;
  if (measures !== found.measures)
    throw new LedgerBroken(`${heir.tenant} holds ${measures} measures of ${heir.tracker}, not ${found.measures}`);
  const kept = writableAccount(state, heir, measures);
  addTo(kept.total, found.total);
  addTo(kept.retired, found.total);
  state.accounts.delete(accountMember(account));
  change(state, kept, nowUs);
  return true;
};

const change = (state: MemoryShard, account: MemoryAccount, nowUs: number): void => {
  state.counter = nextCounter(state, nowUs);
  touch(state, account);
};
