/** What somebody says about a tenant's trackers: an entry of the file, or a document of the API. */
import { type Dimension, parseDimensions } from '../attribution/dimensions.ts';
import { dimensionEntries, pairsOf } from '../config/dimension-rules.ts';
import { FormatError } from '../config/format-error.ts';
import { FORMATS } from '../config/formats.ts';

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

export type SectionForm = {
  /** What problems call the section. */
  readonly path: string;
  /** The settings that may be given. */
  readonly settings: readonly Setting[];
  readonly unknownKey: (key: string) => string;
};

/** What is wrong is added to `wrong`, in Tempo's words where Tempo refuses it too. A value of null is none. */
export const readTrackerBlock = (section: unknown, form: SectionForm, wrong: string[]): TrackerBlock => {
  const pairs = section instanceof Map || !Array.isArray(section) ? pairsOf(section) : null;
  if (pairs === null) {
    wrong.push(`${form.path} must be a map of settings`);
    return {};
  }
  const given = new Map(pairs.filter(([, value]) => value !== null));
  for (const [key] of pairs)
    if (!(form.settings as readonly unknown[]).includes(key)) wrong.push(form.unknownKey(String(key)));
  const read = <T>(key: Setting, parse: (value: unknown) => T): T | undefined => {
    if (!given.has(key) || !form.settings.includes(key)) return undefined;
    try {
      return parse(given.get(key));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      wrong.push(`${form.path}.${key} ${error.message}`);
      return undefined;
    }
  };
  const dimensions = read('dimensions', (value) => dimensionsOf(value, `${form.path}.dimensions`, wrong));
  const maxCardinality = read('max_cardinality', (value) => FORMATS.count(value, { max: MAX_CARDINALITY }));
  const staleDurationMs = read('stale_duration', (value) => FORMATS.duration(value, { min: 1_000 }));
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
