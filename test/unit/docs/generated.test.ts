import { expect, test } from '@jest/globals';
import { outOfStep, settingsTable, withPart } from '../../support/generate-docs.ts';

test('the tables in README.md and docs/ are in step with the code', () => {
  expect(outOfStep().map(({ file }) => file)).toEqual([]);
});

test('a marked part is replaced and the rest is left', () => {
  const marked = (inner: string) =>
    `before\n<!-- x: made by test/support/generate-docs.ts -->${inner}<!-- end of x -->\nafter`;
  expect(withPart(marked('old'), 'x', 'new')).toBe(marked('\n\nnew\n\n'));
  expect(() => withPart('no marks', 'x', 'new')).toThrow('there is no part "x"');
});

test('the table of settings shows no cell that breaks it', () => {
  for (const line of settingsTable().split('\n')) expect(line.match(/(?<!\\)\|/g)).toHaveLength(4);
});
