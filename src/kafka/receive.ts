/**
 * Receives a broker's answers without a copy: `size:i32`, then so many bytes. What is known of an answer's size is used
 * to let the socket write the rest of it where it stays, and large answers lie in buffers that are used again: a fetch
 * of megabytes costs one copy, the kernel's, and leaves nothing for the garbage collector.
 */
import { connect, type Socket } from 'node:net';

const SIZE_BYTES = 4;
const HEAD_BYTES = 64 << 10;
/** No answer is larger; "HTTP" and a TLS alert, read as a size, are. */
const MOST_BYTES = 256 << 20;
/** From here on a buffer is worth keeping. */
const POOLED_BYTES = 256 << 10;
const POOL_STEP = 1 << 20;
const POOLED_BUFFERS = 8;
/** A buffer is not used for an answer of less than this share of it: one of a catch-up would else stay in use for ever. */
const LEAST_SHARE = 1 / 4;
/** A free buffer that was of no use for so many answers is given up: seconds at full speed, half a minute at rest. */
const KEPT_FOR = 64;

type Free = { readonly memory: ArrayBufferLike; readonly since: number };

/** Buffers of large answers between two uses. What is never given back is left to the garbage collector. */
export class AnswerPool {
  #free: Free[] = [];
  #taken = 0;

  /** Bytes of the buffers that wait for an answer. */
  get freeBytes(): number {
    return this.#free.reduce((sum, { memory }) => sum + memory.byteLength, 0);
  }

  /** At least `bytes` long, with anything in it. */
  take(bytes: number): Buffer {
    this.#taken++;
    this.#giveUp();
    if (bytes < POOLED_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const steps = Math.ceil(bytes / POOL_STEP) * POOL_STEP;
    let best = -1;
    for (const [i, { memory }] of this.#free.entries()) {
      const { byteLength } = memory;
      if (byteLength < bytes || byteLength * LEAST_SHARE > steps) continue;
      if (best < 0 || byteLength < this.#free[best]!.memory.byteLength) best = i;
    }
    if (best < 0) return Buffer.allocUnsafeSlow(steps).subarray(0, bytes);
    const [{ memory }] = this.#free.splice(best, 1) as [Free];
    return Buffer.from(memory, 0, bytes);
  }

  /** Nobody may look at `answer`, or a slice of it, from here on. Any buffer may be given; only those of the pool stay. */
  giveBack(answer: Buffer): void {
    const memory = answer.buffer;
    if (memory.byteLength < POOLED_BYTES || memory.byteLength % POOL_STEP !== 0) return;
    if (this.#free.some((one) => one.memory === memory)) return;
    this.#free.push({ memory, since: this.#taken });
    if (this.#free.length <= POOLED_BUFFERS) return;
    this.#free.sort((a, b) => b.memory.byteLength - a.memory.byteLength);
    release(this.#free.pop()!.memory);
  }

  #giveUp(): void {
    const old = this.#free.filter(({ since }) => this.#taken - since > KEPT_FOR);
    if (old.length === 0) return;
    this.#free = this.#free.filter((one) => !old.includes(one));
    for (const { memory } of old) release(memory);
  }
}

/** The garbage collector would come for it when there is much of its own. */
const release = (memory: ArrayBufferLike): void => {
  if (memory instanceof ArrayBuffer) memory.transfer(0);
};

/** Puts answers together from what a socket reads; `target` says where it shall read to next. */
export class AnswerReader {
  readonly #pool: AnswerPool;
  readonly #emit: (answer: Buffer) => void;
  readonly #head = Buffer.allocUnsafeSlow(HEAD_BYTES);
  #inHead = 0;
  #answer: Buffer | null = null;
  #filled = 0;

  /** `emit` is given whole answers, with their size in front. */
  constructor(pool: AnswerPool, emit: (answer: Buffer) => void) {
    this.#pool = pool;
    this.#emit = emit;
  }

  get target(): Buffer {
    return this.#answer === null ? this.#head.subarray(this.#inHead) : this.#answer.subarray(this.#filled);
  }

  /** `bytes` were read to `target`. Throws a `RangeError` for what cannot be an answer's size. */
  take(bytes: number): void {
    if (this.#answer !== null) {
      this.#filled += bytes;
      if (this.#filled === this.#answer.length) this.#end();
      return;
    }
    this.#inHead += bytes;
    let at = 0;
    while (this.#inHead - at >= SIZE_BYTES) {
      const size = this.#head.readInt32BE(at);
      if (size < 0 || size > MOST_BYTES)
        throw new RangeError(`an answer of ${size} bytes: this is no Kafka listener, or one that wants TLS`);
      this.#answer = this.#pool.take(SIZE_BYTES + size);
      this.#filled = this.#head.copy(this.#answer, 0, at, this.#inHead);
      at += this.#filled;
      if (this.#filled < this.#answer.length) break;
      this.#end();
    }
    this.#head.copyWithin(0, at, this.#inHead);
    this.#inHead -= at;
  }

  #end(): void {
    const answer = this.#answer!;
    this.#answer = null;
    this.#filled = 0;
    this.#emit(answer);
  }
}

/** A plain connection whose 'data' events are whole answers. */
export const connectReceiving = (
  where: { readonly host: string; readonly port: number },
  pool: AnswerPool,
  onConnect: () => void,
): Socket => {
  const reader = new AnswerReader(pool, (answer) => socket.emit('data', answer));
  const onread = {
    buffer: () => reader.target,
    callback: (bytes: number) => {
      try {
        reader.take(bytes);
      } catch (error) {
        socket.destroy(error as Error);
        return false;
      }
      return true;
    },
  };
  const socket = connect({ ...where, onread }, onConnect);
  return socket;
};
