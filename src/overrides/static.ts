/** What the configuration alone says of tenants and their dimensions: for all tenants the same. */
import { type Dimension, parseDimensions } from '../attribution/dimensions.ts';
import { refuseTenantId } from '../attribution/tenant.ts';
import type { Config, Encoding } from '../config/config.ts';

/** The tracker that a Tempo user knows as cost attribution. */
export const COST_ATTRIBUTION = 'cost-attribution';

const DIMENSIONS = 'overrides.defaults.cost_attribution.dimensions';

const parsed = ({ overrides }: Config, sharedLabels: 'allow' | 'refuse' = 'allow') =>
  parseDimensions(overrides.defaults.costAttribution.dimensions, { sharedLabels, path: DIMENSIONS });

const parsedTrackers = ({ overrides }: Config) =>
  overrides.defaults.trackers.map(({ name, dimensions }) => {
    const path = `overrides.defaults.trackers.${name}.dimensions`;
    return { name, path, ...parseDimensions(dimensions, { sharedLabels: 'allow', path }) };
  });

/** Where the overrides say nothing. The configuration must have no `usageProblems`. */
export const defaultDimensions = (config: Config, tracker: string): readonly Dimension[] => {
  if (tracker === COST_ATTRIBUTION) return parsed(config).dimensions;
  return parsedTrackers(config).find(({ name }) => name === tracker)?.dimensions ?? [];
};

/** That overrides may speak of, beside cost attribution. */
export const trackerNames = ({ usage }: Config): readonly string[] => usage.trackers.map(({ name }) => name);

/** Likely mistakes that are no errors: two dimensions on one label. */
export const usageWarnings = (config: Config): readonly string[] =>
  parsed(config, 'refuse')
    .problems.filter(({ kind }) => kind === 'duplicate')
    .map(({ text }) => `${text}; where both have a value, the last one wins (in Tempo that is left to chance)`);

/** What is wrong with tenants and dimensions, each with its path. Empty: `tenantSettings` can be asked. */
export const usageProblems = (config: Config): readonly string[] => {
  const fallback = config.tenants.default === '' ? null : refuseTenantId(config.tenants.default);
  return [
    ...(fallback === null ? [] : [`tenants.default: ${fallback}`]),
    ...parsed(config).problems.map(({ key, text }) => `${DIMENSIONS}: "${key}": ${text}`),
    ...parsedTrackers(config).flatMap(({ path, problems }) =>
      problems.map(({ key, text }) => `${path}: "${key}": ${text}`),
    ),
  ];
};

/** How the records of a topic are encoded. */
export const topicEncodings = ({ kafka }: Config): ((topic: string) => Encoding) => {
  const encodings = new Map(kafka.topicEncodings);
  return (topic) => encodings.get(topic) ?? kafka.encoding;
};
