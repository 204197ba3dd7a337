/** A tenant's settings for people: where they come from, and what is in force, in the words of the files. */
import type { Dimension } from '../attribution/dimensions.ts';
import type { TenantSettings } from '../attribution/series-table.ts';
import { dimensionRuleShown } from '../config/dimension-rules.ts';
import { formatDuration } from '../config/formats.ts';
import { ANY_TENANT, type Block, type Overrides } from './file.ts';
import { type Source, sourceOf } from './settings.ts';

export type TenantDescription = {
  readonly source: Source;
  /** The entry of the file; null: there is none for it. */
  readonly entry: object | null;
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

const blockShown = ({ dimensions, maxCardinality, staleDurationMs }: Block): object => ({
  ...(dimensions === undefined ? {} : { dimensions: dimensionsShown(dimensions) }),
  ...(maxCardinality === undefined ? {} : { max_cardinality: maxCardinality }),
  ...(staleDurationMs === undefined ? {} : { stale_duration: formatDuration(staleDurationMs) }),
});

export const describeTenant = (
  overrides: Overrides,
  tenant: string,
  { trackers }: TenantSettings,
): TenantDescription => {
  const entry = overrides.blocks.get(tenant) ?? overrides.blocks.get(ANY_TENANT);
  return {
    source: sourceOf(overrides, tenant),
    entry: entry === undefined ? null : { cost_attribution: blockShown(entry) },
    effective: Object.fromEntries(
      trackers.map(({ name, dimensions, limit, staleS }) => [
        name,
        {
          dimensions: dimensionsShown(dimensions),
          max_cardinality: limit,
          stale_duration: formatDuration(staleS * 1000),
        },
      ]),
    ),
  };
};
