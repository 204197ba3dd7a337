/**
 * A server of many series in a process of its own, for `scrape.ts`. Arguments: ours | prom-client, number of series.
 * Tells its parent where it listens, and when asked, what the scrapes since the last question did to it.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { constants, gzip } from 'node:zlib';
import { Counter, Registry } from 'prom-client';
import { PublishServer } from '../../src/publish/server.ts';
import { SERVER_LIMITS } from '../support/server-limits.ts';
import { OneShard } from '../unit/publish/tables.ts';

/** What the parent hears. */
export type ServerReport = {
  readonly port: number;
  /** Of the series alone. */
  readonly bytesPerSeries: number;
  /** CPU time of the longest part since the last report in which nothing else ran. */
  readonly blockMs: number;
  readonly rssBytes: number;
};

const TENANTS = 10;
const SETTLE_MS = 50;

const labelsOf = (series: number) =>
  [
    ['namespace', `namespace-${series % 20}`],
    ['service', `service-name-${series}`],
    ['team', `team-${series % 50}`],
  ] as const;

const tenantOf = (series: number): string => `tenant-${series % TENANTS}`;

const used = (): number => {
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
};

/** The ledger that the table was read from is let go, as it lies elsewhere in earnest. */
const ourServer = async (count: number): Promise<{ port: number; bytes: number }> => {
  const before = used();
  const read = async () => {
    const shard = await new OneShard('t', count, ['namespace', 'service', 'team'], { pageSeries: 5_000 }).begin();
    for (let tenant = 0; tenant < TENANTS; tenant++) {
      const numbers = Array.from({ length: count / TENANTS }, (_, i) => i * TENANTS + tenant);
      await shard.add(
        tenantOf(tenant),
        numbers.map((series) => [labelsOf(series), 10_007 * (series + 1), series] as const),
      );
    }
    await shard.show();
    return { snapshot: shard.snapshot(), settings: shard.settings };
  };
  const { snapshot, settings } = await read();
  const server = new PublishServer(
    {
      snapshot: () => snapshot,
      exposition: {
        prefix: 'tempo_usage_tracker',
        settings: { ...settings, measures: () => ['bytes'] },
        created: false,
      },
      selfMetrics: async () => ({ contentType: 'text/plain', body: '' }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: () => {} },
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0 },
  );
  return { port: await server.listen(), bytes: used() - before };
};

const promClientServer = async (count: number): Promise<{ port: number; bytes: number }> => {
  const before = used();
  const registry = new Registry();
  const counter = new Counter({
    name: 'tempo_usage_tracker_bytes_received_total',
    help: 'bytes total received with these attributes',
    labelNames: ['namespace', 'service', 'team', 'tenant', 'tracker'],
    registers: [registry],
  });
  for (let series = 0; series < count; series++)
    counter.inc(
      { ...Object.fromEntries(labelsOf(series)), tenant: tenantOf(series), tracker: 'cost-attribution' },
      10_007 * (series + 1),
    );
  const compress = promisify(gzip);
  const server = createServer(async (request, response) => {
    const text = await registry.metrics();
    const isGzip = request.headers['accept-encoding'] === 'gzip';
    if (isGzip) response.setHeader('Content-Encoding', 'gzip');
    response.end(isGzip ? await compress(text, { level: constants.Z_BEST_SPEED }) : text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, bytes: used() - before };
};

/**
 * What the thread computed between two turns of a timer, at most. By the clock, what the machine gave to others in
 * between would count as well: the scraper, for one, runs beside this.
 */
function watchBlocks(): { readonly begin: () => void; readonly longestMs: () => number } {
  let longestMs = 0;
  let last = process.threadCpuUsage();
  setInterval(() => {
    const now = process.threadCpuUsage();
    longestMs = Math.max(longestMs, (now.user + now.system - last.user - last.system) / 1e3);
    last = now;
  }, 1);
  return {
    begin: () => {
      longestMs = 0;
    },
    longestMs: () => longestMs,
  };
}

const [kind, series] = [process.argv[2], Number(process.argv[3])];
const { port, bytes } = await (kind === 'ours' ? ourServer(series) : promClientServer(series));
const blocks = watchBlocks();
const report = async (): Promise<void> => {
  const blockMs = blocks.longestMs();
  for (let i = 0; i < 3; i++) globalThis.gc?.();
  // A block is noted by the turn after it: that of the collections must not count as one of the scrapes to come.
  await setTimeout(SETTLE_MS);
  blocks.begin();
  process.send!({
    port,
    bytesPerSeries: bytes / series,
    blockMs,
    rssBytes: process.memoryUsage().rss,
  } satisfies ServerReport);
};
process.on('message', () => void report());
process.on('disconnect', () => process.exit(0));
await report();
