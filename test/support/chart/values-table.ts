/** The table of values in the chart's README, from the comments of values.yaml. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMap, isScalar, type Pair, parseDocument, type YAMLMap } from 'yaml';

export type Value = { readonly path: string; readonly default: string; readonly doc: string };

const MARK = /^ -- /;

/** What follows the last mark, as one line; empty where there is none. */
const docOf = (comment: string): string => {
  const lines = comment.split('\n');
  const from = lines.findLastIndex((line) => MARK.test(line));
  if (from < 0) return '';
  return lines
    .slice(from)
    .map((line) => line.replace(MARK, '').trim())
    .join(' ')
    .trim();
};

const commentOf = (pair: Pair, map: YAMLMap): string => {
  const key = isScalar(pair.key) ? (pair.key.commentBefore ?? '') : '';
  // The comment above the first key of a map belongs to the map.
  return map.items[0] === pair ? [map.commentBefore, key].filter(Boolean).join('\n') : key;
};

/** A map with a doc of its own is one value. */
const valuesOf = (map: YAMLMap, prefix: string): readonly Value[] =>
  map.items.flatMap((pair) => {
    const path = `${prefix}${String(pair.key)}`;
    const doc = docOf(commentOf(pair as Pair, map));
    const { value } = pair;
    if (isMap(value) && doc === '' && value.items.length > 0) return valuesOf(value, `${path}.`);
    const json = JSON.stringify((value as { toJSON(): unknown } | null)?.toJSON() ?? null);
    return [{ path, default: json, doc }];
  });

export const chartValues = (): readonly Value[] => {
  const document = parseDocument(
    readFileSync(join(import.meta.dirname, '../../../helm/tracetally/values.yaml'), 'utf8'),
  );
  if (!isMap(document.contents)) throw new Error('values.yaml is no map');
  return valuesOf(document.contents, '');
};
