/**
 * What is in force for a tenant. Of each tracker: what the tenant set for itself, else its own entry of the file, else the
 * wildcard's, else the configuration's defaults.
 */
import type { TenantSettings, TrackerSettings } from '../attribution/series-table.ts';
import type { Config } from '../config/config.ts';
import { type Block, NO_BLOCK, type TrackerBlock } from './block.ts';
import { ANY_TENANT, NO_OVERRIDES, type Overrides } from './file.ts';
import { COST_ATTRIBUTION, defaultDimensions } from './static.ts';
import type { UserBlocks } from './user-document.ts';

export type SettingsOf = (tenant: string) => TenantSettings;

/** What says how much for a tenant: for people. */
export type Source = 'tenant' | 'wildcard' | 'defaults';

export const sourceOf = ({ blocks }: Overrides, tenant: string): Source => {
  if (blocks.has(tenant)) return 'tenant';
  return blocks.has(ANY_TENANT) ? 'wildcard' : 'defaults';
};

/** A tracker as the configuration has it. */
type Tracker = {
  readonly name: string;
  readonly maxCardinality: number;
  readonly staleDurationMs: number;
  /** What becomes of a tenant without dimensions. */
  readonly withoutDimensions: 'count' | 'ignore';
};

const trackersOf = ({ usage }: Config): readonly Tracker[] => {
  const all = [{ name: COST_ATTRIBUTION, ...usage.costAttribution }, ...usage.trackers];
  return all.filter(({ enabled }) => enabled);
};

const defaultsOf = (config: Config): Block => {
  const { costAttribution, trackers } = config.overrides.defaults;
  const all = [{ name: COST_ATTRIBUTION, maxCardinality: costAttribution.maxCardinality }, ...trackers];
  return new Map(
    all.map(({ name, maxCardinality }) => [name, { dimensions: defaultDimensions(config, name), maxCardinality }]),
  );
};

const NOTHING: TrackerBlock = {};

const settle = (tracker: Tracker, said: TrackerBlock): TrackerSettings | null => {
  const { name, maxCardinality, staleDurationMs, withoutDimensions } = tracker;
  const dimensions = said.dimensions ?? [];
  if (dimensions.length === 0 && withoutDimensions === 'ignore') return null;
  return {
    name,
    dimensions,
    limit: said.maxCardinality || maxCardinality,
    staleS: Math.ceil((said.staleDurationMs ?? staleDurationMs) / 1_000),
  };
};

/**
 * The configuration must have no `usageProblems`. With `block` an entry stands for all settings: what it does not say is
 * what Tempo takes then, no dimensions and the tracker's limit, not what the wildcard or the defaults say. With `fields`
 * each setting is asked for by itself. What a tenant set for itself always comes setting by setting.
 */
export const tenantSettings = (
  config: Config,
  overrides: Overrides = NO_OVERRIDES,
  users: UserBlocks = new Map(),
): SettingsOf => {
  const trackers = trackersOf(config);
  const whole = defaultsOf(config);
  const any = overrides.blocks.get(ANY_TENANT);
  const isByField = config.overrides.merge === 'fields';
  const made = new Map<Block | undefined, TenantSettings>();
  const saidOf = (name: string, own: Block | undefined): TrackerBlock =>
    isByField
      ? { ...whole.get(name), ...any?.get(name), ...own?.get(name) }
      : ((own ?? any ?? whole).get(name) ?? NOTHING);
  const settings = (own: Block | undefined, user: Block): TenantSettings => ({
    trackers: trackers.flatMap(
      (tracker) => settle(tracker, { ...saidOf(tracker.name, own), ...user.get(tracker.name) }) ?? [],
    ),
  });
  return (tenant) => {
    const own = overrides.blocks.get(tenant);
    const user = users.get(tenant);
    const key = user ?? own;
    let found = made.get(key);
    if (found === undefined) {
      found = settings(own, user ?? NO_BLOCK);
      made.set(key, found);
    }
    return found;
  };
};
