/** The metric families of an answer: names, help, type, and which lines of a snapshot belong to them. */
import { RECORDS_TENANT, removedTenant } from '../attribution/reserved.ts';
import { RECORDS_MEASURES } from '../ledger/keys.ts';
import { FLAG_ACCEPTED } from './label-arena.ts';
import type { PublishSettings } from './settings.ts';
import type { AccountVersion, ShardTable } from './shard-table.ts';

export type SeriesFamily = {
  readonly kind: 'series';
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  /** Which amount of the account's series is shown; -1: none. */
  measureOf(version: AccountVersion, table: ShardTable): number;
  /** Flags of the series that belong to it: those under `mask` equal `flags`. */
  readonly mask: number;
  readonly flags: number;
};

export type SumFamily = {
  readonly kind: 'sum';
  readonly type: 'counter' | 'gauge';
  /** A counter's without `_total`. */
  readonly name: string;
  readonly help: string;
  /** Null: the account has no line. */
  valueOf(version: AccountVersion, table: ShardTable, forScraper: boolean): number | null;
};

export type Family = SeriesFamily | SumFamily;

export const isHeld = (until: number, table: ShardTable, forScraper: boolean): boolean =>
  forScraper && until > table.counter;

const isUsage = ({ account }: AccountVersion, { shard }: ShardTable): boolean =>
  account.tenant !== RECORDS_TENANT && account.tenant !== removedTenant(shard);

/** `prefix` begins every name. `trackers`: those whose measures may occur. */
export const families = (prefix: string, settings: PublishSettings, trackers: readonly string[]): readonly Family[] => {
  const measures = new Set(trackers.flatMap((tracker) => settings.measures(tracker)));
  const bytesOf = (version: AccountVersion): number => settings.measures(version.account.tracker).indexOf('bytes');
  return [
    ...[...measures].map(
      (measure): SeriesFamily => ({
        kind: 'series',
        name: `${prefix}_${measure}_received`,
        help: `${measure} total received with these attributes`,
        measureOf: (version, table) =>
          isUsage(version, table) ? settings.measures(version.account.tracker).indexOf(measure) : -1,
        mask: 0,
        flags: 0,
      }),
    ),
    {
      kind: 'sum',
      type: 'counter',
      name: `${prefix}_tenant_bytes`,
      help: 'bytes total received of the tenant: in series, in overflow and in series that are gone',
      valueOf: (version, table, forScraper) => {
        const bytes = bytesOf(version);
        if (bytes < 0 || !isUsage(version, table)) return null;
        return isHeld(version.totalHold, table, forScraper) ? 0 : version.totals.total[bytes]!;
      },
    },
    {
      kind: 'sum',
      type: 'counter',
      name: `${prefix}_overflow_bytes`,
      help: "bytes total that found no place under the tenant's series limit",
      valueOf: (version, table, forScraper) => {
        const bytes = bytesOf(version);
        if (bytes < 0 || !isUsage(version, table)) return null;
        return isHeld(version.overflowHold, table, forScraper) ? 0 : version.totals.overflow[bytes]!;
      },
    },
    {
      kind: 'sum',
      type: 'gauge',
      name: `${prefix}_active_series`,
      help: 'live series of the tenant, over all replicas',
      valueOf: (version, table) => (isUsage(version, table) ? version.totals.live : null),
    },
    {
      kind: 'sum',
      type: 'gauge',
      name: `${prefix}_series_limit`,
      help: 'live series that the tenant may have, over all replicas',
      valueOf: (version, table) => (isUsage(version, table) ? settings.account(version.account).limit : null),
    },
    ...RECORDS_MEASURES.flatMap((measure, index) => recordFamilies(prefix, measure, index)),
  ];
};

const recordFamilies = (prefix: string, measure: string, index: number): SeriesFamily[] => {
  const measureOf = ({ account }: AccountVersion): number => (account.tenant === RECORDS_TENANT ? index : -1);
  const unit = measure === 'bytes' ? 'bytes of records' : measure;
  const common = { kind: 'series', measureOf, mask: FLAG_ACCEPTED } as const;
  return [
    { ...common, name: `${prefix}_accepted_${measure}`, help: `${unit} total that were counted`, flags: FLAG_ACCEPTED },
    {
      ...common,
      name: `${prefix}_discarded_${measure}`,
      help: `${unit} total that were not counted, by reason`,
      flags: 0,
    },
  ];
};
