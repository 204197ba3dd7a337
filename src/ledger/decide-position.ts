/**
 * Where to go on with a partition: one pure decision out of what the group, the ledger and the log say. The caller
 * carries out the answer and, unless it is `go`, reads everything again and decides again.
 *
 * The group's commit says how far the ledger has EVER been; the markers say how far it is. A shard without the marker
 * of a partition that has a commit has therefore lost something.
 */
import type { Creation, ShardView } from './port.ts';
import { type MarkerField, SHARDS } from './port.ts';

export type OnLoss = 'continue' | 'recount' | 'stop';

export type PositionFacts = {
  readonly field: MarkerField;
  /** The group's commit for this topic id; null for none. */
  readonly commit: { readonly offset: number; readonly start: number | null } | null;
  /** By shard; null where the shard has no state. Read after the commit. */
  readonly views: readonly (ShardView | null)[];
  readonly log: { readonly start: number; readonly end: number };
  /** Where a partition that nobody has begun is begun. */
  readonly newStart: number;
  /** Any partition of the group has got further than its start: a shard without state is a lost one, not a new one. */
  readonly groupHasProgress: boolean;
  readonly onLoss: OnLoss;
  /** A doubtful state (a set-up under way, a leader that lags) has stayed for long enough to be believed. */
  readonly patienceOver: boolean;
};

export type SetMarker = { readonly shard: number; readonly to: number; readonly create: Creation };
export type MoveMarker = { readonly shard: number; readonly expected: number; readonly to: number };

export type PositionDecision =
  /** Nobody has begun it: commit the start, set the markers. */
  | { readonly kind: 'begin'; readonly start: number; readonly markers: readonly SetMarker[] }
  /** Markers are missing. `lost`: shards whose state is gone for good (a ledger loss). */
  | { readonly kind: 'restore'; readonly markers: readonly SetMarker[]; readonly lost: readonly number[] }
  /** A ledger loss, and the operator wants it to stop here. */
  | { readonly kind: 'stop'; readonly lost: readonly number[] }
  | { readonly kind: 'look-again'; readonly why: string }
  /** Retention took records before they were read. `retire`: shards that were catching up: what they showed cannot be reached any more. */
  | {
      readonly kind: 'gap';
      readonly records: number;
      readonly moves: readonly MoveMarker[];
      readonly retire: readonly number[];
    }
  /** The log ends below what was counted and stays so: the broker lost records. */
  | {
      readonly kind: 'truncated';
      readonly records: number;
      readonly moves: readonly MoveMarker[];
      /** Where the log ends: no marker, and no commit, may stay beyond it. */
      readonly end: number;
    }
  | { readonly kind: 'go'; readonly markers: Float64Array };

export const decidePosition = (facts: PositionFacts): PositionDecision => {
  const markers = facts.views.map((view) => view?.markers.get(facts.field) ?? null);
  const missing = markers.flatMap((marker, shard) => (marker === null ? [shard] : []));
  if (missing.length === SHARDS && facts.commit === null) return begin(facts);
  if (missing.length > 0) return restore(facts, missing, markers);
  const known = markers as number[];
  const { start, end } = facts.log;
  if (known.some((marker) => marker < start)) return gap(facts, known);
  if (known.some((marker) => marker > end)) {
    if (!facts.patienceOver) return { kind: 'look-again', why: `the log ends at ${end}, below what was counted` };
    const moves = known.flatMap((marker, shard) => (marker > end ? [{ shard, expected: marker, to: end }] : []));
    return { kind: 'truncated', records: Math.max(...known) - end, moves, end };
  }
  return { kind: 'go', markers: Float64Array.from(known) };
};

const begin = (facts: PositionFacts): PositionDecision => {
  if (facts.groupHasProgress && facts.onLoss === 'stop') {
    const lost = facts.views.flatMap((view, shard) => (view === null ? [shard] : []));
    if (lost.length > 0) return { kind: 'stop', lost };
  }
  const markers = facts.views.map((_, shard) => ({
    shard,
    to: facts.newStart,
    create: facts.groupHasProgress ? ('after-loss' as const) : ('first' as const),
  }));
  return { kind: 'begin', start: facts.newStart, markers };
};

const restore = (
  facts: PositionFacts,
  missing: readonly number[],
  markers: readonly (number | null)[],
): PositionDecision => {
  const { commit, views } = facts;
  if (commit === null) {
    if (!facts.patienceOver) return { kind: 'look-again', why: 'no commit, and markers in some shards only' };
    const highest = Math.max(...markers.filter((marker) => marker !== null));
    return settleLoss(facts, missing, [], highest);
  }
  const set: SetMarker[] = [];
  const lost: number[] = [];
  for (const shard of missing) {
    const view = views[shard] ?? null;
    if (view === null && commit.offset === commit.start && !facts.groupHasProgress)
      set.push({ shard, to: commit.start, create: 'first' });
    else if (view !== null && !view.afterLoss && commit.start !== null)
      set.push({ shard, to: commit.start, create: 'no' });
    else lost.push(shard);
  }
  if (lost.length > 0) return settleLoss(facts, lost, set, commit.offset);
  return { kind: 'restore', markers: set, lost };
};

const settleLoss = (
  facts: PositionFacts,
  lost: readonly number[],
  others: readonly SetMarker[],
  goOnAt: number,
): PositionDecision => {
  if (facts.onLoss === 'stop') return { kind: 'stop', lost };
  const to = facts.onLoss === 'recount' ? facts.log.start : goOnAt;
  return {
    kind: 'restore',
    markers: [...others, ...lost.map((shard) => ({ shard, to, create: 'after-loss' as const }))],
    lost,
  };
};

const gap = (facts: PositionFacts, markers: readonly number[]): PositionDecision => {
  const { start } = facts.log;
  const behind = markers.flatMap((marker, shard) => (marker < start ? [{ shard, expected: marker, to: start }] : []));
  const catchingUp = facts.commit === null ? [] : behind.filter(({ expected }) => expected < facts.commit!.offset);
  return {
    kind: 'gap',
    records: start - Math.min(...behind.map(({ expected }) => expected)),
    moves: behind,
    retire: catchingUp.map(({ shard }) => shard),
  };
};
