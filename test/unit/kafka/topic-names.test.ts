import { expect, test } from '@jest/globals';
import { matcherOf, unmatched } from '../../../src/kafka/topic-names.ts';

test.each([
  [['spans'], 'spans', true],
  [['spans'], 'spans-2', false],
  [['.'], 'a', false],
  [['^traces-'], 'traces-acme', true],
  [['^traces-'], 'my-traces-acme', false],
  [['^traces-.$'], 'traces-acme', false],
  [['spans', '^traces-'], 'spans', true],
  [['^.*'], '__consumer_offsets', false],
  [['^.*', '__mine'], '__mine', true],
])('%j takes the topic %s: %s', (wanted, topic, expected) => {
  expect(matcherOf(wanted)(topic)).toBe(expected);
});

test('what has no topic', () => {
  const found = [{ name: 'a', id: 'a', partitions: 1 }];
  expect(unmatched(['a', 'b', '^a', '^b'], found)).toEqual(['b', '^b']);
});
