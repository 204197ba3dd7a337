/**
 * A scraper with Prometheus's rules, for where no Prometheus can be had and beside one where it can: every target at
 * its own moment of the interval, a scrape that fails or is late leaves nothing, labels that follow the target are
 * emptied, and what comes for one series from several targets is one series, in the order of time.
 */
import { parseExposition } from './exposition.ts';

export type SeriesLabels = Readonly<Record<string, string>>;

export type SeenSeries = {
  readonly labels: SeriesLabels;
  /** Over all samples, in their order. A value below the one before it is a reset: all of it is new. */
  readonly increase: number;
  readonly resets: number;
  /** Values of the first and of the last sample. */
  readonly first: number;
  readonly last: number;
};

export type Scraper = {
  /** By name and labels. */
  series(name: string): readonly SeenSeries[];
  stop(): Promise<void>;
};

type Series = { labels: SeriesLabels; name: string; samples: { readonly atMs: number; readonly value: number }[] };

export function startScraper(urls: readonly string[], intervalMs: number): Scraper {
  const all = new Map<string, Series>();
  const timers: NodeJS.Timeout[] = [];
  const running = new Set<Promise<void>>();
  const scrape = async (url: string) => {
    const atMs = performance.now();
    const headers = { 'X-Prometheus-Scrape-Timeout-Seconds': String(intervalMs / 1000) };
    try {
      const response = await fetch(url, { headers, signal: AbortSignal.timeout(intervalMs) });
      if (!response.ok) return;
      for (const { name, labels, value } of parseExposition(await response.text())) {
        const identity = name + JSON.stringify(Object.entries(labels).sort());
        let series = all.get(identity);
        if (series === undefined) {
          series = { labels, name, samples: [] };
          all.set(identity, series);
        }
        series.samples.push({ atMs, value });
      }
    } catch {
      // As with Prometheus: a scrape that failed has no samples.
    }
  };
  urls.forEach((url, i) => {
    const go = () => {
      const run = scrape(url).finally(() => running.delete(run));
      running.add(run);
    };
    timers.push(setTimeout(() => timers.push(setInterval(go, intervalMs)), (i * intervalMs) / urls.length));
  });
  return {
    series: (name) => [...all.values()].filter((series) => series.name === name).map(seen),
    stop: async () => {
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(running);
    },
  };
}

function seen({ labels, samples }: Series): SeenSeries {
  const ordered = samples.toSorted((a, b) => a.atMs - b.atMs);
  let increase = 0;
  let resets = 0;
  for (let i = 1; i < ordered.length; i += 1) {
    const [before, now] = [ordered[i - 1]!.value, ordered[i]!.value];
    if (now < before) resets += 1;
    increase += now < before ? now : now - before;
  }
  return { labels, increase, resets, first: ordered[0]!.value, last: ordered.at(-1)!.value };
}
