/** A measurement beside its yardstick, both from one run. `ratio` is ours / yardstick. */
export type BenchRow = {
  readonly group: string;
  readonly row: string;
  readonly yardstick: number;
  readonly ours: number;
  readonly unit: string;
  readonly ratio: number;
};

export function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
