/**
 * Tempo's file of overrides:
 *
 *   overrides:
 *     <tenant>, or "*" for those without an entry:
 *       cost_attribution: { dimensions: { <attribute>: <label> }, max_cardinality: <count>, stale_duration: <duration> }
 *       trackers: { <name>: the same }
 *
 * `stale_duration` and `trackers` are ours. What else Tempo keeps for a tenant, nested or in its older flat form, is no concern of ours
 * and is passed over. A tenant whose entry is null has none.
 */
import { createHash } from 'node:crypto';
import { parseDocument } from 'yaml';
import { distance } from '../config/document.ts';
import { type Block, NO_BLOCK, readBlock, SECTION, TRACKER_SETTINGS, TRACKERS } from './block.ts';

/** The wildcard: what is in force for tenants without an entry. */
export const ANY_TENANT = '*';

export type Overrides = {
  /** Of the content. */
  readonly sha256: string;
  readonly blocks: ReadonlyMap<string, Block>;
};

export const NO_OVERRIDES: Overrides = { sha256: '', blocks: new Map() };

const unknownKey = (path: string, key: string): string =>
  `unknown key "${path}.${key}": there is ${TRACKER_SETTINGS.join(', ')}`;

type Node = ReadonlyMap<unknown, unknown>;

export const hashOf = (content: string): string => createHash('sha256').update(content).digest('hex');

/**
 * The overrides, or everything that is wrong: one tenant with a problem refuses the file, as in Tempo. `trackers`: those
 * that there are beside cost attribution.
 */
export const readOverrides = (
  content: string,
  trackers: readonly string[] = [],
): Overrides | { readonly problems: readonly string[] } => {
  const problems: string[] = [];
  const root = parsed(content, problems);
  const blocks = new Map<string, Block>();
  for (const [key, value] of entriesOf(root, problems)) {
    const tenant = String(key);
    if (value === null) continue;
    const wrong: string[] = [];
    const block = blockOf(value, trackers, wrong);
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

/** Sections of ours, and how many edits away a slip of them is. */
const SLIPS = [
  [SECTION, 3],
  [TRACKERS, 1],
] as const;

const blockOf = (entry: unknown, trackers: readonly string[], wrong: string[]): Block => {
  if (!(entry instanceof Map)) {
    wrong.push('it must be a map of settings');
    return NO_BLOCK;
  }
  for (const key of entry.keys()) {
    const meant = SLIPS.find(([name, edits]) => key !== name && distance(String(key), name) <= edits)?.[0];
    if (meant !== undefined) wrong.push(`unknown key "${String(key)}": is ${meant} meant?`);
  }
  return readBlock(
    entry.get(SECTION),
    entry.get(TRACKERS),
    { settings: TRACKER_SETTINGS, trackers, unknownKey },
    wrong,
  );
};
