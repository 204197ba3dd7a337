/** What both ledgers refuse before they look at any state: a call that no worker in its right mind would send. */
import { isMark } from './demand.ts';
import type { Account, CommitCall, Entry, Section } from './port.ts';
import { LedgerBroken, SERIES_ID_BYTES, SHARDS } from './port.ts';

/** A sum may be 2^53 - 1, the last integer whose successor is still another number. */
export const MAX_AMOUNT = Number.MAX_SAFE_INTEGER;

/** Throws `LedgerBroken` unless the call keeps to what its types cannot say. */
export const checkCall = (call: CommitCall): void => {
  checkShard(call.shard);
  if (!isAmount(call.maxTenants)) throw broken(`${call.maxTenants} tenants`);
  const names = new Set<string>();
  const measures = new Map<string, number>();
  for (const account of call.accounts) {
    checkAccount(account);
    if ((measures.get(account.tracker) ?? account.measures) !== account.measures)
      throw broken(`accounts of ${account.tracker} with different measures`);
    measures.set(account.tracker, account.measures);
    names.add(`${account.tracker}\0${account.tenant}`);
  }
  if (names.size < call.accounts.length) throw broken('an account was named twice');
  if (new Set(call.sections.map((section) => section.field)).size < call.sections.length)
    throw broken('a partition came with two sections');
  for (const section of call.sections) checkSection(call, section);
};

export const checkShard = (shard: number): void => {
  if (!Number.isInteger(shard) || shard < 0 || shard >= SHARDS) throw broken(`there is no shard ${shard}`);
};

export const isAmount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

export const checkMarker = (marker: number): void => {
  if (!isAmount(marker)) throw broken(`${marker} is not an offset`);
};

const checkAccount = ({ measures, limit, staleS, demand }: Account): void => {
  if (!Number.isInteger(measures) || measures < 1) throw broken(`${measures} measures`);
  if (!isAmount(limit) || !isAmount(staleS)) throw broken(`limit ${limit}, stale after ${staleS} s`);
  for (let at = 0; at < (demand?.length ?? 0); at += 2)
    if (at + 1 === demand!.length || !isMark(demand!.readUInt16LE(at))) throw broken('marks that are none');
};

const checkSection = (call: CommitCall, { field, from, to, entries }: Section): void => {
  checkMarker(from);
  checkMarker(to);
  if (to < from) throw broken(`the section of ${field} ends at ${to}, before its start ${from}`);
  if (to === from && entries.length > 0) throw broken(`the look at ${field} adds something`);
  const seen = new Set<number>();
  for (const entry of entries) {
    if (seen.has(entry.account)) throw broken(`the section of ${field} names an account twice`);
    seen.add(entry.account);
    const account = call.accounts[entry.account];
    if (account === undefined) throw broken(`the section of ${field} names an account that the call lacks`);
    checkEntry(account, entry);
  }
};

const checkEntry = ({ measures }: Account, { ids, values, keys, overflow, unattributed }: Entry): void => {
  const count = ids.length / SERIES_ID_BYTES;
  if (!Number.isInteger(count) || values.length !== count * measures || keys.length !== count)
    throw broken(`${ids.length} bytes of ids, ${values.length} amounts, ${keys.length} keys, ${measures} measures`);
  if (overflow !== null && overflow.length !== measures) throw broken(`${overflow.length} amounts of overflow`);
  for (const value of values) if (!isAmount(value)) throw broken(`the amount ${value}`);
  for (const value of overflow ?? []) if (!isAmount(value)) throw broken(`the amount ${value} of overflow`);
  for (const [label, value] of unattributed ?? [])
    if (!isAmount(value) || !/^\w+$/.test(label)) throw broken(`the amount ${value} without ${label}`);
};

const broken = (what: string): LedgerBroken => new LedgerBroken(`impossible call to the ledger: ${what}`);
