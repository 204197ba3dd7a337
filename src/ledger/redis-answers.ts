/** What the scripts that read answer, as the port's types. */
import { accountOf } from './keys.ts';
import type { AccountName, AccountPage, MarkerField, SeriesRow, ShardView, Totals } from './port.ts';
import { LedgerBroken } from './port.ts';

/** {format, installation, life, loss, clock, counter, replayed}. */
export type MetaAnswer = readonly Buffer[];
export type ViewAnswer = readonly [MetaAnswer, readonly Buffer[]];
export type ChangesAnswer = readonly [...ViewAnswer, readonly Buffer[]];
export type PageAnswer = readonly [
  ...ViewAnswer,
  changedAt: Buffer,
  live: number,
  totals: readonly Buffer[],
  cursor: Buffer,
  rows: readonly Buffer[],
];

export const decodeView = ([meta, markers]: readonly [MetaAnswer, readonly Buffer[], ...unknown[]]): ShardView => {
  const [, , life, loss, clock, counter, replayed] = meta.map(String);
  const all = new Map<MarkerField, number>();
  for (let i = 0; i < markers.length; i += 2) all.set(String(markers[i]) as MarkerField, Number(markers[i + 1]));
  return {
    life: life!,
    counter: Number(counter),
    replayedAt: Number(replayed),
    afterLoss: loss === '1',
    clockS: Math.floor(Number(clock) / 1e6),
    markers: all,
  };
};

export const decodeMembers = (members: readonly Buffer[]): AccountName[] =>
  members.map((member) => accountOf(String(member)));

/** Without its cursor. */
export const decodePage = (answer: PageAnswer): Omit<AccountPage, 'cursor'> => {
  const [, , changedAt, live, [admissions, ...vectors], , rows] = answer;
  const [total, overflow, retired] = vectors.map((text) => String(text).split(' ').map(Number));
  const totals: Totals = {
    live,
    admissions: Number(admissions),
    total: total!,
    overflow: overflow!,
    retired: retired!,
  };
  return { view: decodeView(answer), changedAt: Number(changedAt), totals, rows: decodeRows(rows, total!.length) };
};

const decodeRows = (flat: readonly Buffer[], measures: number): SeriesRow[] => {
  const rows: SeriesRow[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const packed = flat[i + 1]!;
    if (packed.length !== 8 + 8 * measures) throw new LedgerBroken(`a series has ${packed.length} bytes`);
    const values = Array.from({ length: measures }, (_, j) => packed.readDoubleLE(8 + 8 * j));
    rows.push({ id: flat[i]!, lastSeenS: packed.readUInt32LE(0), birthS: packed.readUInt32LE(4), values });
  }
  return rows;
};
