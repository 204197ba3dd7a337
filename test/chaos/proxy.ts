/**
 * A TCP proxy on 127.0.0.1 that makes trouble: latency, a thin line, connections that are cut in the middle of what
 * they carry, and half-open ones, where the client's side stays open and nobody hears.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.ts';

/** What happens to bytes on their way. */
export type Line = {
  /** Each piece comes so much later. */
  readonly latencyMs: number;
  /** 0: as many as there are. */
  readonly bytesPerSecond: number;
};

const FINE: Line = { latencyMs: 0, bytesPerSecond: 0 };
/** On a thin line a large piece is passed on in parts, so that a trickle is seen and not a long silence. */
const PART_BYTES = 16 * 1024;

type Link = {
  readonly client: Socket;
  readonly server: Socket;
  line: Line;
  /** The next piece is passed on by half, then both sides are reset. */
  cut: boolean;
  /** Nothing passes any more, and the client is not told. */
  dead: boolean;
};

export class FaultyProxy {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #random: Random;
  readonly #links = new Set<Link>();
  #line = FINE;
  #share = 0;

  private constructor(server: Server, targetPort: number, random: Random) {
    this.#server = server;
    this.#targetPort = targetPort;
    this.#random = random;
  }

  static async listen(port: number, targetPort: number, random: Random): Promise<FaultyProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new FaultyProxy(server, targetPort, random);
    server.on('connection', (client) => proxy.#join(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** Connections that are there, and those to come, each by chance with that share. */
  trouble(line: Line, share: number): void {
    this.#line = line;
    this.#share = share;
    for (const link of this.#links) link.line = this.#lineByChance();
  }

  /** All is well again; connections that were cut or are half-open stay so. */
  heal(): void {
    this.trouble(FINE, 0);
  }

  /** Cuts connections with that share, each in the middle of the next piece that it carries. */
  cut(share: number): void {
    for (const link of this.#links) if (this.#random.chance(share)) link.cut = true;
  }

  /** The far side of a share of the connections goes away without a word. */
  halfOpen(share: number): void {
    for (const link of this.#links) {
      if (link.dead || !this.#random.chance(share)) continue;
      link.dead = true;
      link.server.destroy();
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
    await closed;
  }

  #lineByChance(): Line {
    return this.#random.chance(this.#share) ? this.#line : FINE;
  }

  #join(client: Socket): void {
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true });
    const link: Link = { client, server, line: this.#lineByChance(), cut: false, dead: false };
    this.#links.add(link);
    client.on('error', () => {});
    server.on('error', () => {});
    client.once('close', () => {
      this.#links.delete(link);
      server.destroy();
    });
    // Of a half-open connection the client is told nothing.
    server.once('close', () => {
      if (!link.dead) client.destroy();
    });
    this.#pipe(link, client, server);
    this.#pipe(link, server, client);
  }

  #pipe(link: Link, from: Socket, to: Socket): void {
    from.on('data', (piece: Buffer) => {
      from.pause();
      void this.#carry(link, piece, to).then(() => from.resume());
    });
    from.once('end', () => {
      if (!link.dead) to.end();
    });
  }

  async #carry(link: Link, piece: Buffer, to: Socket): Promise<void> {
    if (link.line.latencyMs > 0) await sleep(link.line.latencyMs);
    const size = link.line.bytesPerSecond > 0 ? PART_BYTES : piece.length;
    for (let at = 0; at < piece.length; at += size) {
      const part = piece.subarray(at, at + size);
      const { bytesPerSecond } = link.line;
      if (bytesPerSecond > 0) await sleep((part.length * 1000) / bytesPerSecond);
      if (link.dead || to.destroyed) return;
      if (link.cut) {
        await write(to, part.subarray(0, part.length >> 1));
        link.client.resetAndDestroy();
        link.server.resetAndDestroy();
        return;
      }
      await write(to, part);
    }
  }
}

/** Resolves when the system has taken it, or the connection is gone. */
function write(to: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => {
    if (to.destroyed) resolve();
    else to.write(bytes, () => resolve());
  });
}
