/** What somebody says about a tenant's trackers: an entry of the file, or a document of the API. */
import { type Dimension, parseDimensions } from '../attribution/dimensions.ts';
import { dimensionEntries, pairsOf } from '../config/dimension-rules.ts';
import { FormatError } from '../config/format-error.ts';
import { parseCount, parseDuration } from '../config/scalars.ts';
import { COST_ATTRIBUTION } from './static.ts';

/** What is said of one tracker; absent: nothing. */
export type TrackerBlock = {
  readonly dimensions?: readonly Dimension[];
  /** 0: the tracker's. */
  readonly maxCardinality?: number;
  readonly staleDurationMs?: number;
};

/** By the tracker's name. */
export type Block = ReadonlyMap<string, TrackerBlock>;

export const NO_BLOCK: Block = new Map();

const MAX_CARDINALITY = 10_000_000;

/** As the file calls them. */
export const TRACKER_SETTINGS = ['dimensions', 'max_cardinality', 'stale_duration'] as const;

type Setting = (typeof TRACKER_SETTINGS)[number];

export type BlockForm = {
  /** The settings of a tracker that may be given. */
  readonly settings: readonly Setting[];
  /** Trackers that there are beside cost attribution; null: any name is taken. */
  readonly trackers: readonly string[] | null;
  readonly unknownKey: (path: string, key: string) => string;
};

export const SECTION = 'cost_attribution';
export const TRACKERS = 'trackers';

/** Of both sections of an entry; null or undefined: there is none. What is wrong is added to `wrong`. */
export const readBlock = (costAttribution: unknown, trackers: unknown, form: BlockForm, wrong: string[]): Block => {
  const block = new Map<string, TrackerBlock>();
  if (costAttribution !== null && costAttribution !== undefined)
    block.set(COST_ATTRIBUTION, readTrackerBlock(costAttribution, SECTION, form, wrong));
  if (trackers === null || trackers === undefined) return block;
  const pairs = Array.isArray(trackers) ? null : pairsOf(trackers);
  if (pairs === null) wrong.push(`${TRACKERS} must be a map from tracker to settings`);
  for (const [key, section] of pairs ?? []) {
    const name = String(key);
    if (form.trackers?.includes(name) === false)
      wrong.push(`there is no tracker "${name}" in usage.trackers: there is ${form.trackers.join(', ') || 'none'}`);
    else if (section !== null) block.set(name, readTrackerBlock(section, `${TRACKERS}.${name}`, form, wrong));
  }
  return block;
};

/** In Tempo's words where Tempo refuses it too. A value of null is none. */
const readTrackerBlock = (section: unknown, path: string, form: BlockForm, wrong: string[]): TrackerBlock => {
  const pairs = Array.isArray(section) ? null : pairsOf(section);
  if (pairs === null) {
    wrong.push(`${path} must be a map of settings`);
    return {};
  }
  const given = new Map(pairs.filter(([, value]) => value !== null));
  for (const [key] of pairs)
    if (!(form.settings as readonly unknown[]).includes(key)) wrong.push(form.unknownKey(path, String(key)));
  const read = <T>(key: Setting, parse: (value: unknown) => T): T | undefined => {
    if (!given.has(key) || !form.settings.includes(key)) return undefined;
    try {
      return parse(given.get(key));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      wrong.push(...error.problems.map((problem) => `${path}.${key} ${problem}`));
      return undefined;
    }
  };
  const dimensions = read('dimensions', (value) => dimensionsOf(value, `${path}.dimensions`, wrong));
  const maxCardinality = read('max_cardinality', (value) => parseCount(value, { max: MAX_CARDINALITY }));
  const staleDurationMs = read('stale_duration', (value) => parseDuration(value, { min: 1_000 }));
  return {
    ...(dimensions === undefined ? {} : { dimensions }),
    ...(maxCardinality === undefined ? {} : { maxCardinality }),
    ...(staleDurationMs === undefined ? {} : { staleDurationMs }),
  };
};

const dimensionsOf = (value: unknown, path: string, wrong: string[]): readonly Dimension[] => {
  const { dimensions, problems } = parseDimensions(dimensionEntries(value), { sharedLabels: 'refuse', path });
  wrong.push(...problems.map(({ text }) => text));
  return dimensions;
};
