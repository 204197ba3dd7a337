/** Settings as they may be printed: a tree in the words of the file, every secret replaced. */

import { FORMATS } from './formats.ts';
import { MASK } from './mask.ts';
import { formatDuration, formatSize, type Pairs } from './scalars.ts';
import { place, ROWS, type Row, type Values } from './schema.ts';
import { dimensionsShown, trackerDefaultsShown, trackersShown } from './trackers.ts';

const WORDS: Partial<Record<Row['format'], (value: never) => unknown>> = {
  duration: (ms: number) => formatDuration(ms),
  size: (bytes: number) => formatSize(bytes),
  map: (pairs: Pairs) => Object.fromEntries(pairs),
  dimensions: dimensionsShown,
  trackers: trackersShown,
  tracker_defaults: trackerDefaultsShown,
};

const shown = (row: Row, value: unknown): unknown => {
  if (row.sensitive === true) return value === '' ? '' : MASK;
  const words = WORDS[row.format];
  return words === undefined ? value : words(value as never);
};

const valueAt = (values: Values, path: string): unknown =>
  path.split('.').reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], values);

const treeOf = (rows: readonly (readonly [Row, unknown])[]): Readonly<Record<string, unknown>> => {
  const tree: Record<string, unknown> = {};
  for (const [row, value] of rows) place(tree, row.path, value);
  return tree;
};

const isDefault = (row: Row, value: unknown): boolean =>
  JSON.stringify(value) === JSON.stringify(FORMATS[row.format](row.default, row));

export const SHOWN_MODES = ['', 'diff', 'defaults'] as const;

/** `diff`: those alone that are not the default. `defaults`: what they would be. */
export const shownSettings = (
  values: Values,
  mode: (typeof SHOWN_MODES)[number],
): Readonly<Record<string, unknown>> => {
  const rows = ROWS.map((row) => {
    const value = mode === 'defaults' ? FORMATS[row.format](row.default, row) : valueAt(values, row.path);
    return [row, value] as const;
  });
  const wanted = mode === 'diff' ? rows.filter(([row, value]) => !isDefault(row, value)) : rows;
  return treeOf(wanted.map(([row, value]) => [row, shown(row, value)]));
};
