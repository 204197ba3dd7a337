/**
 * One commit on the memory ledger's state, step by step what lua/commit.lua does: first everything is read and
 * checked, then everything is written.
 */

import { overflowTenant } from '../attribution/reserved.ts';
import { MAX_AMOUNT } from './check-call.ts';
import { withMarks } from './demand.ts';
import { accountMember, placeOf } from './keys.ts';
import type { MemoryAccount, MemoryShard } from './memory-state.ts';
import { addTo, clockS, nextCounter, retire, rowsAfter, touch, writableAccount, zeros } from './memory-state.ts';
import type { Account, AccountState, CommitCall, CommitReply, Entry, Section, SectionOutcome } from './port.ts';
import { LedgerBroken, SERIES_ID_BYTES } from './port.ts';

/** The clock of a shard gains at most this between two commits, so that nothing ages while consumption stands still. */
const MAX_TICK_US = 60e6;
/** Rows that one commit may look at for stale ones, and how many at a time. */
const SWEEP_ROWS = 4096;
const SWEEP_STEP = 512;

/** What the applicable sections of a call add to one series. */
type Addition = { readonly id: Buffer; readonly key: Buffer | null; readonly values: number[] };

type AccountPlan = {
  readonly account: Account;
  readonly found: MemoryAccount | undefined;
  /** Series of the call, applicable or not: a sweep leaves them alone. */
  readonly named: Set<string>;
  /** In the order of the call. */
  readonly additions: Map<string, Addition>;
  readonly overflow: number[];
  readonly unattributed: Map<string, number>;
  touched: boolean;
  refused: boolean;
  /** Where the next sweep begins: behind the row of this order. */
  sweptTo: number;
  swept: Set<string>;
  created: Set<string>;
  overflowed: Set<string>;
};

/** `shard` must be writable; it is unchanged when this throws. */
export const commitToShard = (shard: MemoryShard, call: CommitCall, nowUs: number): CommitReply => {
  const plans = call.accounts.map((account): AccountPlan => planOf(shard, account));
  const tick = Math.max(0, Math.min(nowUs - shard.calledAtUs, MAX_TICK_US));
  const clock = Math.floor((shard.clockUs + tick) / 1e6);

  const sections = call.sections.map((section) => judge(shard, section, plans));
  for (const plan of plans) for (const id of plan.additions.keys()) plan.named.add(id);
  settlePlaces(shard, call, plans);
  let rowsLeft = SWEEP_ROWS;
  for (const plan of plans) rowsLeft = settleSeries(plan, clock, rowsLeft);
  checkSums(shard, call, plans);

  shard.counter = nextCounter(shard, nowUs);
  shard.clockUs += tick;
  shard.calledAtUs = nowUs;
  call.sections.forEach((section, i) => {
    if (sections[i]!.kind !== 'applied' || section.to === section.from) return;
    shard.markers.set(section.field, section.to);
    if (section.replay) shard.replayedAt = shard.counter;
  });
  for (const plan of plans) if (plan.touched) write(shard, call.shard, plan);
  return {
    kind: 'answered',
    life: shard.life,
    counter: shard.counter,
    sections,
    accounts: plans.map((plan) => stateOf(shard, plan)),
  };
};

const planOf = (shard: MemoryShard, account: Account): AccountPlan => {
  const found = placeOf(account.tenant) === 'never' ? undefined : shard.accounts.get(accountMember(account));
  checkMeasures(account, found);
  return {
    account,
    found,
    named: new Set(),
    additions: new Map(),
    overflow: zeros(account.measures),
    unattributed: new Map(),
    touched: false,
    refused: false,
    sweptTo: found?.sweptTo ?? 0,
    swept: new Set(),
    created: new Set(),
    overflowed: new Set(),
  };
};

const checkMeasures = ({ tenant, tracker, measures }: Account, found: MemoryAccount | undefined): void => {
  if (found !== undefined && found.measures !== measures)
    throw new LedgerBroken(
      `the ledger holds ${found.measures} measures of ${JSON.stringify(tenant)} in ${tracker}, the call ${measures}`,
    );
};

