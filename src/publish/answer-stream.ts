/** Sends the pages of an answer as fast as the client takes them, and no faster: a slow client holds a few pages. */
import type { ServerResponse } from 'node:http';
import { setImmediate as turn } from 'node:timers/promises';
import { createGzip } from 'node:zlib';
import { PAGE_BYTES } from './exposition.ts';

/** Pages that are being sent at the same time. */
const IN_FLIGHT = 4;

export type StreamOptions = {
  readonly gzip: boolean;
  /** The client is cut off after that long. */
  readonly withinMs: number;
  /** Called whenever the client took a page. */
  readonly moved?: () => void;
};

/** Gives pages out and takes them back. */
export class PagePool {
  readonly #free: Buffer[] = [];

  readonly take = (): Buffer => this.#free.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES);

  give(page: Buffer): void {
    this.#free.push(Buffer.from(page.buffer));
  }
}

/** Resolves when all is sent, or the client is gone or was cut off (false). Never rejects but for an error of `pages`. */
export const streamAnswer = async (
  response: ServerResponse,
  pages: (pool: PagePool) => Iterable<Buffer>,
  { gzip, withinMs, moved }: StreamOptions,
): Promise<boolean> => {
  const beganMs = Date.now();
  const timer = setTimeout(() => response.destroy(), withinMs);
  const closed = new Promise<'closed'>((resolve) => response.once('close', () => resolve('closed')));
  const pool = new PagePool();
  const target = gzip ? createGzip({ level: 1, chunkSize: PAGE_BYTES }) : response;
  if (target !== response) target.on('error', () => response.destroy()).pipe(response);
  const send = (page: Buffer): Promise<'sent'> =>
    new Promise((resolve) => {
      target.write(page, () => {
        pool.give(page);
        moved?.();
        resolve('sent');
      });
    });
  const inFlight: Promise<'sent'>[] = [];
  try {
    for (const page of pages(pool)) {
      inFlight.push(send(page));
      await turn();
      // A machine that was suspended in the middle finds the timer late.
      if (Date.now() - beganMs >= withinMs) response.destroy();
      if (response.destroyed) return false;
      if (inFlight.length >= IN_FLIGHT && (await Promise.race([inFlight.shift()!, closed])) === 'closed') return false;
    }
    target.end();
    await closed;
    return response.writableFinished;
  } finally {
    clearTimeout(timer);
    if (target !== response) target.destroy();
  }
};
