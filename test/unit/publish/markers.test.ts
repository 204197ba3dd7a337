import { expect, test } from '@jest/globals';
import { markerField } from '../../../src/ledger/keys.ts';
import { commitsOf, covers } from '../../../src/publish/markers.ts';

const FIELD = markerField('topic', 0);

test('what the group had committed is known for longer than the group knows it, and covers nothing', () => {
  const before = commitsOf(new Map([[FIELD, 100]]), 0);
  const lost = commitsOf(new Map([[FIELD, -1]]), 1, before.farthest);
  expect(lost.farthest.get(FIELD)).toBe(100);
  expect(covers(lost, new Map([[FIELD, 50]]))).toBe(false);
});

test('a lower commit of ours takes the place of a higher one: the log became shorter, or an operator went back', () => {
  const before = commitsOf(new Map([[FIELD, 100]]), 0);
  const lower = commitsOf(new Map([[FIELD, 60]]), 1, before.farthest);
  expect(lower.farthest.get(FIELD)).toBe(60);
});

test('what is known of a topic goes with it', () => {
  const before = commitsOf(new Map([[FIELD, 100]]), 0);
  const other = markerField('another', 0);
  const after = commitsOf(new Map([[other, -1]]), 1, before.farthest);
  expect([...after.farthest]).toEqual([]);
});

test('where no partition is known, nothing is covered but nothing', () => {
  const none = commitsOf(new Map(), 0);
  expect(covers(none, new Map([[FIELD, 1]]))).toBe(false);
  expect(covers(none, new Map())).toBe(true);
});
