/** The metric families of an answer: names, help, type, and which lines of a snapshot belong to them. */
import { isReservedTenant, RECORDS_TENANT, removedTenant } from '../attribution/reserved.ts';
import { RECORDS_MEASURES } from '../ledger/keys.ts';
import { demandAt } from './demand.ts';
import { FLAG_ACCEPTED } from './label-arena.ts';
import type { PublishSettings } from './settings.ts';
import type { AccountVersion, ShardTable } from './shard-table.ts';

export type SeriesFamily = {
  readonly kind: 'series';
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  /** For the documents. */
  readonly labels: readonly string[];
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
  /** For the documents. */
  readonly labels: readonly string[];
  /** Null: the account has no line. */
  valueOf(version: AccountVersion, table: ShardTable, forScraper: boolean): number | null;
};

/** Several lines of an account, each with a label text of its own. */
export type SplitFamily = {
  readonly kind: 'split';
  readonly type: 'counter';
  /** Without `_total`. */
  readonly name: string;
  readonly help: string;
  /** For the documents. */
  readonly labels: readonly string[];
  linesOf(
    version: AccountVersion,
    table: ShardTable,
    forScraper: boolean,
  ): Iterable<readonly [text: Buffer, value: number]>;
};

export type Family = SeriesFamily | SumFamily | SplitFamily;

export const isHeld = (until: number, table: ShardTable, forScraper: boolean): boolean =>
  forScraper && until > table.counter;

const ACCOUNT = ['tenant', 'tracker'];

const isUsage = ({ account }: AccountVersion, { shard }: ShardTable): boolean =>
  account.tenant !== RECORDS_TENANT && account.tenant !== removedTenant(shard);

/** `prefix` begins every name. `trackers`: those whose measures may occur. */
export const families = (prefix: string, settings: PublishSettings, trackers: readonly string[]): readonly Family[] => {
  const measures = new Set(trackers.flatMap((tracker) => settings.measures(tracker)));
  measures.delete('');
  const bytesOf = (version: AccountVersion): number => settings.measures(version.account.tracker).indexOf('bytes');
  return [
    ...[...measures].map(
      (measure): SeriesFamily => ({
        kind: 'series',
        name: `${prefix}_${measure}_received`,
        help: `${measure} total received with these attributes`,
        labels: ['the dimensions', ...ACCOUNT],
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
      labels: ACCOUNT,
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
      labels: ACCOUNT,
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
      labels: ACCOUNT,
      valueOf: (version, table) => (isUsage(version, table) ? version.totals.live : null),
    },
    {
      kind: 'sum',
      type: 'gauge',
      name: `${prefix}_series_limit`,
      help: 'live series that the tenant may have, over all replicas',
      labels: ACCOUNT,
      valueOf: (version, table) => (isUsage(version, table) ? settings.account(version.account).limit : null),
    },
    {
      kind: 'sum',
      type: 'gauge',
      name: `${prefix}_series_demand_estimate`,
      help: 'series that the tenant would have without its limit, about: live ones, and those that overflowed in the last stale_duration',
      labels: ACCOUNT,
      valueOf: (version, table) =>
        isReservedTenant(version.account.tenant) ? null : demandAt(version.demand, version.totals.live, table.clockS),
    },
    {
      kind: 'split',
      type: 'counter',
      name: `${prefix}_unattributed_bytes`,
      help: 'bytes total received whose attribute for the dimension was missing, in series or in overflow',
      labels: ['dimension', ...ACCOUNT],
      *linesOf(version, table, forScraper) {
        if (bytesOf(version) !== 0 || !isUsage(version, table)) return;
        const isHeldNow = isHeld(version.totalHold, table, forScraper);
        for (const [label, text] of version.unattributedTexts)
          yield [text, isHeldNow ? 0 : (version.totals.unattributed.get(label) ?? 0)];
      },
    },
    ...RECORDS_MEASURES.flatMap((measure, index) => recordFamilies(prefix, measure, index)),
  ];
};

const recordFamilies = (prefix: string, measure: string, index: number): SeriesFamily[] => {
  const measureOf = ({ account }: AccountVersion): number => (account.tenant === RECORDS_TENANT ? index : -1);
  const unit = measure === 'bytes' ? 'bytes of records' : measure;
  const common = { kind: 'series', measureOf, mask: FLAG_ACCEPTED } as const;
  return [
    {
      ...common,
      name: `${prefix}_accepted_${measure}`,
      help: `${unit} total that were counted`,
      labels: [],
      flags: FLAG_ACCEPTED,
    },
    {
      ...common,
      name: `${prefix}_discarded_${measure}`,
      help: `${unit} total that were not counted, by reason`,
      labels: ['reason'],
      flags: 0,
    },
  ];
};
