/** What the scripts that read answer, as the port's types. */
import { unpackWindows } from './demand.ts';
import { accountOf } from './keys.ts';
import type {
  AccountName,
  AccountPage,
  MarkerField,
  Move,
  MoveCause,
  SeriesRow,
  ShardCut,
  ShardView,
  Totals,
} from './port.ts';
import { LedgerBroken } from './port.ts';

/** {format, installation, life, loss, clock, counter, replayed}. */
export type MetaAnswer = readonly Buffer[];
export type ViewAnswer = readonly [MetaAnswer, readonly Buffer[]];
/** The words of a `ViewAnswer`, one a line; members. */
export type ChangesAnswer = readonly [words: Buffer, members: readonly Buffer[]];
export type PageAnswer = readonly [
  ...ViewAnswer,
  changedAt: Buffer,
  live: number,
  fields: readonly (Buffer | null)[],
  cursor: Buffer,
  rows: readonly Buffer[],
];

/** Notes of moves as `from to why field`, "-" for no marker; `accounts` is 0 where other ones had been asked for. */
export type CutAnswer = readonly [...ViewAnswer, moves: readonly Buffer[], accounts: readonly unknown[] | 0];

export const decodeView = ([meta, markers]: readonly [MetaAnswer, readonly Buffer[], ...unknown[]]): ShardView => {
  return viewOf([...meta.map(String), ...markers.map(String)]);
};

/** Format, installation, life, loss, clock, counter, replayed, and then markers with their fields. */
export const viewOf = (words: readonly string[]): ShardView => {
  const [, , life, loss, clock, counter, replayed] = words;
  const all = new Map<MarkerField, number>();
  for (let i = 7; i + 1 < words.length; i += 2) all.set(words[i] as MarkerField, Number(words[i + 1]));
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

/** `fields`: admissions, total, overflow, retired, unattributed; the last may be null. */
const decodeTotals = (live: number, fields: readonly (Buffer | null)[]): Totals => {
  const [total, overflow, retired] = fields.slice(1, 4).map((text) => String(text).split(' ').map(Number));
  const unattributed = decodeNamed(fields[4]);
  return {
    live,
    admissions: Number(fields[0]),
    total: total!,
    overflow: overflow!,
    retired: retired!,
    unattributed,
  };
};

/** `name amount name amount ...` */
const decodeNamed = (field: Buffer | null | undefined): ReadonlyMap<string, number> => {
  const words = field == null ? [] : String(field).split(' ');
  const amounts = new Map<string, number>();
  for (let i = 0; i + 1 < words.length; i += 2) amounts.set(words[i]!, Number(words[i + 1]));
  return amounts;
};

/** Without its cursor. */
export const decodePage = (answer: PageAnswer): Omit<AccountPage, 'cursor'> => {
  const [, , changedAt, live, fields, , rows] = answer;
  const totals = decodeTotals(live, fields);
  const demand = fields[5] == null ? [] : unpackWindows(fields[5]);
  const decoded = decodeRows(rows, totals.total.length);
  return { view: decodeView(answer), changedAt: Number(changedAt), totals, demand, rows: decoded };
};

/** Null where the accounts are other ones than `names`. */
export const decodeCut = (answer: CutAnswer, names: readonly AccountName[]): ShardCut | null => {
  const [, , notes, accounts] = answer;
  if (accounts === 0) return null;
  const moves: Move[] = [];
  let movesForgotten = 0;
  for (let i = 0; i < notes.length; i += 2) {
    const [at, note] = [Number(notes[i]), String(notes[i + 1])];
    if (at === 0) movesForgotten = Number(note);
    else moves.push(decodeMove(at, note));
  }
  return {
    view: decodeView(answer),
    moves: moves.sort((a, b) => a.at - b.at),
    movesForgotten,
    accounts: names.map((name, i) => ({
      ...name,
      totals: decodeTotals(accounts[2 * i] as number, accounts[2 * i + 1] as readonly (Buffer | null)[]),
    })),
  };
};

const decodeMove = (at: number, note: string): Move => {
  const [from, to, why, ...field] = note.split(' ');
  const offset = (text: string): number | null => (text === '-' ? null : Number(text));
  return {
    at,
    field: field.join(' ') as MarkerField,
    from: offset(from!),
    to: offset(to!),
    why: why as MoveCause,
  };
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
