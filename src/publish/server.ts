/**
 * The HTTP face: usage metrics, self-metrics, readiness and liveness. Answers from memory alone; no request can hold
 * more than a few pages, or anything for longer than the limits say.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { streamAnswer } from './answer-stream.ts';
import type { ExpositionOptions } from './exposition.ts';
import { CONTENT_TYPES, exposition } from './exposition.ts';
import { acceptsGzip, formatFor } from './negotiation.ts';
import type { Snapshot } from './publisher.ts';

export type Health = { readonly ok: boolean; readonly reasons: readonly string[] };

export type ServerDeps = {
  readonly snapshot: (forScraper: boolean) => Snapshot;
  readonly exposition: Omit<ExpositionOptions, 'format'>;
  readonly selfMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly ready: () => Health;
  /** Must depend on nothing outside of this process. */
  readonly live: () => Health;
  /** Hears of each answer of usage metrics when it is over. */
  readonly scraped?: (seconds: number, complete: boolean) => void;
  readonly log: { error(fields: object, message: string): void };
};

export type ServerOptions = {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  readonly maxConnections: number;
  /** Answers of usage metrics at the same time; more are answered 503. */
  readonly maxScrapes: number;
  /** An answer that takes longer is cut off; a scraper that says its own time-out is cut off then. */
  readonly answerWithinMs: number;
};

export const SERVER_DEFAULTS = { maxConnections: 512, maxScrapes: 32, answerWithinMs: 60_000 } as const satisfies Omit<
  ServerOptions,
  'host' | 'port'
>;

const HEADERS_MS = 10_000;
const REQUEST_MS = 15_000;
/** Longer than usual scrape intervals, so that scrapers find their connection again. */
const KEEP_ALIVE_MS = 75_000;
const HEADER_BYTES = 16_384;

const JSON_TYPE = 'application/json; charset=utf-8';
const SCRAPE_TIMEOUT = 'x-prometheus-scrape-timeout-seconds';

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

export class PublishServer {
  readonly #deps: ServerDeps;
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #routes: ReadonlyMap<string, Handler>;
  #scrapes = 0;

  constructor(deps: ServerDeps, options: ServerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#routes = new Map<string, Handler>([
      ['/usage_metrics', (request, response) => this.#usageMetrics(request, response)],
      ['/metrics', (request, response) => this.#selfMetrics(request, response)],
      ['/ready', async (request, response) => answerHealth(request, response, 'ready', deps.ready())],
      ['/live', async (request, response) => answerHealth(request, response, 'live', deps.live())],
    ]);
    this.#server = createServer({
      maxHeaderSize: HEADER_BYTES,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: 2_000,
    });
    this.#server.maxConnections = options.maxConnections;
    this.#server.maxHeadersCount = 100;
    this.#server.on('request', (request, response) => void this.#handle(request, response));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuse(error, socket));
  }

  /** Resolves with the port; rejects where it cannot be had. */
  listen(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.host, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#deps.log.error({ error }, 'http_server_failed'));
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts nothing more, ends what was begun, cuts off what is not over `withinMs` later. */
  close(withinMs: number): Promise<void> {
    if (!this.#server.listening) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#server.closeAllConnections(), withinMs);
      this.#server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#server.closeIdleConnections();
    });
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      response.on('error', () => response.destroy());
      response.once('close', () => setImmediate(() => this.#hangUp()));
      const path = (request.url ?? '').split('?', 1)[0]!;
      const handler = this.#routes.get(path);
      if (!this.#server.listening) response.setHeader('Connection', 'close');
      if (handler === undefined) answerError(request, response, 404, `there is nothing at ${path.slice(0, 200)}`);
      else if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('Allow', 'GET, HEAD');
        answerError(request, response, 405, `${request.method} is not answered here, only GET and HEAD`);
      } else if (hasBody(request)) {
        response.setHeader('Connection', 'close');
        answerError(request, response, 400, 'a request body is not expected');
      } else await handler(request, response);
    } catch (error) {
      this.#deps.log.error({ error, path: request.url }, 'http_request_failed');
      if (response.headersSent) response.destroy();
      else answerError(request, response, 500, 'internal error');
    }
  }

  /** A connection that was busy when the server closed is idle after its answer, and would be kept. */
  #hangUp(): void {
    if (!this.#server.listening) this.#server.closeIdleConnections();
  }

  async #usageMetrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { headers, method } = request;
    const format = formatFor(headers.accept);
    const gzip = acceptsGzip(headers['accept-encoding']?.toString());
    const fields = {
      'Content-Type': CONTENT_TYPES[format],
      Vary: 'Accept, Accept-Encoding',
      'Cache-Control': 'no-store',
    };
    if (gzip) response.setHeader('Content-Encoding', 'gzip');
    if (method === 'HEAD') {
      response.writeHead(200, fields).end();
      return;
    }
    if (this.#scrapes >= this.#options.maxScrapes) {
      response.removeHeader('Content-Encoding');
      response.setHeader('Retry-After', '1');
      answerError(request, response, 503, 'too many answers are being written');
      return;
    }
    const beganMs = performance.now();
    const timeout = headers[SCRAPE_TIMEOUT]?.toString();
    const snapshot = this.#deps.snapshot(timeout !== undefined);
    this.#scrapes++;
    let complete = false;
    try {
      response.writeHead(200, fields);
      const options = { ...this.#deps.exposition, format };
      const withinMs = Math.min(this.#options.answerWithinMs, timeoutMs(timeout));
      complete = await streamAnswer(response, (pool) => exposition(snapshot, options, pool.take), { gzip, withinMs });
    } finally {
      this.#scrapes--;
      snapshot.done();
      this.#deps.scraped?.((performance.now() - beganMs) / 1000, complete);
    }
  }

  async #selfMetrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { contentType, body } = await this.#deps.selfMetrics();
    answer(request, response, 200, contentType, body);
  }
}

const timeoutMs = (seconds: string | undefined): number => {
  const ms = Number(seconds) * 1000;
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
};

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;

const answer = (
  { method }: IncomingMessage,
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
): void => {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
  });
  response.end(method === 'HEAD' ? undefined : body);
};

const answerError = (request: IncomingMessage, response: ServerResponse, status: number, error: string): void =>
  answer(request, response, status, JSON_TYPE, `${JSON.stringify({ error })}\n`);

const answerHealth = (
  request: IncomingMessage,
  response: ServerResponse,
  word: 'ready' | 'live',
  { ok, reasons }: Health,
): void => {
  const body = ok ? { [word]: true } : { error: `not ${word}: ${reasons.join('; ')}`, reasons };
  answer(request, response, ok ? 200 : 503, JSON_TYPE, `${JSON.stringify(body)}\n`);
};

/** What is no HTTP request gets an answer all the same, and no second one. */
const refuse = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  const body = `${JSON.stringify({ error: STATUS_CODES[status]!.toLowerCase() })}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
};
