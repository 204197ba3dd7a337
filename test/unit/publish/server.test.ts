import { once } from 'node:events';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import type { Snapshot } from '../../../src/publish/publisher.ts';
import { PublishServer, type ServerDeps, type ServerOptions } from '../../../src/publish/server.ts';
import { parseExposition } from '../../support/exposition.ts';
import { SERVER_LIMITS } from '../../support/server-limits.ts';
import { OneShard, settingsOf } from './tables.ts';

type Answer = { readonly status: number; readonly headers: IncomingHttpHeaders; readonly body: Buffer };

// Tens of thousands of series are made by way of a ledger, on machines that are busy with other tests.
jest.setTimeout(60_000);

const open: PublishServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close(0)));
});

const start = async (deps: Partial<ServerDeps> = {}, options: Partial<ServerOptions> = {}) => {
  const errors: object[] = [];
  const server = new PublishServer(
    {
      snapshot: (forScraper) => ({ forScraper, tables: [], done: () => {} }),
      exposition: { prefix: 'tempo_usage_tracker', settings: settingsOf(100, ['service']), created: false },
      selfMetrics: async () => ({ contentType: 'text/plain; version=0.0.4; charset=utf-8', body: 'up 1\n' }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: (fields) => void errors.push(fields) },
      ...deps,
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0, ...options },
  );
  open.push(server);
  return { server, errors, port: await server.listen() };
};

const get = (
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
  body = '',
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', port, path, method, headers, agent: false }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () =>
        resolve({ status: incoming.statusCode!, headers: incoming.headers, body: Buffer.concat(chunks) }),
      );
      incoming.on('error', reject);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });

const raw = async (port: number, text: string): Promise<string> => {
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString();
  });
  socket.write(text);
  await once(socket, 'close');
  return answer;
};

/** A table of `count` series, and a snapshot that tells when it is done with. */
const many = async (count: number) => {
  const shard = await new OneShard('t', 1_000_000, ['service'], { pageSeries: 5_000 }).begin();
  await shard.add(
    't',
    Array.from({ length: count }, (_, i) => [[['service', `service-${i}`]], i, 1] as const),
  );
  await shard.show();
  const state = { begun: 0, done: 0 };
  const snapshot = (forScraper: boolean): Snapshot => {
    state.begun++;
    return { ...shard.snapshot(forScraper), done: () => void state.done++ };
  };
  return { shard, state, snapshot };
};

