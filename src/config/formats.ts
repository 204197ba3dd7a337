/** The formats of settings, by the name that a setting gives. */
import { type DimensionEntries, dimensionEntries } from './dimension-rules.ts';
import {
  pairsOfJson,
  parseChoice,
  parseCount,
  parseDuration,
  parseFlag,
  parseList,
  parsePairs,
  parseSize,
  parseText,
} from './scalars.ts';
import { type TrackerConfig, type TrackerDefaults, trackerConfigs, trackerDefaults } from './trackers.ts';

const ofJson = (value: unknown): unknown => (typeof value === 'string' ? pairsOfJson(value) : value);

const parseDimensions = (value: unknown): DimensionEntries => dimensionEntries(ofJson(value));
const parseTrackers = (value: unknown): readonly TrackerConfig[] => trackerConfigs(ofJson(value));
const parseTrackerDefaults = (value: unknown): readonly TrackerDefaults[] => trackerDefaults(ofJson(value));

export const FORMATS = {
  text: parseText,
  choice: parseChoice,
  flag: parseFlag,
  count: parseCount,
  duration: parseDuration,
  size: parseSize,
  list: parseList,
  map: parsePairs,
  dimensions: parseDimensions,
  trackers: parseTrackers,
  tracker_defaults: parseTrackerDefaults,
} as const;

/** Those whose values are maps in a file. */
const MAPS: ReadonlySet<string> = new Set<FormatName>(['map', 'dimensions', 'trackers', 'tracker_defaults']);
export const isMapFormat = (format: FormatName): boolean => MAPS.has(format);

export type FormatName = keyof typeof FORMATS;
