/**
 * What the ledger must hold, kept beside it: every call that took effect is applied to a model too small to be wrong,
 * and each section that was applied is compared with the records of the log that it says it stands for.
 */
import { overflowTenant, RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { markerField, placeOf } from '../../src/ledger/keys.ts';
import type {
  CommitCall,
  CommitReply,
  MarkerField,
  MoveCause,
  Section,
  SectionOutcome,
} from '../../src/ledger/port.ts';
import { RECORDS_SHARD } from './reading.ts';
import { firstAt, type SimLog } from './sim-kafka.ts';
import type { SimRecord } from './traffic.ts';

type Amounts = readonly [number, number];

export type ShadowShard = {
  readonly markers: ReadonlyMap<MarkerField, number>;
  /** By tenant. */
  readonly amounts: ReadonlyMap<string, Amounts>;
};

export type ShadowRules = {
  /** Tenants may be counted under the shard's overflow tenant. */
  readonly tenantsBound: boolean;
  /** Nothing may overflow: every series there is finds room. */
  readonly neverOverflows: boolean;
  /** The offset that every first marker must have; null: whatever it is, the same in all shards. */
  readonly start: number | null;
};

const fail = (text: string): never => {
  throw new Error(text);
};

export class Shadow {
  readonly shards: (ShadowShard | null)[];
  /** By field: the highest that each shard's marker ever was. */
  readonly highest = new Map<MarkerField, Float64Array>();
  /** By field: offsets that markers were moved over without counting. */
  readonly skipped = new Map<MarkerField, { from: number; to: number }[]>();
  readonly #starts = new Map<MarkerField, number>();
  readonly #logs = new Map<MarkerField, SimLog>();
  readonly #rules: ShadowRules;
  /** Virtual time at which a series was last refreshed, by account and id. */
  readonly refreshed = new Map<string, number>();
  readonly #trackRefresh: boolean;

  constructor(shards: number, rules: ShadowRules, trackRefresh: boolean) {
    this.shards = new Array<ShadowShard | null>(shards).fill(null);
    this.#rules = rules;
    this.#trackRefresh = trackRefresh;
  }

  addLogs(topicId: string, logs: readonly SimLog[]): void {
    logs.forEach((log, partition) => {
      this.#logs.set(markerField(topicId, partition), log);
    });
  }

  logOf(field: MarkerField): SimLog {
    return this.#logs.get(field) ?? fail(`no such partition: ${field}`);
  }

  get fields(): Iterable<MarkerField> {
    return this.#logs.keys();
  }

  /** The lowest over the shards of the highest that each marker ever was. */
  lowestEver(field: MarkerField): number {
    return Math.min(...(this.highest.get(field) ?? [-1]));
  }

  put(shard: number, state: ShadowShard | null): void {
    this.shards[shard] = state;
  }

  // ---- what took effect

  committed(call: CommitCall, reply: CommitReply, nowMs: number): void {
    const state = this.shards[call.shard]!;
    if (reply.kind === 'absent') {
      if (state !== null) fail(`invariant 2: shard ${call.shard} says that it has no state`);
      return;
    }
    if (state === null) throw new Error(`invariant 2: shard ${call.shard} answers without state`);
    let markers: Map<MarkerField, number> | null = null;
    let amounts: Map<string, Amounts> | null = null;
    call.sections.forEach((section, i) => {
      const outcome = reply.sections[i]!;
      this.#checkOutcome(call.shard, section, outcome, state.markers.get(section.field));
      if (outcome.kind !== 'applied' || section.to === section.from) return;
      if (section.entries.length > 0) amounts ??= new Map(state.amounts);
      const added = amounts === null ? NOTHING : this.#add(call, section, reply, amounts);
      this.#checkContent(call.shard, section, added);
      markers ??= new Map(state.markers);
      markers.set(section.field, section.to);
      this.#noteHighest(call.shard, section.field, section.to);
      if (this.#trackRefresh) this.#noteRefreshed(call, section, nowMs);
    });
    reply.accounts.forEach((account, i) => {
      const { limit, tenant } = call.accounts[i]!;
      if (account.room !== (account.tenantRefused ? 0 : Math.max(0, limit - account.live)))
        fail(`invariant 1: ${tenant} has ${account.live} live series of ${limit} and room for ${account.room}`);
      if (account.overflowed.length > 0 && this.#rules.neverOverflows)
        fail(`invariant 6: ${tenant} overflowed with ${account.live} live series of ${limit}`);
    });
    if (markers !== null) this.shards[call.shard] = { markers, amounts: amounts ?? state.amounts };
  }

  markersSet(
    shard: number,
    markers: readonly (readonly [MarkerField, number])[],
    made: boolean,
    isLoss: boolean,
  ): void {
    const state = this.shards[shard] ?? null;
    if (state === null && !made) return;
    const next = new Map(state?.markers);
    for (const [field, marker] of markers) {
      if (next.has(field)) continue;
      if (!isLoss) this.#checkStart(shard, field, marker);
      next.set(field, marker);
      this.#noteHighest(shard, field, marker);
    }
    this.shards[shard] = { markers: next, amounts: state?.amounts ?? new Map() };
  }

  moved(shard: number, field: MarkerField, expected: number | null, to: number, why: MoveCause): void {
    const state = this.shards[shard];
    if (!state || (state.markers.get(field) ?? null) !== expected) return;
    this.shards[shard] = { ...state, markers: new Map(state.markers).set(field, to) };
    this.#noteHighest(shard, field, to);
    if (expected === null || to < expected || why === 'seek') return;
    const skipped = this.skipped.get(field) ?? [];
    skipped.push({ from: expected, to });
    this.skipped.set(field, skipped);
  }

  viewed(shard: number, markers: ReadonlyMap<MarkerField, number> | null): void {
    const state = this.shards[shard] ?? null;
    if ((markers === null) !== (state === null)) fail(`invariant 4: shard ${shard} came or went by itself`);
    if (markers === null || state === null) return;
    if (markers.size !== state.markers.size) fail(`invariant 4: shard ${shard} has ${markers.size} markers`);
    for (const [field, marker] of state.markers)
      if (markers.get(field) !== marker)
        fail(`invariant 4: marker ${field} of shard ${shard} is ${markers.get(field)}, must be ${marker}`);
  }

  // ---- what must hold

  #checkOutcome(
    shard: number,
    { field, from, to }: Section,
    outcome: SectionOutcome,
    marker: number | undefined,
  ): void {
    const expected =
      marker === undefined ? 'absent' : marker === from ? 'applied' : marker >= to ? 'already' : 'not-applied';
    if (outcome.kind !== expected && !(expected === 'applied' && outcome.kind === 'keys-needed'))
      fail(
        `invariant 2: section [${from}, ${to}) of ${field} on shard ${shard}, marker ${marker}: answered ${outcome.kind}`,
      );
  }

  /** Sums of the section by the tenant that the shard counts them under. */
  #add(call: CommitCall, section: Section, reply: CommitReply, amounts: Map<string, Amounts>): Map<string, Amounts> {
    const added = new Map<string, Amounts>();
    if (reply.kind !== 'answered') return added;
    for (const entry of section.entries) {
      const { tenant, measures } = call.accounts[entry.account]!;
      let [first, second] = [entry.overflow?.[0] ?? 0, entry.overflow?.[1] ?? 0];
      if (entry.overflow !== null && this.#rules.neverOverflows) fail(`invariant 6: diverted amounts of ${tenant}`);
      for (let at = 0; at < entry.values.length; at += measures) {
        first += entry.values[at]!;
        second += entry.values[at + 1]!;
      }
      const payer = reply.accounts[entry.account]!.tenantRefused ? overflowTenant(call.shard) : tenant;
      plus(added, payer, first, second);
      plus(amounts, payer, first, second);
    }
    return added;
  }

  /** A section adds what its records say, neither more nor less, and never a part of a record. */
  #checkContent(shard: number, { field, from, to }: Section, added: ReadonlyMap<string, Amounts>): void {
    const log = this.logOf(field);
    if (log.rewritten.some((range) => from < range.to && to > range.from)) return;
    const truth = truthIn(log, from, to, shard);
    if (truth.size === 0 && added.size === 0) return;
    if (this.#rules.tenantsBound) {
      checkBound(shard, field, from, to, added, truth);
      return;
    }
    for (const tenant of new Set([...truth.keys(), ...added.keys()])) {
      const [a, b] = truth.get(tenant) ?? [0, 0];
      const [x, y] = added.get(tenant) ?? [0, 0];
      if (a !== x || b !== y)
        fail(
          `invariant 2: section [${from}, ${to}) of ${field} on shard ${shard}, ${tenant}: adds ${[x, y]}, truth ${[a, b]}`,
        );
    }
  }

  #checkStart(shard: number, field: MarkerField, marker: number): void {
    if (!this.shards.some((state) => state?.markers.has(field))) this.#starts.delete(field);
    const start = this.#rules.start ?? this.#starts.get(field) ?? marker;
    this.#starts.set(field, start);
    if (marker !== start) fail(`invariant 2: ${field} starts at ${marker} on shard ${shard}, elsewhere at ${start}`);
  }

  #noteHighest(shard: number, field: MarkerField, marker: number): void {
    let highest = this.highest.get(field);
    if (highest === undefined) {
      highest = new Float64Array(this.shards.length).fill(-1);
      this.highest.set(field, highest);
    }
    highest[shard] = Math.max(highest[shard]!, marker);
  }

  #noteRefreshed(call: CommitCall, section: Section, nowMs: number): void {
    for (const entry of section.entries) {
      const { tenant } = call.accounts[entry.account]!;
      for (let at = 0; at < entry.ids.length; at += 16)
        this.refreshed.set(`${tenant}\n${entry.ids.toString('hex', at, at + 16)}`, nowMs);
    }
  }
}

