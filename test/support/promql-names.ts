/** The names of metrics in an expression, and those that exist. For expressions that Prometheus accepts. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { families } from '../../src/publish/families.ts';
import { DECLARED } from '../../src/telemetry/self-metrics.ts';
import { settingsOf } from '../unit/publish/tables.ts';
import { recordings } from './rules.ts';

const WORDS = new Set(['and', 'or', 'unless', 'offset', 'bool', 'inf', 'nan', 'start', 'end', 'atan2']);
const GROUPING = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/gi;

export const metricNames = (promql: string): readonly string[] => {
  const bare = promql
    .replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/g, '""')
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(GROUPING, ' ')
    .replace(/\b(?:offset|by|without|on)\s+-?[0-9][0-9a-z]*/gi, ' ');
  const found = bare.matchAll(/(?<![\w:.])([a-zA-Z_:][\w:]*)\s*(\(|by\b|without\b)?/g);
  return [...found]
    .filter(([, name, after]) => after === undefined && !WORDS.has(name!.toLowerCase()))
    .map(([, name]) => name!);
};

const HISTOGRAM = ['_bucket', '_sum', '_count'];

const selfMetricNames = (): string[] =>
  Object.values(DECLARED).flatMap(({ name, type }) =>
    type === 'histogram' ? HISTOGRAM.map((suffix) => name + suffix) : [name],
  );

const usageMetricNames = (prefix: string): string[] =>
  families(prefix, settingsOf(1, ['service']), ['cost-attribution', RECORDS_TENANT]).map((family) =>
    family.kind === 'series' || family.type === 'counter' ? `${family.name}_total` : family.name,
  );

const processMetricNames = async (): Promise<string[]> => {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const metrics = await registry.getMetricsAsJSON();
  return metrics.flatMap(({ name }) => [name, ...HISTOGRAM.map((suffix) => name + suffix)]);
};

const PREFIX = 'tempo_usage_tracker';
const OF_PROMETHEUS = [
  'up',
  'scrape_duration_seconds',
  'scrape_samples_scraped',
  'scrape_samples_post_metric_relabeling',
];

/** Every metric that the code, Prometheus and the shipped rules make, with the prefix of the default settings. */
export const existingNames = async (): Promise<ReadonlySet<string>> =>
  new Set([
    ...selfMetricNames(),
    ...usageMetricNames(PREFIX),
    ...(await processMetricNames()),
    ...OF_PROMETHEUS,
    ...recordings().map(({ record }) => record),
  ]);
