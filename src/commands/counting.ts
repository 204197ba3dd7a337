/** How `replay` and `explain` count: the configuration, and options that come before it. */
import type { Accounting } from '../attribution/accounting.ts';
import { type Dimension, parseDimensions } from '../attribution/dimensions.ts';
import { isReservedTenant } from '../attribution/reserved.ts';
import type { TenantSettings, TrackerSettings } from '../attribution/series-table.ts';
import { refuseTenantId } from '../attribution/tenant.ts';
import type { Config } from '../config/config.ts';
import { tenantSettings } from '../overrides/settings.ts';
import { OverridesFile } from '../overrides/source.ts';
import { COST_ATTRIBUTION } from '../overrides/static.ts';
import { CONFIG_OPTION, type Io, type Option, UsageError, type Values } from './command.ts';
import { choice } from './records.ts';

export const COUNT_OPTIONS = {
  ...CONFIG_OPTION,
  tenant: { type: 'string', value: 'ID', doc: 'whose records they are (default tenants.default)' },
  dimension: {
    type: 'string',
    value: 'ATTRIBUTE=LABEL',
    multiple: true,
    doc: 'an attribute that becomes a label, instead of those of the configuration; may be given several times',
  },
  tracker: {
    type: 'string',
    value: 'NAME',
    doc: 'one of usage.trackers, with its dimensions and limit (default cost-attribution)',
  },
  accounting: { type: 'string', value: 'HOW', doc: 'exact or tempo (default usage.accounting)' },
} as const satisfies Record<string, Option>;

export type Counting = {
  readonly tenant: string;
  readonly tracker: string;
  readonly dimensions: readonly Dimension[];
  readonly accounting: Accounting;
  readonly limit: number;
  readonly staleS: number;
  readonly maxLabelValueLength: number;
};

/** As long as a label value can be: Tempo cuts none. */
const UNCUT_BYTES = 65_536;

const tenantOf = (values: Values, config: Config, io: Io): string => {
  const tenant = typeof values.tenant === 'string' ? values.tenant : config.tenants.default || 'single-tenant';
  if (tenant === '' || isReservedTenant(tenant)) throw new UsageError(`--tenant cannot be '${tenant}'`);
  const refusal = refuseTenantId(tenant);
  if (refusal !== null) io.err(`warning: the service would discard these records: ${refusal}`);
  return tenant;
};

/** The label's name is behind the last "="; without one, or with nothing behind it, it is the attribute's. */
const dimensionsOf = (given: readonly string[]): readonly Dimension[] => {
  const entries = given.map((text): readonly [string, string] => {
    const at = text.lastIndexOf('=');
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
  });
  const { dimensions, problems } = parseDimensions(entries, { sharedLabels: 'allow', path: '--dimension' });
  if (problems.length > 0) throw new UsageError(problems.map(({ text }) => text).join('\n'));
  return dimensions;
};

const limitOf = (values: Values, otherwise: number): number => {
  const given = values['max-cardinality'];
  if (typeof given !== 'string') return otherwise;
  if (!/^\d{1,8}$/.test(given)) throw new UsageError('--max-cardinality must be a number of series');
  return Number(given);
};

const trackerOf = (values: Values, { trackers }: TenantSettings, tenant: string): TrackerSettings => {
  const wanted = typeof values.tracker === 'string' ? values.tracker : COST_ATTRIBUTION;
  const found = trackers.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  const names = trackers.map(({ name }) => name).join(', ');
  throw new UsageError(`--tracker: '${wanted}' is not counted for ${tenant}: there is ${names}`);
};

/** Throws a `UsageError` for options that make no sense. */
export const countingOf = (values: Values, config: Config, io: Io): Counting => {
  const { costAttribution, accounting: configured, maxLabelValueLengthBytes } = config.usage;
  const tenant = tenantOf(values, config, io);
  const counted = { ...costAttribution, enabled: true, withoutDimensions: 'count' } as const;
  const enabled = { ...config, usage: { ...config.usage, costAttribution: counted } };
  const file = new OverridesFile(config);
  file.look();
  const tracker = trackerOf(values, tenantSettings(enabled, file.current)(tenant), tenant);
  const accounting = choice<Accounting>(values, 'accounting', ['exact', 'tempo'], configured);
  const given = values.dimension;
  return {
    tenant,
    tracker: tracker.name,
    dimensions: Array.isArray(given) ? dimensionsOf(given) : tracker.dimensions,
    accounting,
    limit: limitOf(values, tracker.limit),
    staleS: tracker.staleS,
    maxLabelValueLength: accounting === 'tempo' ? UNCUT_BYTES : maxLabelValueLengthBytes,
  };
};
