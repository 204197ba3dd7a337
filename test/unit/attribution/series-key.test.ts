import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeSeriesKey, encodeSeriesKey, seriesId } from '../../../src/attribution/series-key.ts';

const labels = fc.uniqueArray(
  fc.tuple(fc.string({ maxLength: 4 }), fc.oneof(fc.string({ unit: 'binary' }), fc.constant('v'.repeat(300)))),
  { selector: ([name]) => name, maxLength: 4 },
);
const sorted = (set: [string, string][]): [string, string][] => set.toSorted(([a], [b]) => (a < b ? -1 : 1));

test('a key gives back its labels, sorted by name', () => {
  fc.assert(fc.property(labels, (set) => expect(decodeSeriesKey(encodeSeriesKey(set))).toEqual(sorted(set))));
});

test('different label sets have different keys, and a label set has one', () => {
  fc.assert(
    fc.property(labels, labels, (a, b) => {
      const same = JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));
      expect(encodeSeriesKey(a).equals(encodeSeriesKey(b))).toBe(same);
      expect(encodeSeriesKey(a.toReversed()).equals(encodeSeriesKey(a))).toBe(true);
    }),
  );
});

test.each([
  [
    [['a', 'b,c=d']],
    [
      ['a', 'b'],
      ['c', 'd'],
    ],
  ],
  [
    [['a', '1\0b']],
    [
      ['a', '1'],
      ['b', ''],
    ],
  ],
  [[['ab', 'c']], [['a', 'bc']]],
] as [string, string][][][])('no separator is mistaken', (a, b) => {
  expect(encodeSeriesKey(a!).equals(encodeSeriesKey(b!))).toBe(false);
});

test('an id is the beginning of the SHA-256 of the key', () => {
  const key = encodeSeriesKey([['a', 'b']]);
  expect(key.toString('hex')).toBe('01610162');
  expect(seriesId(key)).toEqual(createHash('sha256').update(key).digest().subarray(0, 16));
});

test('other bytes are not a key', () => {
  expect(() => decodeSeriesKey(Buffer.from('0561', 'hex'))).toThrow('not a series key');
  expect(() => decodeSeriesKey(Buffer.from('0161', 'hex'))).toThrow('not a series key');
});
