/** The table of docs/tempo.md: by category of the vectors, what `exact` and `tempo` count, and why they differ. */
import { type Accounting, tallyOf } from '../../src/attribution/accounting.ts';
import { SeriesTable } from '../../src/attribution/series-table.ts';
import { readVectors, type Vector } from './tempo-vectors.ts';

/** Reasons by their letters in the page. Where a category is not named, the usual ones are at work. */
const USUAL = 'F I P';
const REASONS: Readonly<Record<string, string>> = {
  scope_framing: 'F P',
  sdk_style: 'F I P N',
  empty_structure: 'F I P S',
  negative: 'F I P C',
  unknown_fields: 'F N R',
  noncanonical: 'F I P N',
  malformed: 'F R',
  mutated: 'F P N R',
};

type Sums = { exact: number; tempo: number };
type Row = { readonly collector: Sums; readonly other: Sums; refused: number };

const counted = (record: Buffer, accounting: Accounting): { readonly bytes: number; readonly isTaken: boolean } => {
  const dimension = { attribute: 'service.name', scope: 'resource', label: 'service' } as const;
  const tracker = { name: 't', dimensions: [dimension], limit: 1, staleS: 1 };
  const table = new SeriesTable({ settings: () => ({ trackers: [tracker] }), maxLabelValueLength: 100 });
  const tally = tallyOf(accounting);
  const isTaken = tally.attribute(record, table, table.plan('t')) === null;
  let bytes = 0;
  for (let row = 0; row < tally.rows; row++) bytes += tally.values[2 * row]!;
  return { bytes, isTaken };
};

const add = (row: Row, vector: Vector): void => {
  const sums = vector.encoding === 'collector' ? row.collector : row.other;
  for (const text of vector.batches_b64) {
    const record = Buffer.from(text, 'base64');
    const exact = counted(record, 'exact');
    const tempo = counted(record, 'tempo');
    if (exact.isTaken !== tempo.isTaken) row.refused++;
    if (!exact.isTaken || !tempo.isTaken) continue;
    sums.exact += exact.bytes;
    sums.tempo += tempo.bytes;
  }
};

const text = ({ exact, tempo }: Sums): string => {
  if (exact === 0) return '';
  const percent = (100 * (tempo - exact)) / exact;
  return `${exact} / ${tempo} (${percent > 0 ? '+' : ''}${percent.toFixed(2)} %)`;
};

/** Lines of: category, the two for the Collector's encoding, for others, records that only one refuses, reasons. */
export const differences = (): readonly (readonly string[])[] => {
  const rows = new Map<string, Row>();
  for (const vector of readVectors()) {
    let row = rows.get(vector.category);
    if (row === undefined) {
      row = { collector: { exact: 0, tempo: 0 }, other: { exact: 0, tempo: 0 }, refused: 0 };
      rows.set(vector.category, row);
    }
    add(row, vector);
  }
  return [...rows]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([category, { collector, other, refused }]) => [
      category,
      text(collector),
      text(other),
      refused === 0 ? '' : String(refused),
      REASONS[category] ?? USUAL,
    ]);
};
