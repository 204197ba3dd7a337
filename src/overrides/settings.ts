/** What is in force for a tenant: its own entry of the overrides, else the wildcard's, else the configuration's defaults. */
import type { TenantSettings } from '../attribution/series-table.ts';
import type { Config } from '../config/config.ts';
import { ANY_TENANT, type Block, NO_OVERRIDES, type Overrides } from './file.ts';
import { COST_ATTRIBUTION, defaultDimensions } from './static.ts';

export type SettingsOf = (tenant: string) => TenantSettings;

/** What says how much for a tenant: for people. */
export type Source = 'tenant' | 'wildcard' | 'defaults';

export const sourceOf = ({ blocks }: Overrides, tenant: string): Source => {
  if (blocks.has(tenant)) return 'tenant';
  return blocks.has(ANY_TENANT) ? 'wildcard' : 'defaults';
};

/**
 * The configuration must have no `usageProblems`. With `block` an entry stands for all settings: what it does not say is
 * what Tempo takes then, no dimensions and the tracker's limit, not what the wildcard or the defaults say. With `fields`
 * each setting is asked for by itself.
 */
export const tenantSettings = (config: Config, overrides: Overrides = NO_OVERRIDES): SettingsOf => {
  const { enabled, maxCardinality, staleDurationMs, withoutDimensions } = config.usage.costAttribution;
  const { defaults, merge } = config.overrides;
  const whole: Block = {
    dimensions: defaultDimensions(config),
    maxCardinality: defaults.costAttribution.maxCardinality,
    staleDurationMs,
  };
  const any = overrides.blocks.get(ANY_TENANT);
  const made = new Map<Block | undefined, TenantSettings>();
  const settle = (own: Block | undefined): TenantSettings => {
    const block = merge === 'fields' ? { ...whole, ...any, ...own } : (own ?? any ?? whole);
    const dimensions = block.dimensions ?? [];
    const isCounted = enabled && (dimensions.length > 0 || withoutDimensions === 'count');
    const tracker = {
      name: COST_ATTRIBUTION,
      dimensions,
      limit: block.maxCardinality || maxCardinality,
      staleS: Math.ceil((block.staleDurationMs ?? staleDurationMs) / 1_000),
    };
    return { trackers: isCounted ? [tracker] : [] };
  };
  return (tenant) => {
    const own = overrides.blocks.get(tenant);
    let settings = made.get(own);
    if (settings === undefined) {
      settings = settle(own);
      made.set(own, settings);
    }
    return settings;
  };
};