/** Compares the marker; gathers what the section adds if it applies as a whole. */
const judge = (shard: MemoryShard, section: Section, plans: readonly AccountPlan[]): SectionOutcome => {
  const marker = shard.markers.get(section.field);
  if (marker === undefined) return { kind: 'absent' };
  if (marker !== section.from) return { kind: marker >= section.to ? 'already' : 'not-applied', marker };
  const missing: { account: number; ids: Buffer }[] = [];
  for (const entry of section.entries) {
    const ids = missingOf(plans[entry.account]!, entry);
    if (ids.length > 0) missing.push({ account: entry.account, ids: Buffer.concat(ids) });
  }
  if (missing.length > 0) return { kind: 'keys-needed', marker, missing };
  for (const entry of section.entries) gather(plans[entry.account]!, entry);
  return { kind: 'applied', marker: section.to };
};

const missingOf = (plan: AccountPlan, entry: Entry): Buffer[] => {
  const ids: Buffer[] = [];
  entry.keys.forEach((key, i) => {
    const id = idAt(entry, i);
    plan.named.add(id.toString('hex'));
    if (key === null && !plan.found?.rows.has(id.toString('hex'))) ids.push(Buffer.from(id));
  });
  return ids;
};

const idAt = (entry: Entry, i: number): Buffer => entry.ids.subarray(i * SERIES_ID_BYTES, (i + 1) * SERIES_ID_BYTES);

const gather = (plan: AccountPlan, entry: Entry): void => {
  const { measures } = plan.account;
  if (entry.keys.length > 0 || entry.overflow !== null) plan.touched = true;
  if (entry.overflow !== null) addTo(plan.overflow, entry.overflow);
  addNamed(plan.unattributed, entry.unattributed);
  entry.keys.forEach((key, i) => {
    const values = entry.values.subarray(i * measures, (i + 1) * measures);
    const id = idAt(entry, i).toString('hex');
    const found = plan.additions.get(id);
    if (found !== undefined) addTo(found.values, values);
    else plan.additions.set(id, { id: Buffer.from(idAt(entry, i)), key, values: [...values] });
  });
};

const addNamed = (sums: Map<string, number>, amounts: ReadonlyMap<string, number> | undefined): void => {
  for (const [name, amount] of amounts ?? []) sums.set(name, (sums.get(name) ?? 0) + amount);
};

/** Accounts that begin with this call take the shard's free places in the order of the call; the rest is refused. */
const settlePlaces = (shard: MemoryShard, call: CommitCall, plans: readonly AccountPlan[]): void => {
  const held = new Map<string, number>();
  for (const plan of plans) {
    if (!plan.touched || plan.found !== undefined) continue;
    const { tenant, tracker } = plan.account;
    const place = placeOf(tenant);
    const count = held.get(tracker) ?? countTenants(shard, tracker);
    plan.refused = place === 'never' || (place === 'bounded' && count >= call.maxTenants);
    held.set(tracker, place === 'bounded' && !plan.refused ? count + 1 : count);
  }
};

const countTenants = (shard: MemoryShard, tracker: string): number => {
  let count = 0;
  for (const { name } of shard.accounts.values())
    if (name.tracker === tracker && placeOf(name.tenant) === 'bounded') count++;
  return count;
};

/** Decides for each unknown series whether it is created or overflows. Answers how many rows may still be looked at. */
const settleSeries = (plan: AccountPlan, clock: number, rowsLeft: number): number => {
  const { limit } = plan.account;
  const rows = plan.found?.rows;
  const unknown = [...plan.additions.keys()].filter((id) => !rows?.has(id));
  if (plan.refused) {
    plan.overflowed = new Set(plan.additions.keys());
    return rowsLeft;
  }
  let live = rows?.size ?? 0;
  const wanted = live + unknown.length - limit;
  if (unknown.length > 0 && wanted > 0 && limit > 0 && live > 0) rowsLeft = sweep(plan, clock, wanted, rowsLeft);
  live -= plan.swept.size;
  for (const id of unknown) {
    if (live < limit) {
      plan.created.add(id);
      live++;
    } else plan.overflowed.add(id);
  }
  return rowsLeft;
};

