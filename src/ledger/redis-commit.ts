/** A commit as lua/commit.lua takes it, and its answer. The layout is described there. */

import { overflowTenant } from '../attribution/reserved.ts';
import type { LedgerKeys } from './keys.ts';
import { accountMember, placeOf, trackerCount } from './keys.ts';
import type { Account, AccountState, CommitCall, CommitReply, Entry, Section, SectionOutcome } from './port.ts';

export type Arguments = (string | number | Buffer)[];

/** Of the names of ours, only what `format` and `installation` are is left to the caller. */
export const encodeCommit = (
  keys: LedgerKeys,
  call: CommitCall,
): { readonly keys: string[]; readonly args: Arguments } => {
  const trackers = [...new Set(call.accounts.map(({ tracker }) => tracker))];
  const { meta, markers, tenants } = keys.shard(call.shard);
  const names = [meta, markers, tenants];
  const args: Arguments = [call.maxTenants, call.accounts.length, trackers.length, call.sections.length];
  for (const account of call.accounts) {
    const { totals, series, labels } = keys.account(call.shard, account);
    names.push(totals, series, labels);
    args.push(accountMember(account), trackers.indexOf(account.tracker) + 1, account.measures, account.limit);
    args.push(account.staleS, placeOf(account.tenant), account.demand ?? '');
  }
  for (const tracker of trackers) {
    const overflow = { tenant: overflowTenant(call.shard), tracker };
    names.push(keys.account(call.shard, overflow).totals);
    args.push(trackerCount(tracker), accountMember(overflow));
  }
  for (const section of call.sections) encodeSection(section, args);
  return { keys: names, args };
};

const encodeSection = ({ field, from, to, replay, entries }: Section, args: Arguments): void => {
  args.push(field, from, to, replay ? 1 : 0, entries.length);
  for (const entry of entries) {
    args.push(entry.account + 1, entry.ids, bytesOf(entry.values), bytesOf(entry.overflow), encodeKeys(entry));
    args.push([...(entry.unattributed ?? [])].flat().join(' '));
  }
};

/** Little-endian, as every machine that runs Node is. */
const bytesOf = (values: Float64Array | null): Buffer =>
  values === null ? Buffer.alloc(0) : Buffer.from(values.buffer, values.byteOffset, values.byteLength);

const encodeKeys = ({ keys }: Entry): Buffer => {
  const parts: Buffer[] = [];
  keys.forEach((key, i) => {
    if (key === null) return;
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32LE(i + 1, 0);
    head.writeUInt32LE(key.length, 4);
    parts.push(head, key);
  });
  return parts.length === 0 ? Buffer.alloc(0) : Buffer.concat(parts);
};

/** `[1, life, counter, sections, accounts]`. */
export type CommitAnswer = [
  1,
  Buffer,
  Buffer,
  (readonly (number | Buffer)[])[],
  (readonly [number, number, Buffer, number])[],
];

export const decodeCommit = (call: CommitCall, [, life, counter, sections, accounts]: CommitAnswer): CommitReply => ({
  kind: 'answered',
  life: life.toString(),
  counter: Number(counter),
  sections: sections.map(decodeSection),
  accounts: accounts.map((answer, i) => decodeAccount(call.accounts[i]!, answer)),
});

const decodeSection = ([code, marker, ...rest]: readonly (number | Buffer)[]): SectionOutcome => {
  switch (code) {
    case 1:
      return { kind: 'applied', marker: Number(marker) };
    case 2:
      return { kind: 'already', marker: Number(marker) };
    case 3:
      return { kind: 'not-applied', marker: Number(marker) };
    case 4:
      return { kind: 'absent' };
    default:
      return { kind: 'keys-needed', marker: Number(marker), missing: decodeMissing(rest) };
  }
};

const decodeMissing = (pairs: readonly (number | Buffer)[]): { account: number; ids: Buffer }[] => {
  const missing: { account: number; ids: Buffer }[] = [];
  for (let i = 0; i < pairs.length; i += 2)
    missing.push({ account: Number(pairs[i]) - 1, ids: pairs[i + 1] as Buffer });
  return missing;
};

const decodeAccount = (
  { limit }: Account,
  [live, admissions, overflowed, refused]: readonly [number, number, Buffer, number],
): AccountState => ({
  live,
  room: refused === 1 ? 0 : Math.max(0, limit - live),
  admissions,
  overflowed,
  tenantRefused: refused === 1,
});
