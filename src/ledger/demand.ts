/**
 * How many distinct series found no room lately: HyperLogLog (Flajolet and others, 2007) over series ids, which are
 * hashes already, with Ertl's estimator (arXiv 1702.01284, algorithm 6). Marking an id twice changes nothing and merging
 * takes the maximum, so it does not matter who saw an id, how often, or whether a call was sent again.
 *
 * A MARK is what one id says: register * 64 + rank. A worker sends a mark once in a window, and only one that raises a
 * register: a stream of ever new series costs a few thousand marks a window, however many they are.
 *
 * The ledger keeps a sketch per WINDOW, a fourth of the stale duration of shard clock. What came once is counted for
 * 1 to 1.25 stale durations; what goes on coming is in at least every second window.
 */
import { SERIES_ID_BYTES } from './port.ts';

/** The standard error is 1.04 / sqrt(REGISTERS), 4.6 %. Part of the ledger's format, as WINDOWS is. */
export const REGISTERS = 512;
export const WINDOWS = 5;
const RANK_BITS = 6;
const MAX_RANK = 33;

export type DemandWindow = {
  /** Shard clock at its begin, s. */
  readonly startS: number;
  /** One byte each. */
  readonly registers: Uint8Array;
};

/** What the id at `at` says. */
export const markOf = (ids: Buffer, at = 0): number => {
  const register = ids.readUInt16LE(at) % REGISTERS;
  return (register << RANK_BITS) | (Math.clz32(ids.readUInt32LE(at + 2)) + 1);
};

export const isMark = (mark: number): boolean => {
  const rank = mark & ((1 << RANK_BITS) - 1);
  return mark >> RANK_BITS < REGISTERS && rank > 0 && rank <= MAX_RANK;
};

/** Whether the mark raised a register. */
export const raise = (registers: Uint8Array, mark: number): boolean => {
  const rank = mark & ((1 << RANK_BITS) - 1);
  const register = mark >> RANK_BITS;
  if (registers[register]! >= rank) return false;
  registers[register] = rank;
  return true;
};

/** Marks of every register that is above what `sent` has, 2 bytes each. */
export const marksAbove = (registers: Uint8Array, sent: Uint8Array): Buffer => {
  const marks: number[] = [];
  registers.forEach((rank, register) => {
    if (rank > sent[register]!) marks.push((register << RANK_BITS) | rank);
  });
  const bytes = Buffer.allocUnsafe(marks.length * 2);
  marks.forEach((mark, i) => {
    bytes.writeUInt16LE(mark, i * 2);
  });
  return bytes;
};

export const windowS = (staleS: number): number => Math.max(1, Math.ceil(staleS / 4));

/** The windows with marks that come now. As lua/commit.lua does it. */
export const withMarks = (
  windows: readonly DemandWindow[],
  marks: Buffer,
  clockS: number,
  staleS: number,
): readonly DemandWindow[] => {
  const width = windowS(staleS);
  const kept = windows.filter(({ startS }) => startS > clockS - staleS - width);
  const last = kept.at(-1);
  const isOpen = last !== undefined && clockS - last.startS < width;
  const registers = isOpen ? Uint8Array.from(last.registers) : new Uint8Array(REGISTERS);
  for (let at = 0; at < marks.length; at += 2) raise(registers, marks.readUInt16LE(at));
  if (isOpen) kept.pop();
  kept.push({ startS: isOpen ? last.startS : clockS, registers });
  return kept.slice(-WINDOWS);
};

/** Windows as the ledger packs them: <I4 startS> <registers>, oldest first. */
export const unpackWindows = (packed: Buffer): DemandWindow[] => {
  const windows: DemandWindow[] = [];
  for (let at = 0; at + 4 + REGISTERS <= packed.length; at += 4 + REGISTERS)
    windows.push({ startS: packed.readUInt32LE(at), registers: packed.subarray(at + 4, at + 4 + REGISTERS) });
  return windows;
};

/** About how many distinct ids were marked. */
export const estimate = (registers: Uint8Array): number => {
  const counts = new Array<number>(MAX_RANK + 1).fill(0);
  for (const rank of registers) counts[Math.min(rank, MAX_RANK)]!++;
  let z = REGISTERS * tau(1 - counts[MAX_RANK]! / REGISTERS);
  for (let rank = MAX_RANK - 1; rank >= 1; rank--) z = 0.5 * (z + counts[rank]!);
  z += REGISTERS * sigma(counts[0]! / REGISTERS);
  return REGISTERS ** 2 / (2 * Math.LN2 * z);
};

const sigma = (x: number): number => {
  if (x === 1) return Number.POSITIVE_INFINITY;
  let [sum, power, y] = [x, x, 1];
  for (let before = -1; sum !== before; y += y) {
    power *= power;
    before = sum;
    sum += power * y;
  }
  return sum;
};

const tau = (x: number): number => {
  if (x === 0 || x === 1) return 0;
  let [sum, root, y] = [1 - x, x, 1];
  for (let before = -1; sum !== before; ) {
    root = Math.sqrt(root);
    before = sum;
    y *= 0.5;
    sum -= (1 - root) ** 2 * y;
  }
  return sum / 3;
};

/** What one process saw overflow of an account in the present window of its own clock. */
export class LocalDemand {
  readonly staleS: number;
  readonly #registers = new Uint8Array(REGISTERS);
  readonly #sent = new Uint8Array(REGISTERS);
  #startMs: number;
  #isNew = false;
  #isEmpty = true;

  constructor(staleS: number, nowMs: number) {
    this.staleS = staleS;
    this.#startMs = nowMs;
  }

  add(ids: Buffer, at = 0): void {
    if (!raise(this.#registers, markOf(ids, at))) return;
    this.#isNew = true;
    this.#isEmpty = false;
  }

  addAll(ids: Buffer): void {
    for (let at = 0; at < ids.length; at += SERIES_ID_BYTES) this.add(ids, at);
  }

  /** What was not taken yet; empty for nothing. It counts as sent until `resend`. */
  take(): Buffer {
    if (!this.#isNew) return NO_MARKS;
    const marks = marksAbove(this.#registers, this.#sent);
    this.#sent.set(this.#registers);
    this.#isNew = false;
    return marks;
  }

  /** The ledger has not taken in what was sent. */
  resend(): void {
    this.#sent.fill(0);
    this.#isNew = !this.#isEmpty;
  }

  /** Begins a window where the last is over; `over`: nothing came in a whole one. */
  turn(nowMs: number): 'same' | 'new' | 'over' {
    if (nowMs - this.#startMs < windowS(this.staleS) * 1000) return 'same';
    const turn = this.#isEmpty ? 'over' : 'new';
    this.#registers.fill(0);
    this.#sent.fill(0);
    this.#startMs = nowMs;
    this.#isNew = false;
    this.#isEmpty = true;
    return turn;
  }
}

const NO_MARKS = Buffer.alloc(0);