const NOTHING: ReadonlyMap<string, Amounts> = new Map();

/** What the records in [from, to) add to the shard. */
const truthIn = (log: SimLog, from: number, to: number, shard: number): ReadonlyMap<string, Amounts> => {
  let truth: Map<string, Amounts> | null = null;
  const { records } = log;
  for (let at = firstAt(log, from); at < records.length && records[at]!.offset < to; at++) {
    const record = records[at] as unknown as SimRecord;
    if (record.truth.shard !== shard && shard !== RECORDS_SHARD) continue;
    truth ??= new Map();
    addTruth(truth, shard, record);
  }
  return truth ?? NOTHING;
};

const plus = (sums: Map<string, Amounts>, tenant: string, first: number, second: number): void => {
  if (first === 0 && second === 0) return;
  const before = sums.get(tenant) ?? [0, 0];
  sums.set(tenant, [before[0] + first, before[1] + second]);
};

/** What a record adds to a shard. */
export const addTruth = (sums: Map<string, Amounts>, shard: number, { truth }: SimRecord): void => {
  if (truth.shard === shard) plus(sums, truth.tenant!, truth.bytes, truth.spans);
  if (shard === RECORDS_SHARD) plus(sums, RECORDS_TENANT, truth.bytes, 1);
};

/** With a bound on tenants, what one lacks the overflow tenant has. */
const checkBound = (
  shard: number,
  field: MarkerField,
  from: number,
  to: number,
  added: ReadonlyMap<string, Amounts>,
  truth: ReadonlyMap<string, Amounts>,
): void => {
  let balance = 0;
  for (const [tenant, [bytes]] of truth) {
    balance += bytes;
    const counted = added.get(tenant)?.[0] ?? 0;
    if (counted !== bytes && counted !== 0 && placeOf(tenant) === 'bounded') {
      // A tenant that found its place while a part of it had been diverted.
      if (counted > bytes) fail(`invariant 2: section [${from}, ${to}) of ${field} on shard ${shard} adds too much`);
    }
  }
  for (const [, [bytes]] of added) balance -= bytes;
  if (balance !== 0) fail(`invariant 2: section [${from}, ${to}) of ${field} on shard ${shard} is ${-balance} off`);
};
