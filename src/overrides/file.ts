/**
 * Tempo's file of overrides:
 *
 *   overrides:
 *     <tenant>, or "*" for those without an entry:
 *       cost_attribution: { dimensions: { <attribute>: <label> }, max_cardinality: <count>, stale_duration: <duration> }
 *
 * `stale_duration` is ours. What else Tempo keeps for a tenant, nested or in its older flat form, is no concern of ours
 * and is passed over. A tenant whose entry is null has none.
 */
import { createHash } from 'node:crypto';
import { parseDocument } from 'yaml';
import { type Dimension, parseDimensions } from '../attribution/dimensions.ts';
import { dimensionEntries } from '../config/dimension-rules.ts';
import { distance } from '../config/document.ts';
import { FormatError } from '../config/format-error.ts';
import { FORMATS } from '../config/formats.ts';

/** The wildcard: what is in force for tenants without an entry. */
export const ANY_TENANT = '*';

/** What an entry says; absent: nothing. */
export type Block = {
  readonly dimensions?: readonly Dimension[];
  /** 0: the tracker's. */
  readonly maxCardinality?: number;
  readonly staleDurationMs?: number;
};

export type Overrides = {
  /** Of the content. */
  readonly sha256: string;
  readonly blocks: ReadonlyMap<string, Block>;
};

export const NO_OVERRIDES: Overrides = { sha256: '', blocks: new Map() };

const SECTION = 'cost_attribution';
const MAX_CARDINALITY = 10_000_000;
const KNOWN = ['dimensions', 'max_cardinality', 'stale_duration'];

type Node = ReadonlyMap<unknown, unknown>;

export const hashOf = (content: string): string => createHash('sha256').update(content).digest('hex');

/** The overrides, or everything that is wrong: one tenant with a problem refuses the file, as in Tempo. */
export const readOverrides = (content: string): Overrides | { readonly problems: readonly string[] } => {
  const problems: string[] = [];
  const root = parsed(content, problems);
  const blocks = new Map<string, Block>();
  for (const [key, value] of entriesOf(root, problems)) {
    const tenant = String(key);
    if (value === null) continue;
    const wrong: string[] = [];
    const block = blockOf(value, wrong);
    problems.push(...wrong.map((text) => `validating overrides for ${tenant} failed: ${text}`));
    blocks.set(tenant, block);
  }
  return problems.length > 0 ? { problems } : { sha256: hashOf(content), blocks };
};

const parsed = (content: string, problems: string[]): unknown => {
  try {
    const document = parseDocument(content, { prettyErrors: true });
    for (const { message } of document.errors) problems.push(message.split('\n')[0]!.replace(/:$/, ''));
    return problems.length > 0 ? null : document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  } catch (error) {
    problems.push((error as Error).message.split('\n')[0]!);
    return null;
  }
};

const entriesOf = (root: unknown, problems: string[]): Node => {
  const none: Node = new Map();
  if (root === null) return none;
  if (!(root instanceof Map)) {
    problems.push('the file must be a map with the key overrides');
    return none;
  }
  for (const key of root.keys())
    if (key !== 'overrides') problems.push(`unknown key "${String(key)}": only overrides is read`);
  const entries: unknown = root.get('overrides') ?? none;
  if (entries instanceof Map) return entries as Node;
  problems.push('overrides must be a map from tenant to settings');
  return none;
};

const blockOf = (entry: unknown, wrong: string[]): Block => {
  if (!(entry instanceof Map)) {
    wrong.push('it must be a map of settings');
    return {};
  }
  for (const key of entry.keys()) {
    if (key !== SECTION && distance(String(key), SECTION) <= 3)
      wrong.push(`unknown key "${String(key)}": is ${SECTION} meant?`);
  }
  const section: unknown = entry.get(SECTION) ?? null;
  if (section === null) return {};
  if (section instanceof Map) return costAttribution(section as Node, wrong);
  wrong.push(`${SECTION} must be a map of settings`);
  return {};
};

const costAttribution = (section: Node, wrong: string[]): Block => {
  for (const key of section.keys()) {
    if (!KNOWN.includes(String(key)))
      wrong.push(`unknown key "${SECTION}.${String(key)}": there is ${KNOWN.join(', ')}`);
  }
  const read = <T>(key: string, parse: (value: unknown) => T): T | undefined => {
    const value = section.get(key);
    if (value === undefined || value === null) return undefined;
    try {
      return parse(value);
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      wrong.push(`${SECTION}.${key} ${error.message}`);
      return undefined;
    }
  };
  const dimensions = read('dimensions', (value) => dimensionsOf(value, wrong));
  const maxCardinality = read('max_cardinality', (value) => FORMATS.count(value, { max: MAX_CARDINALITY }));
  const staleDurationMs = read('stale_duration', (value) => FORMATS.duration(value, { min: 1_000 }));
  return {
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(maxCardinality === undefined ? {} : { maxCardinality }),
    ...(staleDurationMs === undefined ? {} : { staleDurationMs }),
  };
};

const dimensionsOf = (value: unknown, wrong: string[]): readonly Dimension[] => {
  const pairs = dimensionEntries(value);
  const { dimensions, problems } = parseDimensions(pairs, { sharedLabels: 'refuse' });
  wrong.push(...problems.map(({ text }) => text));
  return dimensions;
};
