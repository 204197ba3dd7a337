import { expect, test } from '@jest/globals';
import { loadConfig } from '../../../src/config/load.ts';

const load = (yaml: string) => {
  const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const { usage, publish } = loaded.config;
  return [usage.accounting, usage.maxLabelValueLengthBytes, publish.numbers];
};

test.each([
  ['{}', ['exact', 2_048, 'plain']],
  ['publish: { numbers: go }', ['exact', 2_048, 'go']],
  ['usage: { accounting: tempo }', ['tempo', 65_536, 'go']],
  [
    '{ usage: { accounting: tempo, max_label_value_length: 100 }, publish: { numbers: plain } }',
    ['tempo', 65_536, 'plain'],
  ],
])('%s counts, cuts and prints as it says', (yaml, wanted) => {
  expect(load(yaml)).toEqual(wanted);
});

test('there are two accountings', () => {
  expect(() => load('usage: { accounting: rough }')).toThrow('usage.accounting');
});
