/**
 * A scrape of many series: ours beside prom-client with the same series in the same run, each in a process of its own
 * and asked over HTTP by this one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { type BenchRow, median } from './row.ts';
import type { ServerReport } from './scrape-server.ts';

type Measured = {
  readonly plainMs: number;
  readonly gzipMs: number;
  readonly blockMs: number;
  readonly bytesPerSeries: number;
  readonly growthMb: number;
};

const SCRAPES = 7;

export const rows = async ({ quick = false }: { readonly quick?: boolean }): Promise<BenchRow[]> =>
  quick ? scrapesOf(10_000, SCRAPES) : [...(await scrapesOf(100_000, SCRAPES)), ...(await scrapesOf(1_000_000, 2))];

/** Milliseconds that Tempo's handler takes: measured once, by those who made the corpus. */
const TEMPO_MS: Readonly<Record<number, number>> = { 100000: 1_049, 1000000: 13_031 };

const scrapesOf = async (series: number, scrapes: number): Promise<BenchRow[]> => {
  const yardstick = await measure('prom-client', series, scrapes);
  const ours = await measure('ours', series, scrapes);
  const beside = (name: string, unit: string, theirs: number, mine: number): BenchRow => ({
    group: 'scrape',
    row: `${series.toLocaleString('en')} series: ${name}`,
    yardstick: theirs,
    ours: mine,
    unit,
    ratio: mine / theirs,
  });
  const row = (name: string, of: keyof Measured, unit: string): BenchRow =>
    beside(`${name} (yardstick: prom-client)`, unit, yardstick[of], ours[of]);
  const tempoMs = TEMPO_MS[series];
  return [
    row('time to the last byte', 'plainMs', 'ms'),
    ...(tempoMs === undefined
      ? []
      : [beside("the same (yardstick: Tempo's, the figure beside the corpus)", 'ms', tempoMs, ours.plainMs)]),
    row('the same, gzip', 'gzipMs', 'ms'),
    row('longest event-loop block, by CPU time', 'blockMs', 'ms'),
    row('memory per series', 'bytesPerSeries', 'B'),
    row('growth of the process over the scrapes', 'growthMb', 'MB'),
  ];
};

const measure = async (kind: 'ours' | 'prom-client', series: number, scrapes: number): Promise<Measured> => {
  const child = fork(join(import.meta.dirname, 'scrape-server.ts'), [kind, String(series)], {
    execArgv: ['--expose-gc'],
  });
  try {
    const { port } = await reported(child);
    const lines = await scrape(port, {});
    if (lines < series) throw new Error(`${kind} answered ${lines} lines for ${series} series`);
    await asked(child);
    const before = await asked(child);
    const plain: number[] = [];
    const gzip: number[] = [];
    for (let i = 0; i < scrapes; i++) {
      plain.push(await timed(() => scrape(port, {})));
      gzip.push(await timed(() => scrape(port, { 'Accept-Encoding': 'gzip' })));
    }
    const after = await asked(child);
    return {
      plainMs: median(plain),
      gzipMs: median(gzip),
      blockMs: after.blockMs,
      bytesPerSeries: after.bytesPerSeries,
      growthMb: Math.max(0, after.rssBytes - before.rssBytes) / 1e6,
    };
  } finally {
    const exited = once(child, 'exit');
    if (child.connected) {
      child.disconnect();
      await exited;
    }
  }
};

const timed = async (work: () => Promise<unknown>): Promise<number> => {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
};

const asked = (child: ChildProcess): Promise<ServerReport> => {
  child.send('report');
  return reported(child);
};

/** Rejects where the server ends instead. */
const reported = async (child: ChildProcess): Promise<ServerReport> => {
  const done = new AbortController();
  const { signal } = done;
  try {
    const ended = once(child, 'exit', { signal }).then(([code]) => {
      throw new Error(`the server to scrape ended with ${code}`);
    });
    const [report] = (await Promise.race([once(child, 'message', { signal }), ended])) as [ServerReport];
    return report;
  } finally {
    done.abort();
  }
};

/** Reads a whole answer; the number of line feeds in it. */
const scrape = (port: number, headers: Record<string, string>): Promise<number> =>
  new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path: '/usage_metrics', headers }, (response) => {
      let lines = 0;
      response.on('data', (chunk: Buffer) => {
        for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) lines++;
      });
      response.on('end', () => resolve(lines));
      response.on('error', reject);
    }).on('error', reject);
  });
