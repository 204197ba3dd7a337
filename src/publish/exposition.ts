/**
 * Writes a snapshot in one of Prometheus's text formats, page by page, from the bytes that the tables hold:
 *
 *   answer  = *( family ) [ "# EOF" LF ]                                   EOF in OpenMetrics alone
 *   family  = "# HELP " name " " help LF "# TYPE " name " " type LF *line
 *   line    = sample labels integer LF [ created labels integer LF ]
 *
 * The name of a counter's samples ends in `_total`; in OpenMetrics that of its family does not. Two lines never have
 * the same name and labels.
 */
import { RECORDS_TENANT } from '../attribution/reserved.ts';
import type { Family, SeriesFamily, SplitFamily, SumFamily } from './families.ts';
import { families, isHeld } from './families.ts';
import { FLAG_HIDDEN } from './label-arena.ts';
import { INTEGER_BYTES, PageWriter } from './page-writer.ts';
import type { Snapshot } from './publisher.ts';
import type { PublishSettings } from './settings.ts';
import type { AccountVersion, ShardTable } from './shard-table.ts';

export type Format = 'text' | 'openmetrics';

export type NumberForm = 'plain' | 'go';

export type ExpositionOptions = {
  readonly format: Format;
  /** Begins the name of every metric. */
  readonly prefix: string;
  readonly settings: PublishSettings;
  /** OpenMetrics: a `_created` line with the birth in the ledger for each series. */
  readonly created: boolean;
  /** Amounts in the text format: in digits (also where it is not given), or as Tempo prints them. */
  readonly numbers?: NumberForm;
};

export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
};

export const PAGE_BYTES = 1 << 16;

/** Pages of the answer. `take` gives the pages that are written to; one that was yielded is the caller's. */
export function* exposition(
  snapshot: Snapshot,
  options: ExpositionOptions,
  take: () => Buffer = () => Buffer.allocUnsafeSlow(PAGE_BYTES),
): Generator<Buffer, void, void> {
  const out = new PageWriter(take);
  const trackers = new Set(
    snapshot.tables.flatMap((table) => [...table.accounts.values()].map((v) => v.account.tracker)),
  );
  for (const family of families(options.prefix, options.settings, [...trackers])) {
    const head = headOf(family, options.format);
    if (!out.hasRoom(head.length * 3)) yield out.handOn(head.length * 3);
    const before = out.at;
    out.text(head);
    const after = out.at;
    const pages =
      family.kind === 'series' ? seriesLines(out, family, snapshot, options) : sumLines(out, family, snapshot, options);
    let isEmpty = true;
    for (const page of pages) {
      isEmpty = false;
      yield page;
    }
    if (isEmpty && out.at === after) out.at = before;
  }
  if (options.format === 'openmetrics') {
    if (!out.hasRoom(6)) yield out.handOn();
    out.text('# EOF\n');
  }
  if (out.at > 0) yield out.handOn();
}

/** The answer in one piece, for small ones. */
export const expositionText = (snapshot: Snapshot, options: ExpositionOptions): string =>
  Buffer.concat([...exposition(snapshot, options)]).toString('utf8');

const headOf = (family: Family, format: Format): string => {
  const type = family.kind === 'series' ? 'counter' : family.type;
  const name = type === 'counter' && format === 'text' ? `${family.name}_total` : family.name;
  return `# HELP ${name} ${family.help}\n# TYPE ${name} ${type}\n`;
};

function* sumLines(
  out: PageWriter,
  family: SumFamily | SplitFamily,
  { tables, forScraper }: Snapshot,
  options: ExpositionOptions,
): Generator<Buffer, void, void> {
  const isGo = inGo(options);
  const name = family.type === 'counter' ? `${family.name}_total` : family.name;
  for (const table of tables)
    for (const version of table.accounts.values()) {
      for (const [text, value] of valuesOf(family, version, table, forScraper)) {
        const bytes = name.length + text.length + INTEGER_BYTES + 1;
        if (!out.hasRoom(bytes)) yield out.handOn(bytes);
        out.text(name);
        out.bytes(text, 0, text.length);
        amount(out, value, isGo);
        out.byte(LF);
      }
    }
}

