/** A tenant's settings for people: where they come from, and what is in force, in the words of the files. */
import type { Dimension } from '../attribution/dimensions.ts';
import type { TenantSettings } from '../attribution/series-table.ts';
import { dimensionRuleShown } from '../config/dimension-rules.ts';
import { formatDuration } from '../config/scalars.ts';
import { type Block, SECTION, TRACKERS, type TrackerBlock } from './block.ts';
import { ANY_TENANT, type Overrides } from './file.ts';
import { type Source, sourceOf } from './settings.ts';
import { COST_ATTRIBUTION } from './static.ts';

export type TenantDescription = {
  readonly source: Source;
  /** The entry of the file; null: there is none for it. */
  readonly entry: object | null;
  /** What the tenant set for itself; null: nothing. */
  readonly user: object | null;
  /** By tracker; what is not among them is not counted. */
  readonly effective: Readonly<Record<string, object>>;
};

const dimensionsShown = (dimensions: readonly Dimension[]): object =>
  Object.fromEntries(
    dimensions.map(({ attribute, scope, label, extras = {} }) => [
      scope === 'any' ? attribute : `${scope}.${attribute}`,
      Object.keys(extras).length === 0 ? label : dimensionRuleShown({ label, ...extras }),
    ]),
  );

const trackerShown = ({ dimensions, maxCardinality, staleDurationMs }: TrackerBlock): object => ({
  ...(dimensions === undefined ? {} : { dimensions: dimensionsShown(dimensions) }),
  ...(maxCardinality === undefined ? {} : { max_cardinality: maxCardinality }),
  ...(staleDurationMs === undefined ? {} : { stale_duration: formatDuration(staleDurationMs) }),
});

const blockShown = (block: Block): object => {
  const own = block.get(COST_ATTRIBUTION);
  const named = [...block].filter(([name]) => name !== COST_ATTRIBUTION);
  return {
    ...(own === undefined ? {} : { [SECTION]: trackerShown(own) }),
    ...(named.length === 0
      ? {}
      : { [TRACKERS]: Object.fromEntries(named.map(([name, said]) => [name, trackerShown(said)])) }),
  };
};

/** By tracker. */
export const effectiveOf = ({ trackers }: TenantSettings): Readonly<Record<string, object>> =>
  Object.fromEntries(
    trackers.map(({ name, dimensions, limit, staleS }) => [
      name,
      trackerShown({ dimensions, maxCardinality: limit, staleDurationMs: staleS * 1_000 }),
    ]),
  );

export const describeTenant = (
  overrides: Overrides,
  tenant: string,
  user: Block | null,
  settings: TenantSettings,
): TenantDescription => {
  const entry = overrides.blocks.get(tenant) ?? overrides.blocks.get(ANY_TENANT);
  return {
    source: sourceOf(overrides, tenant),
    entry: entry === undefined ? null : blockShown(entry),
    user: user === null ? null : blockShown(user),
    effective: effectiveOf(settings),
  };
};
