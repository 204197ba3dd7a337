/**
 * Comparing positions: what a table was read at, what the group has committed, what anyone may have been shown.
 */
import { markerParts } from '../ledger/keys.ts';
import type { MarkerField, ShardView } from '../ledger/port.ts';

/**
 * The group's commits of every partition of the topics that are consumed now; below 0 where there is none. Markers of
 * other topics (deleted ones) bind nobody.
 */
export type Commits = {
  /** Monotonic, ms: when the question was sent. */
  readonly askedAtMs: number;
  readonly offsets: ReadonlyMap<MarkerField, number>;
  /** The same, and where the group has none now, the last that this process saw: the ledger had been there. */
  readonly farthest: ReadonlyMap<MarkerField, number>;
  readonly topics: ReadonlySet<string>;
};

/** `before`: what was known at the last question. */
export const commitsOf = (
  offsets: ReadonlyMap<MarkerField, number>,
  askedAtMs: number,
  before: Markers = new Map(),
): Commits => {
  const topics = new Set<string>();
  const farthest = new Map<MarkerField, number>();
  for (const [field, offset] of offsets) {
    topics.add(markerParts(field).topicId);
    const known = offset >= 0 ? offset : before.get(field);
    if (known !== undefined) farthest.set(field, known);
  }
  return { askedAtMs, offsets, farthest, topics };
};

export type Markers = ReadonlyMap<MarkerField, number>;

/** Whether the group has been as far as the markers: a ledger that lost what they stand for is read up to there again. */
export const covers = ({ offsets, topics }: Commits, markers: Markers): boolean => {
  if (offsets.size === 0) return markers.size === 0;
  for (const [field, marker] of markers) {
    const offset = offsets.get(field);
    if (offset === undefined ? topics.has(markerParts(field).topicId) : offset < marker) return false;
  }
  return true;
};

/**
 * Whether a state with these markers holds at least what one with `floor` held. The group's commit only rises, but
 * where the log itself became shorter or an operator moved the markers: then it falls with them, nothing that was
 * counted is taken back, and the floor falls, too. (The next owner, who knows the commits alone, goes by them as well.)
 */
export const reaches = (markers: Markers, floor: Markers, { offsets, topics }: Commits): boolean => {
  for (const [field, marker] of floor) {
    const committed = offsets.get(field) ?? -1;
    const wanted = committed < 0 ? marker : Math.min(marker, committed);
    if (marker < 0 || (markers.get(field) ?? -1) >= wanted) continue;
    if (offsets.has(field) || topics.has(markerParts(field).topicId)) return false;
  }
  return true;
};

/** Whether the ledger lost writes, was replayed or made anew between two looks. */
export const fellBack = (before: ShardView, after: ShardView): boolean => {
  if (before === after) return false;
  if (after.life !== before.life || after.replayedAt !== before.replayedAt || after.counter < before.counter)
    return true;
  for (const [field, marker] of before.markers) if ((after.markers.get(field) ?? -1) < marker) return true;
  return false;
};

/** Whether nothing was done to the shard between two looks. */
export const isSame = (before: ShardView, after: ShardView): boolean => {
  if (before === after) return true;
  if (before.life !== after.life || before.counter !== after.counter || before.replayedAt !== after.replayedAt)
    return false;
  if (before.clockS !== after.clockS || before.markers.size !== after.markers.size) return false;
  for (const [field, marker] of before.markers) if (after.markers.get(field) !== marker) return false;
  return true;
};

export const raise = (highest: Map<MarkerField, number>, markers: Markers): void => {
  for (const [field, marker] of markers) if (marker > (highest.get(field) ?? -1)) highest.set(field, marker);
};
