/** A client that may say and leave unsaid what it likes: bytes on a socket. */
import { connect, type Socket } from 'node:net';
import { waitFor } from './wait-for.ts';

export class RawClient {
  readonly #socket: Socket;
  #heard = '';
  #bytes = 0;
  #isClosed = false;

  constructor(port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.#socket.on('error', () => {});
    this.#socket.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      // Of long answers only the head matters here.
      if (this.#heard.length < 200_000) this.#heard += chunk.toString('latin1');
    });
    this.#socket.once('close', () => {
      this.#isClosed = true;
    });
    this.#socket.once('end', () => this.#socket.end());
  }

  /** What has been answered so far, its first part. */
  get heard(): string {
    return this.#heard;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isConnected(): boolean {
    return !this.#socket.connecting && !this.#isClosed;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Status codes of the answers so far. */
  get statuses(): number[] {
    return [...this.#heard.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code));
  }

  send(text: string | Buffer): this {
    if (!this.#isClosed) this.#socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
    return this;
  }

  /** Says that nothing more will come, and goes on listening. */
  finish(): this {
    this.#socket.end();
    return this;
  }

  /** Takes nothing any more: the server's buffers fill. */
  stopReading(): this {
    this.#socket.pause();
    return this;
  }

  /** Without a word. */
  cut(): void {
    this.#socket.destroy();
  }

  async until(what: string, condition: (client: this) => boolean, timeoutMs = 30_000): Promise<this> {
    return waitFor(
      () =>
        condition(this)
          ? { done: true, value: this }
          : {
              done: false,
              seen: `${this.#bytes} bytes, ${this.#isClosed ? 'closed' : 'open'}: ${this.#heard.slice(0, 300)}`,
            },
      { timeoutMs, what, everyMs: 20 },
    );
  }
}
