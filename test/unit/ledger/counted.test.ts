import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { clip, countedBetween, rangesOf, timesAt, union } from '../../../src/ledger/counted.ts';
import type { MarkerField, Move } from '../../../src/ledger/port.ts';

const FIELD = 'topic/0' as MarkerField;
const LAST = 30;

/** A marker's way: counting up to an offset, or a jump. */
const way = fc.array(fc.record({ kind: fc.constantFrom('count', 'count', 'jump'), to: fc.nat(LAST) }), {
  maxLength: 12,
});

test('whatever way the marker went, each record is counted as often as it was passed by counting', () => {
  fc.assert(
    fc.property(fc.nat(LAST), way, (from, steps) => {
      const passed = new Array<number>(LAST).fill(0);
      const moves: Move[] = [];
      let marker = from;
      for (const { kind, to } of steps) {
        if (kind === 'count') for (; marker < to; marker++) passed[marker]!++;
        else {
          moves.push({ at: moves.length + 1, field: FIELD, from: marker, to, why: 'seek' });
          marker = to;
        }
      }
      moves.push({ at: 99, field: 'topic/1' as MarkerField, from: 3, to: 20, why: 'seek' });
      const counted = countedBetween(from, marker, moves, FIELD);
      expect(passed).toEqual(passed.map((_, offset) => timesAt(counted, offset)));
      const ranges = rangesOf(counted);
      expect(passed.map((count) => count > 0)).toEqual(
        passed.map((_, offset) => ranges.some((range) => range.from <= offset && offset < range.to)),
      );
    }),
  );
});

test('a ledger that stands behind where it stood has counted that part once less', () => {
  const counted = countedBetween(9, 4, [], FIELD);
  expect([3, 4, 8, 9].map((offset) => timesAt(counted, offset))).toEqual([0, -1, -1, 0]);
});

test('ranges are joined, and cut', () => {
  const ranges = union([
    { from: 5, to: 7 },
    { from: 0, to: 2 },
    { from: 2, to: 3 },
    { from: 6, to: 9 },
  ]);
  expect(ranges).toEqual([
    { from: 0, to: 3 },
    { from: 5, to: 9 },
  ]);
  expect(clip(ranges, { from: 2, to: 6 })).toEqual([
    { from: 2, to: 3 },
    { from: 5, to: 6 },
  ]);
});