/** Goes on where the last sweep of the account stopped, once around at most. */
const sweep = (plan: AccountPlan, clock: number, wanted: number, rowsLeft: number): number => {
  const { found, account, swept, named } = plan;
  let rounds = plan.sweptTo === 0 ? 1 : 2;
  while (rounds > 0 && rowsLeft > 0 && swept.size < wanted) {
    const { rows, last } = rowsAfter(found!, plan.sweptTo, SWEEP_STEP);
    for (const [id, row] of rows) if (!named.has(id) && clock - row.lastSeenS > account.staleS) swept.add(id);
    plan.sweptTo = last ?? 0;
    rowsLeft -= rows.length;
    if (last === null) rounds--;
  }
  return rowsLeft;
};

/** Every other sum is a part of a total. */
const checkSums = (shard: MemoryShard, call: CommitCall, plans: readonly AccountPlan[]): void => {
  const totals = new Map<string, number[]>();
  for (const plan of plans) {
    if (!plan.touched) continue;
    const { tracker, measures } = plan.account;
    const name = plan.refused ? { tenant: overflowTenant(call.shard), tracker } : plan.account;
    const found = shard.accounts.get(accountMember(name));
    checkMeasures({ ...plan.account, ...name }, found);
    const total = totals.get(accountMember(name)) ?? [...(found?.total ?? zeros(measures))];
    addTo(total, sumOf(plan));
    if (total.some((sum) => sum > MAX_AMOUNT))
      throw new LedgerBroken(`a total of ${JSON.stringify(name.tenant)} in ${tracker} would pass 2^53 - 1`);
    totals.set(accountMember(name), total);
  }
};

const sumOf = (plan: AccountPlan): number[] => {
  const sum = [...plan.overflow];
  for (const { values } of plan.additions.values()) addTo(sum, values);
  return sum;
};

const write = (shard: MemoryShard, number: number, plan: AccountPlan): void => {
  const { tracker, measures } = plan.account;
  const name = plan.refused ? { tenant: overflowTenant(number), tracker } : plan.account;
  const account = writableAccount(shard, name, measures);
  if (!plan.refused) account.sweptTo = plan.sweptTo;
  addTo(account.total, sumOf(plan));
  addTo(account.overflow, plan.overflow);
  if (plan.unattributed.size > 0) {
    const sums = new Map(account.unattributed);
    addNamed(sums, plan.unattributed);
    account.unattributed = sums;
  }
  const { demand, staleS } = plan.account;
  if (demand?.length && !plan.refused) account.demand = withMarks(account.demand, demand, clockS(shard), staleS);
  for (const id of plan.swept) retire(account, id, account.rows.get(id)!);
  const lastSeenS = clockS(shard);
  for (const [id, addition] of plan.additions) {
    const row = account.rows.get(id);
    if (plan.overflowed.has(id)) addTo(account.overflow, addition.values);
    else if (row !== undefined) {
      const values = [...row.values];
      addTo(values, addition.values);
      account.rows.set(id, { ...row, lastSeenS, values });
    } else {
      const { id: bytes, key, values } = addition;
      const birthS = Math.floor(shard.counter / 1e6);
      const order = ++account.admissions;
      account.rows.set(id, { id: bytes, key: Buffer.from(key!), order, lastSeenS, birthS, values });
    }
  }
  touch(shard, account);
};

const stateOf = (shard: MemoryShard, plan: AccountPlan): AccountState => {
  const { account, refused } = plan;
  const found = placeOf(account.tenant) === 'never' ? undefined : shard.accounts.get(accountMember(account));
  const live = found?.rows.size ?? 0;
  return {
    live,
    room: refused ? 0 : Math.max(0, account.limit - live),
    admissions: found?.admissions ?? 0,
    overflowed: Buffer.concat([...plan.overflowed].map((id) => plan.additions.get(id)!.id)),
    tenantRefused: refused,
  };
};
