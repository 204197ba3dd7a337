/**
 * A bound on connections that idle ones cannot use up: where there is no room, one that is idle makes some, and only
 * where all are busy is a new one turned away. Those that have asked nothing yet and those that have been answered are
 * two queues; the longer one gives, its head first. So silent connections drive out each other, not a scraper's that is
 * kept from one scrape to the next.
 */
import type { Socket } from 'node:net';

type Connection = { readonly socket: Socket; answers: number };

/** With TLS the one that was accepted and the one that requests name are two: their peer is the same. */
const keyOf = (socket: Socket): string => `${socket.remoteAddress} ${socket.remotePort}`;

export class ConnectionLimit {
  readonly #max: number;
  /** The longest idle first. */
  readonly #silent = new Map<string, Connection>();
  readonly #kept = new Map<string, Connection>();
  readonly #busy = new Map<string, Connection>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Takes a connection that was accepted, or cuts it off. */
  accepted(socket: Socket): void {
    if (socket.remoteAddress === undefined || !this.#makeRoom()) {
      socket.destroy();
      return;
    }
    const key = keyOf(socket);
    const connection = { socket, answers: 0 };
    this.#silent.set(key, connection);
    socket.once('close', () => {
      for (const group of [this.#silent, this.#kept, this.#busy]) if (group.get(key) === connection) group.delete(key);
    });
  }

  /** Answers that the connection waits for. */
  answers(socket: Socket): number {
    return this.#busy.get(keyOf(socket))?.answers ?? 0;
  }

  began(socket: Socket): void {
    const key = keyOf(socket);
    const connection = this.#busy.get(key) ?? this.#kept.get(key) ?? this.#silent.get(key);
    if (connection === undefined) return;
    connection.answers++;
    this.#silent.delete(key);
    this.#kept.delete(key);
    this.#busy.set(key, connection);
  }

  /** `socket` may be closed already, and then names no peer: what closed is forgotten by itself. */
  ended(socket: Socket): void {
    const key = keyOf(socket);
    const connection = this.#busy.get(key);
    if (connection === undefined) return;
    connection.answers--;
    if (connection.answers > 0) return;
    this.#busy.delete(key);
    this.#kept.set(key, connection);
  }

  #makeRoom(): boolean {
    if (this.#silent.size + this.#kept.size + this.#busy.size < this.#max) return true;
    const group = this.#silent.size >= this.#kept.size ? this.#silent : this.#kept;
    const [longest] = group;
    if (longest === undefined) return false;
    const [key, { socket }] = longest;
    group.delete(key);
    socket.destroy();
    return true;
  }
}
