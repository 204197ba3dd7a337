/** Reads one account page by page into a version of it, and audits it. */

import { RECORDS_TENANT } from '../attribution/reserved.ts';
import { decodeSeriesKey } from '../attribution/series-key.ts';
import type { Clock } from '../ledger/clock.ts';
import type { DemandWindow } from '../ledger/demand.ts';
import { RECORDS_LABEL } from '../ledger/keys.ts';
import type { AccountName, LedgerReader, SeriesRow, ShardView, Totals } from '../ledger/port.ts';
import { demandSteps } from './demand.ts';
import { FLAG_ACCEPTED, FLAG_HIDDEN, FLAG_LIKE_OVERFLOW, type LabelArena } from './label-arena.ts';
import { accountText, dimensionText, labelText, looksLikeOverflow, overflowText, seriesText } from './label-text.ts';
import type { AccountVersion } from './shard-table.ts';
import { Amounts, slotOf } from './shard-table.ts';

/** The word that stands under `RECORDS_LABEL` for records that were not discarded. */
export const ACCEPTED = 'accepted';

export type AccountReading =
  | { readonly kind: 'read'; readonly version: AccountVersion; readonly audit: Audit }
  | { readonly kind: 'gone' }
  /** The ledger lost writes meanwhile; nothing of this reading may be used. */
  | { readonly kind: 'fell-back' };

export type Audit =
  | { readonly kind: 'balanced' }
  /** Somebody wrote while it was read: nothing can be said. */
  | { readonly kind: 'moving' }
  | {
      readonly kind: 'unbalanced';
      readonly difference: readonly number[];
      readonly live: number;
      readonly totals: Totals;
    };

export type ReadingContext = {
  readonly shard: number;
  readonly reader: LedgerReader;
  readonly clock: Clock;
  readonly pageSeries: number;
  /** Microseconds of the change counter. */
  readonly holdUs: number;
  /** The first view of the reading that this is a part of. */
  readonly start: ShardView;
  readonly staleS: number;
  readonly dimensions: readonly string[];
  /** Notes the view of a page; false: the ledger fell back. */
  readonly note: (view: ShardView) => boolean;
};

/**
 * `labels`: texts that were rendered before for this account. `shown`: what the same owner shows of the account in the
 * same life; undefined: nothing of it. `shownTable`: whether it shows the shard at all, since the last replay.
 */
export const readAccount = async (
  context: ReadingContext,
  account: AccountName,
  labels: LabelArena,
  shown: AccountVersion | undefined,
  shownTable: boolean,
): Promise<AccountReading> => {
  const pages = await readPages(context, account, labels);
  if (pages.kind !== 'read') return pages;
  const amounts = await pages.amounts.compacted(() => context.clock.turn());
  const { holds, fresh } = judgeHolds(context, amounts, shown);
  const version: AccountVersion = {
    account,
    labels: amounts.labels,
    slots: amounts.labels.count,
    measures: amounts.measures,
    births: amounts.births,
    values: amounts.values,
    holds,
    fresh,
    totals: pages.totals,
    ...judgeSums(context, pages.totals, shown, shownTable, fresh.length),
    accountText: shown?.accountText ?? Buffer.from(accountText(account)),
    ...faceOfOverflow(context, account, amounts),
    unattributedTexts: unattributedTexts(context, account, shown),
    demand: demandSteps(pages.demand, context.staleS, pages.totals.live, amounts.labels, amounts.births),
    oldestSeenS: amounts.oldestSeenS,
  };
  return { kind: 'read', version, audit: pages.atRest ? audit(amounts, pages.totals) : { kind: 'moving' } };
};

type Pages =
  | {
      readonly kind: 'read';
      readonly amounts: Amounts;
      readonly totals: Totals;
      readonly demand: readonly DemandWindow[];
      readonly atRest: boolean;
    }
  | { readonly kind: 'gone' | 'fell-back' };

const readPages = async (context: ReadingContext, account: AccountName, labels: LabelArena): Promise<Pages> => {
  const { shard, reader, clock, pageSeries } = context;
  let amounts: Amounts | null = null;
  let changedAt: number | null = null;
  let atRest = true;
  for (let cursor: string | null = null; ; ) {
    const page = await reader.page(shard, account, cursor, pageSeries);
    if (page === null) return { kind: 'gone' };
    if (!context.note(page.view)) return { kind: 'fell-back' };
    amounts ??= new Amounts(labels, page.totals.total.length, page.totals.live);
    atRest &&= changedAt === null || changedAt === page.changedAt;
    changedAt = page.changedAt;
    if (!(await takeRows(context, account, amounts, page.rows))) atRest = false;
    cursor = page.cursor;
    if (cursor === null) return { kind: 'read', amounts, totals: page.totals, demand: page.demand, atRest };
    await clock.turn();
  }
};

/** False: a series was purged between its page and the question for its key. */
const takeRows = async (
  { shard, reader }: ReadingContext,
  account: AccountName,
  amounts: Amounts,
  rows: readonly SeriesRow[],
): Promise<boolean> => {
  const unknown: SeriesRow[] = [];
  for (const row of rows) {
    const slot = amounts.labels.find(row.id);
    if (slot >= 0) amounts.put(slot, row);
    else unknown.push(row);
  }
  if (unknown.length === 0) return true;
  const keys = await reader.keys(shard, account, Buffer.concat(unknown.map((row) => row.id)));
  let complete = true;
  unknown.forEach((row, i) => {
    const key = keys[i];
    if (key) amounts.put(slotFor(amounts.labels, account, row.id, key), row);
    else complete = false;
  });
  return complete;
};

