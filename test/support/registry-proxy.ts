/** Stands between a client and a schema registry, and does to it what networks and registries do. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/**
 * `dead`: nobody takes connections; `slow`: an answer after 10 s; `drips`: a byte now and then, for ever; `404`, `500`:
 * those, as a web server would; `garbage`: 200 with something that is no answer; `empty`: 200 with an object of nothing.
 */
export type Trouble = 'none' | 'dead' | 'slow' | 'drips' | '404' | '500' | 'garbage' | 'empty';

const SLOW_MS = 10_000;
const DRIP_MS = 100;

export class RegistryProxy {
  trouble: Trouble = 'none';
  /** Of each request: when, and for what. */
  readonly requests: { readonly atMs: number; readonly path: string }[] = [];
  readonly #upstream: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #port = 0;

  constructor(upstream: string) {
    this.#upstream = upstream;
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#server.on('connection', (socket) => {
      if (this.trouble === 'dead') {
        // Nobody is there, as a client sees it; it counts all the same.
        this.requests.push({ atMs: performance.now(), path: '' });
        socket.destroy();
        return;
      }
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are there are cut off: they belong to the time before. */
  set(trouble: Trouble): void {
    this.trouble = trouble;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Requests for that id. */
  of(id: number): number {
    return this.requests.filter(({ path }) => path.startsWith(`/schemas/ids/${id}?`)).length;
  }

  /** The most requests that came within a second, since then. */
  mostPerSecond(sinceMs: number): number {
    const times = this.requests.map(({ atMs }) => atMs).filter((atMs) => atMs >= sinceMs);
    return Math.max(0, ...times.map((from) => times.filter((atMs) => atMs >= from && atMs < from + 1_000).length));
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    this.requests.push({ atMs: performance.now(), path });
    switch (this.trouble) {
      case 'slow':
        return this.#later(SLOW_MS, () => response.end('{"schema":"late"}'));
      case 'drips':
        response.writeHead(200, { 'Content-Type': 'application/json' });
        return this.#later(DRIP_MS, () => response.write(' '), true);
      case '404':
        return void response.writeHead(404).end('<h1>Not Found</h1>');
      case '500':
        return void response.writeHead(500).end('{"error_code":50001,"message":"Error in the backend data store"}');
      case 'garbage':
        return void response.writeHead(200, { 'Content-Type': 'text/html' }).end('<html>Please log in</html>');
      case 'empty':
        return void response.writeHead(200, { 'Content-Type': 'application/json' }).end('{}');
      default: {
        const answer = await fetch(this.#upstream + path);
        response.writeHead(answer.status, { 'Content-Type': 'application/json' });
        response.end(await answer.text());
      }
    }
  }

  #later(ms: number, work: () => void, again = false): void {
    const timer = again ? setInterval(work, ms) : setTimeout(work, ms);
    this.#timers.add(timer);
  }
}