const valuesOf = (
  family: SumFamily | SplitFamily,
  version: AccountVersion,
  table: ShardTable,
  forScraper: boolean,
): Iterable<readonly [text: Buffer, value: number]> => {
  if (family.kind === 'split') return family.linesOf(version, table, forScraper);
  const value = family.valueOf(version, table, forScraper);
  return value === null ? [] : [[version.accountText, value]];
};

type Cursor = { slot: number };

function* seriesLines(
  out: PageWriter,
  family: SeriesFamily,
  { tables, forScraper }: Snapshot,
  options: ExpositionOptions,
): Generator<Buffer, void, void> {
  const { format, created } = options;
  const isGo = inGo(options);
  const total = Buffer.from(`${family.name}_total`);
  const birth = format === 'openmetrics' && created ? Buffer.from(`${family.name}_created`) : null;
  for (const table of tables)
    for (const version of table.accounts.values()) {
      const measure = family.measureOf(version, table);
      if (measure < 0) continue;
      const most = 2 * (total.length + version.labels.longest + INTEGER_BYTES + 16);
      const cursor: Cursor = { slot: 0 };
      while (fill(out, { family, table, version, measure, forScraper, total, birth, most, isGo }, cursor))
        yield out.handOn(most);
      if (!showsOverflow(version)) continue;
      const { overflowText } = version;
      const bytes = total.length + overflowText.length + INTEGER_BYTES + 2;
      if (!out.hasRoom(bytes)) yield out.handOn(bytes);
      out.bytes(total, 0, total.length);
      out.bytes(overflowText, 0, overflowText.length);
      amount(out, overflowOf(version, measure, table, forScraper), isGo);
      out.byte(LF);
    }
}

/** A line of its own: something overflowed, and no series has that label set. */
const showsOverflow = ({ account, totals, overflowSlot }: AccountVersion): boolean =>
  overflowSlot < 0 && account.tenant !== RECORDS_TENANT && totals.overflow.some((amount) => amount > 0);

const overflowOf = (version: AccountVersion, measure: number, table: ShardTable, forScraper: boolean): number =>
  isHeld(version.overflowHold, table, forScraper) ? 0 : version.totals.overflow[measure]!;

const LF = 10;

const inGo = ({ numbers, format }: ExpositionOptions): boolean => numbers === 'go' && format === 'text';

const amount = (out: PageWriter, value: number, isGo: boolean): void => {
  if (isGo) out.goInteger(value);
  else out.integer(value);
};

type Rows = {
  readonly family: SeriesFamily;
  readonly table: ShardTable;
  readonly version: AccountVersion;
  readonly measure: number;
  readonly forScraper: boolean;
  readonly total: Buffer;
  readonly birth: Buffer | null;
  /** Bytes that one series can need. */
  readonly most: number;
  readonly isGo: boolean;
};

/** Writes series from the cursor on until the page is full (true) or the account is at its end. */
const fill = (out: PageWriter, rows: Rows, cursor: Cursor): boolean => {
  const { family, table, version, measure, forScraper, total, birth, most, isGo } = rows;
  const { labels, births, values, measures, slots, overflowSlot } = version;
  const { chunks, chunkOf, startOf, lengthOf, flagsOf } = labels;
  const holds = forScraper ? version.holds : null;
  const mask = family.mask | FLAG_HIDDEN;
  for (let slot = cursor.slot; slot < slots; slot++) {
    if (births[slot] === 0 || (flagsOf[slot]! & mask) !== family.flags) continue;
    if (!out.hasRoom(most)) {
      cursor.slot = slot;
      return true;
    }
    const chunk = chunks[chunkOf[slot]!]!;
    const start = startOf[slot]!;
    const end = start + lengthOf[slot]!;
    let value = holds !== null && holds[slot]! > table.counter ? 0 : values[slot * measures + measure]!;
    if (slot === overflowSlot) value += overflowOf(version, measure, table, forScraper);
    out.bytes(total, 0, total.length);
    out.bytes(chunk, start, end);
    amount(out, value, isGo);
    out.byte(LF);
    if (birth === null) continue;
    out.bytes(birth, 0, birth.length);
    out.bytes(chunk, start, end);
    out.integer(births[slot]! - 1);
    out.byte(LF);
  }
  return false;
};
