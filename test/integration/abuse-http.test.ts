/**
 * Anyone on the network may reach HTTP: requests that are none, clients that do not send, do not read, do not end, and
 * many of them. The service answers or cuts off, its memory stays bounded, and whoever behaves is served all the while.
 */
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { parseExposition } from '../support/exposition.ts';
import { manySeriesRecord } from '../support/fleet-records.ts';
import { RawClient } from '../support/raw-http.ts';
import { type Replica, startReplica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { connectProducer, createTopic, deleteTopic, uniqueName } from '../support/topics.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

const SERIES = 12_000;
/** An exposition of about 50 MB: more than the buffers of any socket. */
const LABEL_BYTES = 2_000;
const CONNECTIONS = 40;
const SCRAPES = 4;
const BYTES = 'tempo_usage_tracker_bytes_received_total';

const topic = uniqueName('abuse-http');
let replica: Replica;
let written = 0;
const clients: RawClient[] = [];

const client = (): RawClient => {
  const made = new RawClient(replica.port);
  clients.push(made);
  return made;
};

/** As Prometheus does it, but for its patience. Answers the bytes of all series. */
const scrape = async (): Promise<number> => {
  const answer = await fetch(`${replica.url}/usage_metrics`, { signal: AbortSignal.timeout(60_000) });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${answer.status}: ${text.slice(0, 200)}`);
  return parseExposition(text)
    .filter(({ name }) => name === BYTES)
    .reduce((sum, { value }) => sum + value, 0);
};

const memoryMb = (): number => {
  const status = readFileSync(`/proc/${replica.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) / 1024;
};

const isAlive = async (): Promise<void> => {
  expect((await fetch(`${replica.url}/live`, { signal: AbortSignal.timeout(20_000) })).status).toBe(200);
};

beforeAll(async () => {
  await createTopic(sharedKafka(), topic);
  const producer = await connectProducer(sharedKafka());
  const tail = 'x'.repeat(LABEL_BYTES);
  for (let from = 0; from < SERIES; from += 1_000) {
    const routes = Array.from({ length: 1_000 }, (_, i) => `/${from + i}/${tail}`);
    const { value, headers } = manySeriesRecord('acme', routes);
    await producer.send(topic, 0, [{ value, headers }]);
    written += value!.length;
  }
  await producer.disconnect();
  replica = await startReplica({
    name: 'abuse-http',
    config: {
      server: {
        max_connections: CONNECTIONS,
        max_scrapes: SCRAPES,
        max_header_size: '4KiB',
        request_timeout: '2s',
        answer_timeout: '1m',
      },
      kafka: { brokers: sharedKafka(), group_id: topic, topics: [topic] },
      ledger: { flush_interval: '500ms' },
      usage: { cost_attribution: { max_cardinality: 50_000 } },
      overrides: { defaults: { cost_attribution: { dimensions: { 'http.route': 'route' } } } },
      publish: { lease: '2s', birth_hold: '0s' },
    },
  });
  await replica.waitReady();
  await waitFor(
    async () => {
      const seen = await scrape();
      return seen === written ? { done: true, value: undefined } : { done: false, seen };
    },
    { timeoutMs: 90_000, what: `${written} bytes to be shown`, everyMs: 500 },
  );
}, 180_000);

afterEach(async () => {
  for (const one of clients.splice(0)) one.cut();
  await isAlive();
});

afterAll(async () => {
  await replica?.stop();
  await deleteTopic(sharedKafka(), topic);
}, 60_000);

const HOST = 'Host: x\r\n';

describe('requests that are odd', () => {
  test.each<[string, string, number[]]>([
    ['no such path', `GET /etc/passwd HTTP/1.1\r\n${HOST}\r\n`, [404]],
    ['dots', `GET /../../metrics HTTP/1.1\r\n${HOST}\r\n`, [404]],
    ['a path with percent signs that stand for nothing', `GET /%zz%/%c0%ae HTTP/1.1\r\n${HOST}\r\n`, [404]],
    ['a path in another spelling', `GET /%6detrics HTTP/1.1\r\n${HOST}\r\n`, [404]],
    ['bytes that are no text in a path', `GET /\xff\xfe HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['no path', `GET  HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['a whole URL, as to a proxy', `GET http://elsewhere/live?x HTTP/1.1\r\n${HOST}\r\n`, [200]],
    ['a method that there is', `DELETE /metrics HTTP/1.1\r\n${HOST}\r\n`, [405]],
    ['OPTIONS of everything', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, [404]],
    ['a method that there is not', `STEAL /metrics HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['a tunnel', `CONNECT elsewhere:443 HTTP/1.1\r\n${HOST}\r\n`, [405]],
    ['another protocol', `GET /live HTTP/1.1\r\n${HOST}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n`, [200]],
    ['HTTP/2 without asking', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
    ['HTTP of the last century', 'GET /live HTTP/1.0\r\n\r\n', [200]],
    ['no host', 'GET /live HTTP/1.1\r\n\r\n', [400]],
    ['TLS to a plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
    ['another language', 'HELO there\r\n\r\n', [400]],
    ['nothing but zeros', '\0'.repeat(600), [400]],
    ['a body', `GET /metrics HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`, [400]],
    [
      'a body in pieces',
      `GET /metrics HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
      [400],
    ],
    [
      'a body of two minds',
      `GET /live HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      [400],
    ],
    ['a length that is none', `GET /live HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`, [400]],
    ['a wish that nobody grants', `GET /live HTTP/1.1\r\n${HOST}Expect: miracles\r\n\r\n`, [417]],
    ['headers that are none', `GET /live HTTP/1.1\r\n${HOST}no colon here\r\n\r\n`, [400]],
    ['a folded header', `GET /live HTTP/1.1\r\n${HOST}A: b\r\n c\r\n\r\n`, [400]],
    ['a header of 5 KiB', `GET /live HTTP/1.1\r\n${HOST}A: ${'a'.repeat(5_000)}\r\n\r\n`, [431]],
    ['many headers', `GET /live HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(1_500)}\r\n`, [431]],
    ['a URL of 5 KiB', `GET /${'a'.repeat(5_000)} HTTP/1.1\r\n${HOST}\r\n`, [431]],
    [
      'a time-out of nonsense',
      `GET /ready HTTP/1.1\r\n${HOST}X-Prometheus-Scrape-Timeout-Seconds: -1e999\r\n\r\n`,
      [200],
    ],
    ['garbage behind a request', `GET /live HTTP/1.1\r\n${HOST}\r\n\0\0\0\0\r\n\r\n`, [200]],
  ])('%s', async (_, request, statuses) => {
    const one = client().send(request);
    await one.until('an answer', ({ statuses: seen }) => seen.length > 0);
    expect(one.statuses.slice(0, 1)).toEqual(statuses);
    if (statuses[0]! >= 400) expect(one.heard).not.toMatch(/\n\s+at |node:internal|dist\//);
  });

  test('errors are JSON, whatever the path holds', async () => {
    const one = client().send(`GET /<script>"\x07\x1b[31m HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    await one.until('the end', ({ isClosed }) => isClosed);
    const two = client().send(`GET /<script>alert(1)</script>"\\ HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    await two.until('the end', ({ isClosed }) => isClosed);
    expect(two.heard).toMatch(/Content-Type: application\/json/);
    expect(two.heard).toMatch(/X-Content-Type-Options: nosniff/);
    const body = two.heard.slice(two.heard.indexOf('\r\n\r\n') + 4);
    expect(JSON.parse(body)).toEqual({ error: 'there is nothing at /<script>alert(1)</script>"\\' });
  });

  test('garbage in the midst of an answer does not become a part of it', async () => {
    const one = client().stopReading().send(`GET /usage_metrics HTTP/1.1\r\n${HOST}\r\n\0\0\0\0\r\n\r\n`);
    await one.until('the end', ({ isClosed }) => isClosed, 60_000);
    expect(one.statuses.length).toBeLessThanOrEqual(1);
  });
});

describe('clients that are slow', () => {
  test('a head that drips is answered 408, a scrape beside it in full', async () => {
    const slow = Array.from({ length: 20 }, () => client().send('GET /usage_metrics HTTP/1.1\r\n'));
    const drip = setInterval(() => {
      for (const one of slow) one.send('A: b\r\n');
    }, 100);
    try {
      expect(await scrape()).toBe(written);
      for (const one of slow) await one.until('a refusal', ({ isClosed }) => isClosed);
    } finally {
      clearInterval(drip);
    }
    expect(slow.map(({ statuses }) => statuses)).toEqual(slow.map(() => [408]));
  }, 60_000);

  test('a body that never comes holds nothing', async () => {
    const one = client().send(`POST /metrics HTTP/1.1\r\n${HOST}Content-Length: 1000000\r\n\r\n`);
    await one.until('the end', ({ isClosed }) => isClosed);
    expect(one.statuses).toEqual([405]);
  });

  test('silent connections make room for others, and are cut off', async () => {
    const silent = Array.from({ length: 5 * CONNECTIONS }, () => client());
    expect(await scrape()).toBe(written);
    await waitFor(
      () => {
        const open = silent.filter(({ isClosed }) => !isClosed).length;
        return open === 0 ? { done: true, value: undefined } : { done: false, seen: `${open} open` };
      },
      { timeoutMs: 30_000, what: 'all silent connections to be closed' },
    );
  }, 60_000);

  test('connections that stay open after an answer make room for others', async () => {
    const kept = Array.from({ length: CONNECTIONS }, () => client().send(`GET /live HTTP/1.1\r\n${HOST}\r\n`));
    // Beside connections of others the last of them find no room: those that have not asked yet give theirs.
    for (const one of kept)
      await one.until('an answer, or the end', ({ statuses, isClosed }) => statuses.length === 1 || isClosed);
    expect(kept.filter(({ isClosed }) => isClosed).length).toBeLessThan(5);
    const more = Array.from({ length: 10 }, () => client().send(`GET /live HTTP/1.1\r\n${HOST}\r\n`));
    for (const one of more) await one.until('an answer', ({ statuses }) => statuses[0] === 200);
    await waitUntil(async () => kept.filter(({ isClosed }) => isClosed).length >= 10, {
      timeoutMs: 20_000,
      what: 'ten of those that were kept to be closed',
    });
  }, 60_000);

  test('readers that do not read keep nobody from the usage metrics, and hold little memory', async () => {
    expect(await scrape()).toBe(written);
    const before = memoryMb();
    const readers = Array.from({ length: 3 * SCRAPES }, () =>
      client().stopReading().send(`GET /usage_metrics HTTP/1.1\r\n${HOST}\r\n`),
    );
    for (const one of readers) await one.until('a connection', ({ isConnected }) => isConnected);
    // What they have asked is there by then, and all places are taken.
    for (let i = 0; i < 3; i += 1) await isAlive();
    await waitFor(
      async () => {
        const seen = await scrape().catch(String);
        return seen === written ? { done: true, value: undefined } : { done: false, seen };
      },
      { timeoutMs: 25_000, what: 'a scrape beside readers that do not read', everyMs: 500 },
    );
    expect(memoryMb() - before).toBeLessThan(300);
    for (const one of readers) one.cut();
  }, 90_000);

  test('a reader of another endpoint that does not read is cut off, too', async () => {
    const request = `GET /metrics HTTP/1.1\r\n${HOST}\r\n`;
    const one = client().stopReading();
    // So many answers that they do not fit into the socket's buffers, never more than a few ahead.
    let sent = 0;
    const more = setInterval(() => {
      if (sent++ < 3_000) one.send(request);
    }, 1);
    try {
      await isAlive();
      await one.until('to be cut off', ({ isClosed }) => isClosed, 60_000);
    } finally {
      clearInterval(more);
    }
  }, 90_000);
});

describe('clients that are many, or in a hurry', () => {
  test('a few requests ahead are answered in order, thousands are not', async () => {
    const few = client().send(`GET /live HTTP/1.1\r\n${HOST}\r\nGET /none HTTP/1.1\r\n${HOST}\r\n`.repeat(3));
    await few.until('all answers', ({ statuses }) => statuses.length === 6);
    expect(few.statuses).toEqual([200, 404, 200, 404, 200, 404]);
    const before = memoryMb();
    const floods = Array.from({ length: 10 }, () =>
      client().send(`GET /metrics HTTP/1.1\r\n${HOST}\r\n`.repeat(20_000)),
    );
    await isAlive();
    for (const one of floods) await one.until('to be cut off', ({ isClosed }) => isClosed);
    expect(memoryMb() - before).toBeLessThan(300);
  }, 60_000);

  test('scrapes that are aborted give their places back', async () => {
    for (let round = 0; round < 5; round += 1) {
      const hasty = Array.from({ length: 2 * SCRAPES }, () =>
        client().send(`GET /usage_metrics HTTP/1.1\r\n${HOST}Accept-Encoding: ${round % 2 ? 'gzip' : 'br'}\r\n\r\n`),
      );
      for (const one of hasty) await one.until('a beginning', ({ bytes, isClosed }) => bytes > 0 || isClosed);
      for (const one of hasty) one.cut();
    }
    await waitFor(
      async () => {
        const seen = await scrape().catch(String);
        return seen === written ? { done: true, value: undefined } : { done: false, seen };
      },
      { timeoutMs: 20_000, what: 'a scrape after aborted ones' },
    );
  }, 90_000);

  test('more scrapes than there are places: the rest is told to come again, none is broken off', async () => {
    const whole = (await (await fetch(`${replica.url}/usage_metrics`)).text()).length;
    const all = Array.from({ length: 3 * SCRAPES }, async () => {
      const answer = await fetch(`${replica.url}/usage_metrics`);
      const text = await answer.text();
      return answer.status === 200 ? text.length : answer.headers.get('retry-after');
    });
    const outcomes = await Promise.all(all);
    expect(outcomes.filter((one) => one === whole).length).toBeGreaterThanOrEqual(SCRAPES);
    expect(outcomes.every((one) => one === whole || one === '1')).toBe(true);
  }, 90_000);

  test('a client that ends its side after the request gets the whole answer', async () => {
    const one = client().send(`GET /metrics HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`).finish();
    await one.until('the end', ({ isClosed }) => isClosed);
    expect(one.heard).toContain('tracetally_build_info');
  });
});

test('after all of it, it is the same process, its log says nothing of faults, and the totals are exact', async () => {
  expect(replica.running()).toBe(true);
  expect(replica.log()).not.toMatch(/http_request_failed|stopped_unexpectedly|stopping_on_fault/);
  expect(await scrape()).toBe(written);
}, 60_000);