const slotFor = (labels: LabelArena, account: AccountName, id: Buffer, key: Buffer): number => {
  const known = labels.find(id);
  if (known >= 0) return known;
  const { text, flags } = render(account, key);
  return labels.append(id, text, flags);
};

const render = (account: AccountName, key: Buffer): { readonly text: string; readonly flags: number } => {
  const pairs = pairsOf(key);
  if (pairs === null) return { text: '', flags: FLAG_HIDDEN };
  if (account.tenant === RECORDS_TENANT) {
    const outcome = pairs.find(([name]) => name === RECORDS_LABEL)?.[1];
    if (outcome === undefined) return { text: '', flags: FLAG_HIDDEN };
    if (outcome === ACCEPTED) return { text: ' ', flags: FLAG_ACCEPTED };
    return { text: labelText([['reason', outcome]]), flags: 0 };
  }
  const text = seriesText(account, pairs);
  if (text === null) return { text: '', flags: FLAG_HIDDEN };
  return { text, flags: looksLikeOverflow(pairs) ? FLAG_LIKE_OVERFLOW : 0 };
};

const pairsOf = (key: Buffer): ReturnType<typeof decodeSeriesKey> | null => {
  try {
    return decodeSeriesKey(key);
  } catch {
    return null;
  }
};

/**
 * A series shows 0 to scrapers until the counter reaches birth + hold. What the owner has shown before keeps its
 * hold; what it shows for the first time, and is not over it, begins again; a birth not later than the last replay has
 * none, for the series may have been shown with its value before the loss.
 */
const judgeHolds = (
  { start, holdUs }: ReadingContext,
  { labels, births }: Amounts,
  shown: AccountVersion | undefined,
): { readonly holds: Float64Array | null; readonly fresh: number[] } => {
  const fresh: number[] = [];
  let holds: Float64Array | null = null;
  const hold = (slot: number, until: number): void => {
    holds ??= new Float64Array(labels.count);
    holds[slot] = until;
  };
  for (let slot = 0; slot < labels.count; slot++) {
    const birth = births[slot]! - 1;
    const birthUs = birth * 1e6;
    if (birth < 0 || birthUs <= start.replayedAt) continue;
    if (start.counter >= birthUs + holdUs && !shown?.holds) continue;
    const before = shown === undefined ? -1 : slotOf(shown, labels, slot);
    if (before >= 0 && shown!.births[before] === births[slot]) {
      const until = shown!.holds?.[before] ?? 0;
      if (until > start.counter) hold(slot, until);
    } else if (start.counter < birthUs + holdUs) {
      hold(slot, Number.POSITIVE_INFINITY);
      fresh.push(slot);
    }
  }
  return { holds, fresh };
};

/**
 * Sums of an account have no birth in the ledger. That one is new is known to an owner that has shown the shard without
 * it, or by this: every series that the account ever had is there and still held. Overflow begins after the first series,
 * so whoever showed it before still held it too. (A limit raised from 0 is the exception: overflow without a series.)
 */
const judgeSums = (
  { start, holdUs }: ReadingContext,
  totals: Totals,
  shown: AccountVersion | undefined,
  shownTable: boolean,
  fresh: number,
): { overflowHold: number; totalHold: number } => {
  if (holdUs === 0) return { overflowHold: 0, totalHold: 0 };
  const kept = (until: number): number => (until > start.counter ? until : 0);
  const { live, admissions, overflow, retired } = totals;
  const isYoung = live > 0 && fresh === live && admissions === live && isZero(retired);
  const total = shown !== undefined ? kept(shown.totalHold) : shownTable || isYoung ? Number.POSITIVE_INFINITY : 0;
  if (isZero(overflow)) return { overflowHold: 0, totalHold: total };
  const isNew = shown === undefined || isZero(shown.totals.overflow);
  const before = shown === undefined ? 0 : kept(shown.overflowHold);
  return { overflowHold: isNew && (shownTable || isYoung) ? Number.POSITIVE_INFINITY : before, totalHold: total };
};

const isZero = (amounts: readonly number[]): boolean => amounts.every((amount) => amount === 0);

const faceOfOverflow = (
  { dimensions }: ReadingContext,
  account: AccountName,
  { labels, births }: Amounts,
): Pick<AccountVersion, 'overflowText' | 'overflowSlot'> => {
  const text = overflowText(account, dimensions);
  let slot = -1;
  for (let i = 0; i < labels.count; i++)
    if ((labels.flagsOf[i]! & FLAG_LIKE_OVERFLOW) !== 0 && births[i]! > 0 && labels.textAt(i) === text) slot = i;
  return { overflowText: Buffer.from(text), overflowSlot: slot };
};

const unattributedTexts = (
  { dimensions }: ReadingContext,
  account: AccountName,
  shown: AccountVersion | undefined,
): AccountVersion['unattributedTexts'] => {
  const labels = [...new Set(dimensions)].sort();
  const before = shown?.unattributedTexts;
  if (before?.length === labels.length && labels.every((label, i) => before[i]![0] === label)) return before;
  return labels.map((label) => [label, Buffer.from(dimensionText(account, label))] as const);
};

const audit = ({ sums, live }: Amounts, totals: Totals): Audit => {
  const difference = sums.map((sum, i) => totals.total[i]! - sum - totals.overflow[i]! - totals.retired[i]!);
  if (live === totals.live && difference.every((amount) => amount === 0)) return { kind: 'balanced' };
  return { kind: 'unbalanced', difference, live, totals };
};
