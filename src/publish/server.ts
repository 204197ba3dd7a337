/**
 * The HTTP face: usage metrics, self-metrics, readiness and liveness. Answers from memory alone; no request can hold
 * more than a few pages, or anything for longer than the limits say.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import { createServer as createSecureServer, Server as SecureServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { AnswerSlots } from './answer-slots.ts';
import { streamAnswer } from './answer-stream.ts';
import { answer, answerError, answerHealth, type Health, hasBody, readBody, refuse, statusOf } from './answers.ts';
import { ConnectionLimit } from './connection-limit.ts';
import { type Endpoint, endpointAt, methodsOf, takesBody } from './endpoint.ts';
import type { ExpositionOptions } from './exposition.ts';
import { CONTENT_TYPES, exposition } from './exposition.ts';
import { mayAsk, NO_TOKENS, type Tokens } from './guard.ts';
import { acceptsGzip, formatFor } from './negotiation.ts';
import type { Snapshot } from './publisher.ts';

export type ServerDeps = {
  readonly snapshot: (forScraper: boolean) => Snapshot;
  readonly exposition: Omit<ExpositionOptions, 'format'>;
  readonly selfMetrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly ready: () => Health;
  /** Must depend on nothing outside of this process. */
  readonly live: () => Health;
  /** What else there is. */
  readonly endpoints?: readonly Endpoint[];
  /** Hears of each answer of usage metrics when it is over. */
  readonly scraped?: (seconds: number, complete: boolean) => void;
  readonly log: { error(fields: object, message: string): void };
};

export type ServerOptions = {
  readonly host: string;
  /** 0: a free one. */
  readonly port: number;
  /** PEM. Absent or null: plain HTTP. */
  readonly tls?: Pair | null;
  readonly tokens?: Tokens;
  /** Beyond them the longest idle one is closed. */
  readonly maxConnections: number;
  /** Answers of usage metrics at the same time; beyond them one that stands still is cut off, or 503 is answered. */
  readonly maxScrapes: number;
  /** Of the request line and the headers; above them 431 is answered. */
  readonly maxHeaderBytes: number;
  /** A request that is not there after that long is answered 408. */
  readonly requestWithinMs: number;
  /** An answer that takes longer is cut off; a scraper that says its own time-out is cut off then. */
  readonly answerWithinMs: number;
};

export type Pair = { readonly cert: string; readonly key: string };

/** Longer than usual scrape intervals, so that scrapers find their connection again. */
const KEEP_ALIVE_MS = 75_000;
const CHECK_MS = 500;
/** Requests that a client may send ahead of the answers. */
const MAX_AHEAD = 8;

const SHOWN_PATH = 200;

const SCRAPE_TIMEOUT = 'x-prometheus-scrape-timeout-seconds';

type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** What this file answers by itself, for people. */
export const BUILT_IN: readonly Pick<Endpoint, 'path' | 'methods'>[] = [
  { path: '/usage_metrics', methods: { GET: 'the usage series' } },
  { path: '/metrics', methods: { GET: 'metrics about the service itself: docs/metrics.md' } },
  { path: '/ready', methods: { GET: '200 when it counts, or 503 with the reason' } },
  { path: '/live', methods: { GET: '200, or 503 with the reason; depends neither on Kafka nor on Redis' } },
];

export class PublishServer {
  readonly #deps: ServerDeps;
  readonly #options: ServerOptions;
  readonly #server: Server;
  readonly #routes: ReadonlyMap<string, Handler>;
  readonly #connections: ConnectionLimit;
  readonly #slots: AnswerSlots;
  #tokens: Tokens;

