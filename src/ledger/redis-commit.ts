/** A commit as lua/commit.lua takes it, and its answer. The layout is described there. */

import { overflowTenant } from '../attribution/reserved.ts';
import type { LedgerKeys } from './keys.ts';
import { accountMember, placeOf, trackerCount } from './keys.ts';
import type { Account, AccountState, CommitCall, CommitReply, Entry, SectionOutcome } from './port.ts';
import { SERIES_ID_BYTES } from './port.ts';

export type Arguments = Buffer[];

/** Of the names of ours, only what `format` and `installation` are is left to the caller. */
export const encodeCommit = (
  keys: LedgerKeys,
  call: CommitCall,
): { readonly keys: string[]; readonly args: Arguments } => {
  const trackers = [...new Set(call.accounts.map(({ tracker }) => tracker))];
  const { meta, markers, tenants } = keys.shard(call.shard);
  const names = [meta, markers, tenants];
  const columns = new Columns();
  columns.numbers.push(call.maxTenants, call.accounts.length, trackers.length, call.sections.length);
  for (const account of call.accounts) {
    const { totals, series, labels } = keys.account(call.shard, account);
    names.push(totals, series, labels);
    columns.numbers.push(trackers.indexOf(account.tracker) + 1, account.measures, account.limit, account.staleS);
    columns.numbers.push(PLACES.indexOf(placeOf(account.tenant)));
    columns.addWord(accountMember(account));
    columns.addBytes(account.demand);
  }
  for (const tracker of trackers) {
    const overflow = { tenant: overflowTenant(call.shard), tracker };
    names.push(keys.account(call.shard, overflow).totals);
    columns.addWord(trackerCount(tracker));
    columns.addWord(accountMember(overflow));
  }
  for (const { field, from, to, replay, entries } of call.sections) {
    columns.numbers.push(from, to, replay ? 1 : 0, entries.length);
    columns.addWord(field);
    for (const entry of entries) columns.addEntry(entry);
  }
  return { keys: names, args: columns.encode() };
};

/** In the order of their numbers in the script. */
const PLACES: readonly ReturnType<typeof placeOf>[] = ['never', 'bounded', 'always'];

/** All of one kind that a call says, one behind the other: a few long arguments cost less than many short ones. */
class Columns {
  readonly numbers: number[] = [];
  #words = '';
  readonly #bytes: Buffer[] = [];
  readonly #ids: Buffer[] = [];
  readonly #amounts: Float64Array[] = [];

  /** Its length is the next number. */
  addWord(word: string): void {
    this.numbers.push(Buffer.byteLength(word));
    this.#words += word;
  }

  /** Their length is the next number. */
  addBytes(bytes: Buffer | undefined): void {
    this.numbers.push(bytes?.length ?? 0);
    if (bytes !== undefined) this.#bytes.push(bytes);
  }

  addEntry({ account, ids, values, keys, overflow, unattributed }: Entry): void {
    this.numbers.push(account + 1, keys.length, overflow === null ? 0 : 1);
    this.#ids.push(ids);
    this.#amounts.push(values);
    if (overflow !== null) this.#amounts.push(overflow);
    this.#addKeys(keys);
    this.addWord(unattributed === undefined ? '' : [...unattributed].flat().join(' '));
  }

  #addKeys(keys: Entry['keys']): void {
    let length = 0;
    keys.forEach((key, i) => {
      if (key === null) return;
      const head = Buffer.allocUnsafe(8);
      head.writeUInt32LE(i + 1, 0);
      head.writeUInt32LE(key.length, 4);
      this.#bytes.push(head, key);
      length += head.length + key.length;
    });
    this.numbers.push(length);
  }

  /** In the machine's byte order, which the script takes for little-endian: it is on amd64 and arm64, not on s390x. */
  encode(): Arguments {
    const amounts = new Float64Array(this.#amounts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const some of this.#amounts) {
      amounts.set(some, at);
      at += some.length;
    }
    return [
      Buffer.from(Float64Array.from(this.numbers).buffer),
      Buffer.from(this.#words),
      Buffer.concat(this.#bytes),
      Buffer.concat(this.#ids),
      Buffer.from(amounts.buffer),
    ];
  }
}

/** `[1, life, counter, sections, numbers of the accounts, ids that overflowed]`. */
export type CommitAnswer = [1, Buffer, Buffer, (readonly (number | Buffer)[])[], Buffer, Buffer];

export const decodeCommit = (
  call: CommitCall,
  [, life, counter, sections, numbers, overflowed]: CommitAnswer,
): CommitReply => ({
  kind: 'answered',
  life: life.toString(),
  counter: Number(counter),
  sections: sections.map(decodeSection),
  accounts: decodeAccounts(call.accounts, numbers, overflowed),
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

const NUMBERS_OF_ACCOUNT = 4;

const decodeAccounts = (accounts: readonly Account[], numbers: Buffer, overflowed: Buffer): AccountState[] => {
  let at = 0;
  return accounts.map(({ limit }, i) => {
    const of = (which: number): number => numbers.readDoubleLE((i * NUMBERS_OF_ACCOUNT + which) * 8);
    const [live, refused] = [of(0), of(2) === 1];
    const from = at;
    at += of(3) * SERIES_ID_BYTES;
    return {
      live,
      room: refused ? 0 : Math.max(0, limit - live),
      admissions: of(1),
      overflowed: overflowed.subarray(from, at),
      tenantRefused: refused,
    };
  });
};
