/**
 * Which records a shard's totals stand for, of one partition. A marker goes up by counting, and jumps where it is
 * moved. Between two states, [from, to) was passed once on balance; what was jumped over upwards was passed without
 * being counted, and what was jumped over downwards was counted once more than that.
 */
import type { MarkerField, Move } from './port.ts';

/** How often each record was counted: `times[i]` from `offsets[i]` on, 0 before the first. Ascending; the last is 0. */
export type Counted = { readonly offsets: readonly number[]; readonly times: readonly number[] };

export type OffsetRange = { readonly from: number; readonly to: number };

/** `moves`: those of the partition in that time. `from` above `to`: the ledger stands behind where it stood. */
export const countedBetween = (from: number, to: number, moves: readonly Move[], field: MarkerField): Counted => {
  const changes = new Map<number, number>();
  const add = (start: number, end: number): void => {
    changes.set(start, (changes.get(start) ?? 0) + 1);
    changes.set(end, (changes.get(end) ?? 0) - 1);
  };
  add(from, to);
  for (const move of moves) if (move.field === field && move.from !== null && move.to !== null) add(move.to, move.from);
  const offsets: number[] = [];
  const times: number[] = [];
  let sum = 0;
  for (const [offset, change] of [...changes].sort(([a], [b]) => a - b)) {
    if (change === 0) continue;
    sum += change;
    offsets.push(offset);
    times.push(sum);
  }
  return { offsets, times };
};

export const timesAt = ({ offsets, times }: Counted, offset: number): number => {
  let at = offsets.length - 1;
  while (at >= 0 && offsets[at]! > offset) at--;
  return at < 0 ? 0 : times[at]!;
};

/** The offsets that were counted at all, in order. */
export const rangesOf = ({ offsets, times }: Counted): readonly OffsetRange[] =>
  times.flatMap((count, i) => (count === 0 ? [] : [{ from: offsets[i]!, to: offsets[i + 1]! }]));

/** All that lies in any of them, in order, neighbours joined. */
export const union = (ranges: readonly OffsetRange[]): readonly OffsetRange[] => {
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last === undefined || from > last.to) joined.push({ from, to });
    else last.to = Math.max(last.to, to);
  }
  return joined;
};

/** What of the ranges lies in [from, to). */
export const clip = (ranges: readonly OffsetRange[], bounds: OffsetRange): readonly OffsetRange[] =>
  ranges
    .map(({ from, to }) => ({ from: Math.max(from, bounds.from), to: Math.min(to, bounds.to) }))
    .filter(({ from, to }) => from < to);