  constructor(deps: ServerDeps, options: ServerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#tokens = options.tokens ?? NO_TOKENS;
    this.#connections = new ConnectionLimit(options.maxConnections);
    this.#slots = new AnswerSlots(options.maxScrapes);
    this.#routes = new Map<string, Handler>([
      ['/usage_metrics', (request, response) => this.#usageMetrics(request, response)],
      ['/metrics', (request, response) => this.#selfMetrics(request, response)],
      ['/ready', async (request, response) => answerHealth(request, response, 'ready', deps.ready())],
      ['/live', async (request, response) => answerHealth(request, response, 'live', deps.live())],
    ]);
    this.#server = listenerFor(options, (request, response) => void this.#handle(request, response));
    this.#server.maxHeadersCount = 100;
    this.#server.on('connection', (socket: Socket) => this.#connections.accepted(socket));
    this.#server.on('connect', (_, socket) => refuse(405, socket as Socket));
    this.#server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      // In the midst of an answer, another one would become a part of it.
      if (this.#connections.answers(socket) > 0) socket.destroy();
      else refuse(statusOf(error), socket);
    });
  }

  /** Everything that is answered, with its methods. */
  get paths(): readonly (readonly [path: string, methods: string])[] {
    return [...BUILT_IN, ...(this.#deps.endpoints ?? [])].map((one) => [one.path, methodsOf(one).join(', ')]);
  }

  /** From the next request on. */
  set tokens(tokens: Tokens) {
    this.#tokens = tokens;
  }

  /** From the next connection on. Throws where they cannot be used; the former ones stay then. */
  set tls(pair: Pair) {
    if (this.#server instanceof SecureServer) this.#server.setSecureContext({ ...pair });
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
    const { socket } = request;
    // What was parsed before the connection was cut off is still told.
    if (socket.destroyed) return;
    if (this.#connections.answers(socket) >= MAX_AHEAD) {
      socket.destroy();
      return;
    }
    this.#connections.began(socket);
    const timer = setTimeout(() => response.destroy(), this.#options.answerWithinMs);
    response.on('error', () => response.destroy());
    response.once('close', () => {
      clearTimeout(timer);
      this.#connections.ended(socket);
      setImmediate(() => this.#hangUp());
    });
    try {
      await this.#route(request, response);
    } catch (error) {
      if (!request.errored) this.#deps.log.error({ error, path: request.url }, 'http_request_failed');
      if (response.headersSent || request.errored) response.destroy();
      else answerError(request, response, 500, 'internal error');
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers } = request;
    const path = pathOf(request.url ?? '');
    const handler = this.#routes.get(path);
    const found = endpointAt(this.#deps.endpoints ?? [], path);
    const methods = found === null ? ['GET', 'HEAD'] : methodsOf(found.endpoint);
    if (!this.#server.listening) response.setHeader('Connection', 'close');
    if (hasBody(request)) response.setHeader('Connection', 'close');
    if (!mayAsk(path, headers.authorization, this.#tokens)) {
      response.setHeader('WWW-Authenticate', 'Bearer');
      answerError(request, response, 401, 'a bearer token is needed here, and the one given is not it');
    } else if (handler === undefined && found === null)
      answerError(request, response, 404, `there is nothing at ${path.slice(0, SHOWN_PATH)}`);
    else if (!methods.includes(method)) {
      response.setHeader('Allow', methods.join(', '));
      answerError(request, response, 405, `${method} is not answered here, only ${listed(methods)}`);
    } else if (hasBody(request) && !takesBody(method))
      answerError(request, response, 400, 'a request body is not expected');
    else if (handler !== undefined) await handler(request, response);
    else await this.#endpoint(found!.endpoint, found!.rest, request, response);
  }

  async #endpoint(endpoint: Endpoint, rest: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', headers, url = '' } = request;
    const { maxBodyBytes = 0 } = endpoint;
    const body = takesBody(method) ? await readBody(request, maxBodyBytes) : Buffer.alloc(0);
    if (body === null) {
      answerError(request, response, 413, `the body may have ${maxBodyBytes} bytes`);
      return;
    }
    const query = new URLSearchParams(url.split('?', 2)[1] ?? '');
    const given = await endpoint.answer({ method: method === 'HEAD' ? 'GET' : method, rest, query, headers, body });
    for (const [name, value] of Object.entries(given.headers ?? {})) response.setHeader(name, value);
    answer(request, response, given.status, given.contentType, given.body);
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
      'X-Content-Type-Options': 'nosniff',
    };
    if (gzip) response.setHeader('Content-Encoding', 'gzip');
    if (method === 'HEAD') {
      response.writeHead(200, fields).end();
      return;
    }
    const slot = this.#slots.take(() => response.destroy());
    if (slot === null) {
      response.removeHeader('Content-Encoding');
      response.setHeader('Retry-After', '1');
      answerError(request, response, 503, 'too many answers are being written');
      return;
    }
    const beganMs = performance.now();
    const timeout = headers[SCRAPE_TIMEOUT]?.toString();
    const snapshot = this.#deps.snapshot(timeout !== undefined);
    let complete = false;
    try {
      response.writeHead(200, fields);
      const options = { ...this.#deps.exposition, format };
      const withinMs = Math.min(this.#options.answerWithinMs, timeoutMs(timeout));
      complete = await streamAnswer(response, (pool) => exposition(snapshot, options, pool.take), {
        gzip,
        withinMs,
        moved: slot.moved,
      });
    } finally {
      slot.free();
      snapshot.done();
      this.#deps.scraped?.((performance.now() - beganMs) / 1000, complete);
    }
  }

  async #selfMetrics(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { contentType, body } = await this.#deps.selfMetrics();
    answer(request, response, 200, contentType, body);
  }
}

const listenerFor = (options: ServerOptions, listener: RequestListener): Server => {
  const limits = {
    maxHeaderSize: options.maxHeaderBytes,
    headersTimeout: options.requestWithinMs,
    requestTimeout: options.requestWithinMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
  };
  if (!options.tls) return createServer(limits, listener);
  return createSecureServer({ ...limits, ...options.tls, handshakeTimeout: options.requestWithinMs }, listener);
};

/** A request may also name the whole URL, as to a proxy. */
const pathOf = (target: string): string => target.replace(/^https?:\/\/[^/?#]*/i, '').split('?', 1)[0]!;

const timeoutMs = (seconds: string | undefined): number => {
  const ms = Number(seconds) * 1000;
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
};

const listed = (names: readonly string[]): string => `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
