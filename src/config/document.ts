/** From the text of a file to raw values: YAML, then `${VAR}` in its texts, then only the keys that the schema has. */
import { parseDocument } from 'yaml';
import { isMapFormat } from './formats.ts';
import { convictKey, place, ROWS, type Row } from './schema.ts';

export type Environment = Readonly<Record<string, string | undefined>>;
/** What is wrong is added to the list as a line that begins with the place. */
export type Problems = string[];

type Branch = { readonly [key: string]: Branch | Row };

const isRow = (node: Branch | Row): node is Row => typeof node.path === 'string';

const TREE: Branch = (() => {
  const root: Record<string, unknown> = {};
  for (const row of ROWS) place(root, row.path, row);
  return root as Branch;
})();

/** Sections that other products have, and what takes their place. */
const FOREIGN: Readonly<Record<string, string>> = {
  distributor: "Tempo's distributor.usage.cost_attribution is usage.cost_attribution here",
  ingest: "Tempo's ingest.kafka is kafka here (address: brokers, topic: topics, consumer_group: group_id)",
};

/** Edits (insert, delete, replace) that turn one text into the other. */
export const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const above = row;
    row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, above[j]! + 1, row[j - 1]! + 1));
    }
  }
  return row[b.length]!;
};

const nearest = (key: string, known: readonly string[]): string => {
  const ranked = known.toSorted((a, b) => distance(key, a) - distance(key, b));
  return ranked[0]!;
};

const unknownKey = (path: string, key: string, branch: Branch): string => {
  const foreign = path === key ? FOREIGN[key] : undefined;
  const known = Object.keys(branch);
  const hint =
    key.length > 100 ? `known here: ${known.join(', ')}` : `the nearest known one is "${nearest(key, known)}"`;
  return `${path}: unknown key; ${foreign ?? hint}`;
};

const VARIABLE = /\$\$\{|\$\{([^}:]*)(?::([^}]*))?\}/g;

/** `$${` stands for a plain `${`. */
const expand = (text: string, path: string, env: Environment, problems: Problems): string =>
  text.replace(VARIABLE, (match, name: string | undefined, fallback: string | undefined) => {
    if (name === undefined) return match.slice(1);
    const value = (Object.hasOwn(env, name) ? env[name] : undefined) ?? fallback;
    if (value === undefined) problems.push(`${path}: the environment has no ${name}, and \${${name}} gives no default`);
    return value ?? '';
  });

/** Expands in texts, lists of texts and values of maps; a map becomes pairs. What else there is stays as it is. */
const expanded = (value: unknown, path: string, env: Environment, problems: Problems): unknown => {
  if (typeof value === 'string') return expand(value, path, env, problems);
  if (Array.isArray(value)) return value.map((item) => expanded(item, path, env, problems));
  if (value instanceof Map) return [...value].map(([key, item]) => [key, expanded(item, path, env, problems)]);
  return value;
};

/** Values by `convictKey` of their setting. */
type Raw = { [key: string]: unknown };
type Reading = {
  readonly env: Environment;
  readonly problems: Problems;
  /** What was passed over, or stands elsewhere here. */
  readonly notes: string[];
  readonly raw: Raw;
};

/**
 * Where a file of Tempo has more than concerns us: its block of overrides is taken as it is. A key of these sections that
 * is not ours is passed over, unless it looks like a slip of one that is.
 */
export const TEMPO_SECTIONS: ReadonlySet<string> = new Set([
  'overrides',
  'overrides.defaults',
  'overrides.user_configurable_overrides',
  'overrides.user_configurable_overrides.api',
]);
const SLIP = 2;

/** Tempo's older, flat form has it directly under `overrides`. */
const FLAT = { path: 'overrides.cost_attribution', stands: 'overrides.defaults.cost_attribution' };

const branchAt = (path: string): Branch => path.split('.').reduce((branch, key) => branch[key] as Branch, TREE);

const passOver = (path: string, key: string, branch: Branch, { problems, notes }: Reading): void => {
  const isTempos = TEMPO_SECTIONS.has(path.slice(0, -key.length - 1));
  if (isTempos && Object.keys(branch).every((known) => distance(known, key) > SLIP))
    notes.push(`${path.slice(0, 200)}: is none of ours, and was passed over`);
  else problems.push(unknownKey(path, key, branch));
};

/** An empty section or an empty value is one that was left out. */
const pick = (node: unknown, branch: Branch, prefix: string, reading: Reading): void => {
  const { env, problems, raw } = reading;
  if (node === null || node === undefined) return;
  if (!(node instanceof Map)) {
    problems.push(`${prefix === '' ? 'the file' : prefix}: must be a map of settings`);
    return;
  }
  for (const [key, value] of node) {
    const name = typeof key === 'string' ? key : (JSON.stringify(key) ?? String(key));
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const known = Object.hasOwn(branch, name) ? branch[name] : undefined;
    if (path === FLAT.path) pickFlat(value, node, reading);
    else if (known === undefined) passOver(path, name, branch, reading);
    else if (!isRow(known)) pick(value, known, path, reading);
    else if (typeof value !== 'string' && value !== null && value instanceof Map !== isMapFormat(known.format))
      problems.push(`${path}: must ${isMapFormat(known.format) ? '' : 'not '}be a map`);
    else if (value !== null) raw[convictKey(known)] = expanded(value, path, env, problems);
  }
};

/** Beside `defaults` it would not be clear which of them is meant. */
const pickFlat = (value: unknown, overrides: ReadonlyMap<unknown, unknown>, reading: Reading): void => {
  if (overrides.has('defaults'))
    reading.problems.push(`${FLAT.path}: is the older form of ${FLAT.stands}; move it there, since there are defaults`);
  else pick(value, branchAt(FLAT.stands), FLAT.path, reading);
};

const parsed = (text: string, name: string, problems: Problems): unknown => {
  try {
    const document = parseDocument(text, { prettyErrors: true });
    const found = [...document.errors, ...document.warnings];
    for (const error of found) problems.push(`${name}: ${error.message.split('\n')[0]!.replace(/:$/, '')}`);
    return found.length > 0 ? null : document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  } catch (error) {
    problems.push(`${name}: ${(error as Error).message.split('\n')[0]!}`);
    return null;
  }
};

/** What the text gives to settings, by `convictKey`. `name` is what problems call the file. */
export const readDocument = (
  text: string,
  name: string,
  env: Environment,
  problems: Problems,
  notes: string[] = [],
): Raw => {
  const reading = { env, problems, notes, raw: {} };
  pick(parsed(text, name, problems), TREE, '', reading);
  return reading.raw;
};