describe('the HTTP server', () => {
  test('answers usage metrics as asked for: format, gzip, for scrapers and for people', async () => {
    const { snapshot, state } = await many(3);
    const { port } = await start({ snapshot });
    const person = await get(port, '/usage_metrics?x=y');
    expect(person.status).toBe(200);
    expect(person.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    const sum = (body: Buffer): number =>
      parseExposition(body.toString()).reduce(
        (all, { name, value }) => all + (name.endsWith('bytes_received_total') ? value : 0),
        0,
      );
    expect(sum(person.body)).toBe(3);
    const scraper = await get(port, '/usage_metrics', {
      Accept: 'application/openmetrics-text',
      'Accept-Encoding': 'gzip',
      'X-Prometheus-Scrape-Timeout-Seconds': '10',
    });
    expect(scraper.headers).toMatchObject({
      'content-type': 'application/openmetrics-text; version=1.0.0; charset=utf-8',
      'content-encoding': 'gzip',
      vary: 'Accept, Accept-Encoding',
    });
    const body = gunzipSync(scraper.body);
    expect(body.toString()).toMatch(/# EOF\n$/);
    expect(sum(body)).toBe(0);
    expect(state).toEqual({ begun: 2, done: 2 });
  });

  test('answers the rest', async () => {
    let reasons: string[] = [];
    const { port } = await start({ ready: () => ({ ok: reasons.length === 0, reasons }) });
    expect((await get(port, '/metrics')).body.toString()).toBe('up 1\n');
    expect(await get(port, '/ready')).toMatchObject({ status: 200 });
    reasons = ['the ledger is away', 'no partitions'];
    const { status, body } = await get(port, '/ready');
    expect([status, JSON.parse(body.toString())]).toEqual([
      503,
      { error: 'not ready: the ledger is away; no partitions', reasons },
    ]);
    expect((await get(port, '/live')).status).toBe(200);
  });

  test('answers HEAD with the head of GET', async () => {
    const { snapshot, state } = await many(3);
    const { port } = await start({ snapshot });
    for (const path of ['/usage_metrics', '/metrics', '/ready', '/live', '/none']) {
      const [head, whole] = [await get(port, path, {}, 'HEAD'), await get(port, path)];
      expect(head.body).toHaveLength(0);
      expect([head.status, head.headers['content-type']]).toEqual([whole.status, whole.headers['content-type']]);
    }
    expect(state.begun).toBe(1);
  });

  test('refuses what it does not answer, as JSON', async () => {
    const { port, errors } = await start({ selfMetrics: () => Promise.reject(new Error('secret')) });
    const refused = async (path: string, method: string, body = '', headers = {}): Promise<unknown[]> => {
      const answer = await get(port, path, headers, method, body);
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
      return [answer.status, JSON.parse(answer.body.toString()), answer.headers.allow];
    };
    expect(await refused('/nothing', 'GET')).toEqual([404, { error: 'there is nothing at /nothing' }, undefined]);
    expect(await refused('/ready', 'POST', 'x')).toEqual([
      405,
      { error: 'POST is not answered here, only GET and HEAD' },
      'GET, HEAD',
    ]);
    expect(await refused('/ready', 'GET', 'x', { 'Content-Length': '1' })).toEqual([
      400,
      { error: 'a request body is not expected' },
      undefined,
    ]);
    expect(await refused('/metrics', 'GET')).toEqual([500, { error: 'internal error' }, undefined]);
    expect(errors).toHaveLength(1);
  });

  test('refuses what is no request, and heads that are too large', async () => {
    const { port } = await start();
    expect(await raw(port, 'what?\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 .*\{"error":"bad request"\}\n$/s);
    expect(await raw(port, `GET /live HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`)).toMatch(
      /^HTTP\/1\.1 431 /,
    );
  });

  test('answers 503 when too many answers are being written, and serves again after them', async () => {
    const { snapshot, state } = await many(20_000);
    const { port } = await start({ snapshot }, { maxScrapes: 1 });
    const slow = connect(port, '127.0.0.1');
    slow.pause();
    slow.write('GET /usage_metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => state.begun === 1);
    const refused = await get(port, '/usage_metrics', { 'Accept-Encoding': 'gzip' });
    expect([refused.status, refused.headers['retry-after'], refused.headers['content-encoding']]).toEqual([
      503,
      '1',
      undefined,
    ]);
    slow.destroy();
    await until(() => state.done === 1);
    expect((await get(port, '/usage_metrics')).status).toBe(200);
  });

  test('cuts off a client that does not read, and then holds nothing for it', async () => {
    const { snapshot, state } = await many(40_000);
    const outcomes: boolean[] = [];
    const { port } = await start(
      { snapshot, scraped: (_, complete) => void outcomes.push(complete) },
      { answerWithinMs: 300 },
    );
    const slow = connect(port, '127.0.0.1');
    slow.on('error', () => {});
    slow.pause();
    slow.write('GET /usage_metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => state.begun === 1);
    await until(() => state.done === 1);
    expect(outcomes).toEqual([false]);
    slow.destroy();
  });

  test('answers from the tables of the moment when the request arrived', async () => {
    const { shard, snapshot } = await many(20_000);
    const { port } = await start({
      snapshot: (forScraper) => {
        const taken = snapshot(forScraper);
        // While it is written, another table takes the place.
        void (async () => {
          await shard.add(
            't',
            Array.from({ length: 20_000 }, (_, i) => [[['service', `service-${i}`]], 1_000, 1] as const),
          );
          await shard.show();
        })();
        return taken;
      },
    });
    const values = (body: Buffer): number[] =>
      parseExposition(body.toString())
        .filter(({ name }) => name.endsWith('bytes_received_total'))
        .map(({ value }) => value);
    const before = values((await get(port, '/usage_metrics')).body);
    expect(before).toEqual(Array.from({ length: 20_000 }, (_, i) => i));
    await until(() => shard.reader.table!.markers.values().next().value === shard.marker);
  });

  test('closes: ends begun answers, takes nothing new', async () => {
    const { snapshot, state } = await many(20_000);
    const { server, port } = await start({ snapshot });
    const answer = get(port, '/usage_metrics');
    await until(() => state.begun === 1);
    await server.close(5_000);
    expect((await answer).body.toString()).toContain('service-19999');
    await expect(get(port, '/live')).rejects.toThrow('ECONNREFUSED');
  });

  test('closes without waiting for connections that were kept alive', async () => {
    const { snapshot, state } = await many(20_000);
    const { server, port } = await start({ snapshot });
    const socket = connect(port, '127.0.0.1');
    socket.pause();
    socket.write('GET /usage_metrics HTTP/1.1\r\nHost: x\r\n\r\n');
    await until(() => state.begun === 1);
    const closed = server.close(60_000);
    socket.resume();
    await closed;
    expect(state.done).toBe(1);
  });

  test('says so when its port is taken', async () => {
    const { port } = await start();
    await expect(start({}, { port })).rejects.toThrow('EADDRINUSE');
  });
});

const until = async (condition: () => boolean): Promise<void> => {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${condition}`);
    await pause(5);
  }
};
