/** Every test that the README's table of failures, or docs/operations.md, names is there. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const root = join(import.meta.dirname, '../../..');
const FILES = new Map(
  readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => [
      file.replace(/^.*\//, '').replace(/(?:\.test)?\.ts$/, ''),
      readFileSync(join(root, 'test', file), 'utf8'),
    ]),
);

/** The rows of a table whose last column is headed "test". */
const rowsOf = (document: string): readonly (readonly string[])[] => {
  const lines = readFileSync(join(root, document), 'utf8').split('\n');
  const first = lines.findIndex((line) => /^\|.*\| test \|$/.test(line));
  const rest = lines.slice(first + 2);
  return rest
    .slice(
      0,
      rest.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
};

test.each(['README.md', 'docs/operations.md'])('%s', (document) => {
  const rows = rowsOf(document);
  expect(rows.length).toBeGreaterThan(5);
  const missing = rows.filter((row) => {
    const [, file = '', title = ''] = /^`([\w-]+)`: (.+)$/.exec(row.at(-1)!) ?? [];
    return title === '' || !FILES.get(file)?.includes(`'${title}'`);
  });
  expect(missing.map((row) => row.at(-1))).toEqual([]);
});
