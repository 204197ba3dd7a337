/** What is measured while it soaks, and whether the memory of a process stays flat. */

export type MemorySample = { readonly atS: number; readonly rssMb: number };

/** One life of a replica's process, from its start to its end. */
export type Life = { readonly replica: string; readonly pid: number; readonly samples: MemorySample[] };

export type Flatness = {
  readonly replica: string;
  readonly pid: number;
  /** What was judged: from the end of the warm-up to the last sample, s. */
  readonly overS: number;
  /** Median of the window medians. */
  readonly medianMb: number;
  readonly highestMb: number;
  /** The median of the slopes between all pairs of windows, times `overS`. */
  readonly riseMb: number;
  /** The same by minute. */
  readonly slopeMb: number;
  /** Medians of all minutes, those of the warm-up too. */
  readonly minutesMb: readonly number[];
  readonly isFlat: boolean;
};

const WINDOW_S = 60;
const LEAST_WINDOWS = 5;
/**
 * What a process fills once, and keeps, is full by then: code and its caches after one minute, the young generation after
 * two, tables of series as soon as these become stale, the threads of the pool when each has met each kind of fault.
 */
export const WARM_UP_S = 480;
/**
 * More than that in the judged time is not flat, however large the process is: of an hour, a leak of half a megabyte a
 * minute. 14 of it are the table of series, which knows every series that it ever saw until it is begun anew at 500,000
 * (the soak makes 3,000 a minute, 100 bytes each); the allocators' own swings are some MB. Shorter runs show larger leaks
 * only.
 */
export const RISE_MB = 24;

/**
 * Judges the windows of a minute after the warm-up: their medians, so that what a fetch or a collection does for a few
 * seconds does not matter, and the median of all slopes between them (Theil and Sen), so that one fault does not. Null
 * where a life was too short to be judged.
 */
export function judge({ replica, pid, samples }: Life, warmUpS = WARM_UP_S): Flatness | null {
  const first = samples[0]?.atS ?? 0;
  const minutesMb = windowsOf(samples).map(({ mb }) => mb);
  const windows = windowsOf(samples.filter(({ atS }) => atS - first >= warmUpS));
  if (windows.length < LEAST_WINDOWS) return null;
  const slopes: number[] = [];
  windows.forEach((one, i) => {
    for (const other of windows.slice(i + 1)) slopes.push((other.mb - one.mb) / (other.atS - one.atS));
  });
  const overS = windows.at(-1)!.atS - windows[0]!.atS;
  const medianMb = median(windows.map(({ mb }) => mb));
  const slopeMb = median(slopes) * 60;
  const riseMb = (slopeMb * overS) / 60;
  const highestMb = Math.max(...samples.map(({ rssMb }) => rssMb));
  return { replica, pid, overS, medianMb, highestMb, riseMb, slopeMb, minutesMb, isFlat: riseMb <= RISE_MB };
}

function windowsOf(samples: readonly MemorySample[]): { readonly atS: number; readonly mb: number }[] {
  const byWindow = Map.groupBy(samples, ({ atS }) => Math.floor(atS / WINDOW_S));
  return [...byWindow].map(([window, some]) => ({
    atS: (window + 0.5) * WINDOW_S,
    mb: median(some.map(({ rssMb }) => rssMb)),
  }));
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
