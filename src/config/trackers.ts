/**
 * Named trackers, beside the built-in cost-attribution, as a file or the environment holds them:
 *
 *   usage.trackers              { <name>: { enabled, measures: [bytes, spans], max_cardinality, stale_duration,
 *                                           without_dimensions } }
 *   overrides.defaults.trackers { <name>: { dimensions, max_cardinality } }
 *
 * Whatever is left out has its default.
 */
import { type DimensionEntries, dimensionEntries, dimensionRuleShown, pairsOf } from './dimension-rules.ts';
import { FormatError, readEach } from './format-error.ts';
import { formatDuration, parseChoice, parseCount, parseDuration, parseFlag, parseList } from './scalars.ts';

export const MEASURE_NAMES = ['bytes', 'spans'] as const;
export type MeasureName = (typeof MEASURE_NAMES)[number];

export type TrackerConfig = {
  readonly name: string;
  readonly enabled: boolean;
  /** What is shown of it; in the ledger are all. */
  readonly measures: readonly MeasureName[];
  readonly maxCardinality: number;
  readonly staleDurationMs: number;
  readonly withoutDimensions: 'count' | 'ignore';
};

export type TrackerDefaults = {
  readonly name: string;
  readonly dimensions: DimensionEntries;
  /** 0: the tracker's. */
  readonly maxCardinality: number;
};

/** The built-in one under both of its names, the ledger's own, and one that is to come. */
const RESERVED = new Set(['cost-attribution', 'cost_attribution', 'records', 'llm']);
const NAME = /^[a-z][a-z0-9_-]{0,62}$/;
const MAX_TRACKERS = 8;
const MAX_CARDINALITY = 10_000_000;

const fail = (message: string): never => {
  throw new FormatError(message);
};

/** Completes a sentence that begins with the setting; null: it can be used. */
const nameProblem = (name: unknown): string | null => {
  if (typeof name !== 'string' || !NAME.test(name))
    return `must name trackers with small letters, digits, - and _, beginning with a letter: not ${JSON.stringify(name)}`;
  return RESERVED.has(name) ? `cannot have a tracker "${name}": that name is taken` : null;
};

/** What is given for a setting of a tracker; what is wrong is noted, and is the default. */
type ReadSetting = <T>(key: string, parse: (value: unknown) => T, otherwise: T) => T;

/** Each tracker as `build` makes it of what is given for it; values of null are none. */
const trackersOf = <T>(
  value: unknown,
  known: readonly string[],
  build: (name: string, read: ReadSetting) => T,
): readonly T[] => {
  const pairs = pairsOf(value) ?? fail('must be a map from tracker to settings');
  if (pairs.length > MAX_TRACKERS) fail(`must have at most ${MAX_TRACKERS} trackers`);
  return readEach(pairs, ([name, given]) => {
    const wrong = nameProblem(name);
    if (wrong !== null) return fail(wrong);
    const settings = given === null ? [] : (pairsOf(given) ?? fail(`"${name}" must be a map of settings`));
    const problems = settings
      .filter(([key]) => !known.includes(String(key)))
      .map(([key]) => `"${name}" has the unknown key "${String(key)}": there is ${known.join(', ')}`);
    const section = new Map(settings.filter(([, one]) => one !== null));
    const tracker = build(name as string, (key, parse, otherwise) => {
      if (!section.has(key)) return otherwise;
      try {
        return parse(section.get(key));
      } catch (error) {
        if (!(error instanceof FormatError)) throw error;
        problems.push(...error.problems.map((problem) => `"${name}": ${key} ${problem}`));
        return otherwise;
      }
    });
    if (problems.length > 0) throw new FormatError(problems, tracker);
    return tracker;
  });
};

const measuresOf = (value: unknown): readonly MeasureName[] => {
  const given = parseList(value, { required: true });
  const unknown = given.find((name) => !(MEASURE_NAMES as readonly string[]).includes(name));
  if (unknown !== undefined) fail(`has the unknown measure "${unknown}": there is ${MEASURE_NAMES.join(', ')}`);
  return MEASURE_NAMES.filter((name) => given.includes(name));
};

const TRACKER_KEYS = ['enabled', 'measures', 'max_cardinality', 'stale_duration', 'without_dimensions'];

/** Throws a `FormatError`. */
export const trackerConfigs = (value: unknown): readonly TrackerConfig[] =>
  trackersOf(value, TRACKER_KEYS, (name, read) => ({
    name,
    enabled: read('enabled', parseFlag, true),
    measures: read('measures', measuresOf, MEASURE_NAMES),
    maxCardinality: read('max_cardinality', (given) => parseCount(given, { max: MAX_CARDINALITY }), 10_000),
    staleDurationMs: read('stale_duration', (given) => parseDuration(given, { min: 1_000 }), 900_000),
    withoutDimensions: read(
      'without_dimensions',
      (given) => parseChoice(given, { choices: ['count', 'ignore'] }) as 'count' | 'ignore',
      'ignore',
    ),
  }));

/** Throws a `FormatError`. Patterns of dimensions are not looked into. */
export const trackerDefaults = (value: unknown): readonly TrackerDefaults[] =>
  trackersOf(value, ['dimensions', 'max_cardinality'], (name, read) => ({
    name,
    dimensions: read('dimensions', dimensionEntries, []),
    maxCardinality: read('max_cardinality', (given) => parseCount(given, { max: MAX_CARDINALITY }), 0),
  }));

/** As a file would have it. */
export const trackersShown = (trackers: readonly TrackerConfig[]): object =>
  Object.fromEntries(
    trackers.map(({ name, enabled, measures, maxCardinality, staleDurationMs, withoutDimensions }) => [
      name,
      {
        enabled,
        measures,
        max_cardinality: maxCardinality,
        stale_duration: formatDuration(staleDurationMs),
        without_dimensions: withoutDimensions,
      },
    ]),
  );

export const dimensionsShown = (entries: DimensionEntries): object =>
  Object.fromEntries(entries.map(([key, rule]) => [key, dimensionRuleShown(rule)]));

export const trackerDefaultsShown = (trackers: readonly TrackerDefaults[]): object =>
  Object.fromEntries(
    trackers.map(({ name, dimensions, maxCardinality }) => [
      name,
      { dimensions: dimensionsShown(dimensions), max_cardinality: maxCardinality },
    ]),
  );
