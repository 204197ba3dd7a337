/**
 * What a shard shows: per account one version of its series' amounts, made by one reading and never changed once it is
 * shown, so that an answer may be written from it for as long as it takes.
 */
import type { AccountName, MarkerField, SeriesRow, Totals } from '../ledger/port.ts';
import type { DemandStep } from './demand.ts';
import { LabelArena } from './label-arena.ts';

export type AccountVersion = {
  readonly account: AccountName;
  readonly labels: LabelArena;
  /** Slots [0, slots) of `labels` may be live. */
  readonly slots: number;
  readonly measures: number;
  /** Birth in seconds of the change counter, plus one; 0: the slot is not live. */
  readonly births: Uint32Array;
  /** `measures` amounts for each slot. */
  readonly values: Float64Array;
  /** For each slot the change counter that ends its hold at zero, 0 for none; Infinity: the hold begins when the table is shown. Null: nothing is held. */
  readonly holds: Float64Array | null;
  /** The slots of Infinity; emptied when the table is shown. */
  readonly fresh: number[];
  readonly totals: Totals;
  /** The same for the account's overflow and its total. */
  overflowHold: number;
  totalHold: number;
  /** Label text of the account's sums. */
  readonly accountText: Buffer;
  /** For each dimension the label text of what has no value for it. */
  readonly unattributedTexts: readonly (readonly [label: string, text: Buffer])[];
  readonly demand: readonly DemandStep[];
  /** Label text under which overflow is shown. */
  readonly overflowText: Buffer;
  /** The slot of a real series with that very text, which the overflow is added to; -1: none. */
  readonly overflowSlot: number;
  /** Shard clock of the series that was not refreshed for the longest; Infinity without series. */
  readonly oldestSeenS: number;
};

export type ShardTable = {
  readonly shard: number;
  readonly life: string;
  readonly replayedAt: number;
  /** The change counter of its reading, by which holds are judged. */
  readonly counter: number;
  /** The shard clock of its reading, s. */
  readonly clockS: number;
  /** The highest seen while it was read. */
  readonly markers: ReadonlyMap<MarkerField, number>;
  /** By `accountKey`. */
  readonly accounts: ReadonlyMap<string, AccountVersion>;
};

/** Trackers are named by the configuration, without control characters. */
export const accountKey = ({ tenant, tracker }: AccountName): string => `${tracker}\n${tenant}`;

export const isLive = (version: AccountVersion, slot: number): boolean => version.births[slot]! > 0;

/** The version's slot of a live series, or -1. */
export const slotOf = (version: AccountVersion, labels: LabelArena, slot: number): number => {
  const own = version.labels === labels ? slot : version.labels.find(labels.idAt(slot));
  return own >= 0 && own < version.slots && isLive(version, own) ? own : -1;
};

export const seriesOf = (table: ShardTable): number => {
  let series = 0;
  for (const { totals } of table.accounts.values()) series += totals.live;
  return series;
};

/** Amounts of one account, gathered row by row. A row that comes again replaces the one before. */
export class Amounts {
  readonly labels: LabelArena;
  readonly measures: number;
  births: Uint32Array<ArrayBuffer>;
  values: Float64Array<ArrayBuffer>;
  oldestSeenS = Number.POSITIVE_INFINITY;
  live = 0;
  /** Of all rows, per measure. */
  readonly sums: number[];

  constructor(labels: LabelArena, measures: number, expected: number) {
    this.labels = labels;
    this.measures = measures;
    this.sums = new Array<number>(measures).fill(0);
    const slots = Math.max(labels.count, expected);
    this.births = new Uint32Array(slots);
    this.values = new Float64Array(slots * measures);
  }

  put(slot: number, row: SeriesRow): void {
    if (slot >= this.births.length) this.#grow(Math.ceil((slot + 1) * 1.25));
    if (this.births[slot] === 0) this.live++;
    this.births[slot] = row.birthS + 1;
    for (let i = 0; i < this.measures; i++) {
      const at = slot * this.measures + i;
      this.sums[i]! += row.values[i]! - this.values[at]!;
      this.values[at] = row.values[i]!;
    }
    this.oldestSeenS = Math.min(this.oldestSeenS, row.lastSeenS);
  }

  /** The same in an arena without the series that are gone, if those are many. `turn` is awaited now and then. */
  async compacted(turn: () => Promise<void>): Promise<Amounts> {
    if (this.labels.count < 64 || this.live * 2 > this.labels.count) return this;
    const target = new Amounts(new LabelArena(), this.measures, this.live);
    target.live = this.live;
    target.oldestSeenS = this.oldestSeenS;
    target.sums.splice(0, this.measures, ...this.sums);
    for (let slot = 0; slot < this.births.length; slot++) {
      if (slot % 2048 === 2047) await turn();
      if (this.births[slot] === 0) continue;
      const to = target.labels.appendFrom(this.labels, slot);
      target.births[to] = this.births[slot]!;
      for (let i = 0; i < this.measures; i++)
        target.values[to * this.measures + i] = this.values[slot * this.measures + i]!;
    }
    return target;
  }

  #grow(slots: number): void {
    const births = new Uint32Array(slots);
    births.set(this.births);
    this.births = births;
    const values = new Float64Array(slots * this.measures);
    values.set(this.values);
    this.values = values;
  }
}
