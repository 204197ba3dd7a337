/**
 * What must be read again to know what a shard's totals should be, and what stands in the way of knowing it. Pure.
 *
 * A shard's totals stand for the records that its markers have passed: since its counting began, or since a baseline.
 * Each shard has markers of its own, so a record may count for one shard and not yet for another.
 */

import { type Counted, clip, countedBetween, type OffsetRange, rangesOf, union } from '../ledger/counted.ts';
import { markerParts } from '../ledger/keys.ts';
import type { MarkerField, ShardCut } from '../ledger/port.ts';
import type { Baseline, BaselineShard } from './baseline.ts';
import type { KnownPartition } from './state-open.ts';

export type ShardPlan = {
  readonly shard: number;
  /** By field: which records count for this shard, and how often. */
  readonly counted: ReadonlyMap<MarkerField, Counted>;
  /** Why nothing is proved by reading; empty: everything is. */
  readonly unproved: readonly string[];
};

export type ReadPlan = {
  readonly shards: readonly ShardPlan[];
  readonly reads: readonly { readonly partition: KnownPartition; readonly ranges: readonly OffsetRange[] }[];
};

/** What of a partition may be read; null: nothing of it. */
export type Scope = (partition: KnownPartition) => OffsetRange | null;

export const planOf = (
  cuts: readonly (ShardCut | null)[],
  baseline: Baseline | null,
  partitions: readonly KnownPartition[],
  scope: Scope | null,
): ReadPlan => {
  const byField = new Map(partitions.map((partition) => [partition.field, partition]));
  const shards = cuts.flatMap((cut, shard): ShardPlan[] => {
    const before = baseline === null ? null : (baseline.shards[shard] ?? null);
    if (cut === null) return [];
    return [shardPlan(shard, cut, baseline === null ? null : { before }, byField, scope)];
  });
  const reads = partitions.flatMap((partition) => {
    const wanted = union(shards.flatMap(({ counted }) => rangesOf(counted.get(partition.field) ?? NOTHING)));
    const within = scope === null ? partition.log : { ...partition.log, ...boundsOf(scope(partition), partition) };
    const ranges = clip(wanted, { from: within.start, to: within.end });
    return ranges.length === 0 ? [] : [{ partition, ranges }];
  });
  return { shards, reads };
};

const NOTHING: Counted = { offsets: [], times: [] };

const boundsOf = (range: OffsetRange | null, { log }: KnownPartition) =>
  range === null
    ? { start: log.start, end: log.start }
    : { start: Math.max(log.start, range.from), end: Math.min(log.end, range.to) };

const shardPlan = (
  shard: number,
  { view, moves, movesForgotten }: ShardCut,
  since: { readonly before: BaselineShard | null } | null,
  byField: ReadonlyMap<MarkerField, KnownPartition>,
  scope: Scope | null,
): ShardPlan => {
  const unproved = new Set<string>();
  const counted = new Map<MarkerField, Counted>();
  const before = since?.before ?? null;
  const recent = before === null ? moves : moves.filter(({ at }) => at > before.counter);
  if (scope !== null) unproved.add('only a part of the log was asked for');
  if (since !== null && before?.life !== view.life)
    unproved.add('the ledger was lost and made anew since the baseline');
  if (since === null && view.afterLoss)
    unproved.add('the ledger was made anew after a loss: where its counting began is not known');
  if (before === null && movesForgotten > 0) unproved.add('older moves of markers are not known any more');
  for (const { why } of recent) {
    if (why === 'truncated') unproved.add('the log lost records that had been counted');
    if (why === 'forget') unproved.add('markers of a topic were forgotten: its records are in the totals');
  }
  for (const [field, marker] of view.markers) {
    const partition = byField.get(field);
    const from = before?.markers.get(field) ?? partition?.start ?? null;
    if (partition === undefined) {
      if (before?.markers.get(field) !== marker)
        unproved.add(
          `the totals hold records of a topic that is not consumed any more (id ${markerParts(field).topicId})`,
        );
      continue;
    }
    if (from === null) {
      unproved.add('where counting began is not known: the group has no commit of ours');
      continue;
    }
    const span = countedBetween(from, marker, recent, field);
    counted.set(field, span);
    const gone = rangesOf(span).find((range) => range.from < partition.log.start || range.to > partition.log.end);
    if (gone !== undefined && gone.from < partition.log.start)
      unproved.add(
        `retention has taken records that were counted (${name(partition)} begins at ${partition.log.start})`,
      );
    else if (gone !== undefined) unproved.add(`${name(partition)} ends before what was counted`);
  }
  return { shard, counted, unproved: [...unproved] };
};

const name = ({ topic, partition }: KnownPartition): string => `${topic}/${partition}`;
