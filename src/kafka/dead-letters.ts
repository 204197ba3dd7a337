/**
 * Dead letters on their way. What was read is not waited for one by one: a letter is queued, and the reading goes on,
 * but no marker passes a record before its letter is delivered (`floor`). So a crash loses no letter: its record is
 * read again, and the letter may be written twice.
 *
 * Letters of one partition go one after the other, in the order of their offsets, into one partition of the dead-letter
 * topic. One that cannot be delivered holds its partition up, and is tried again for as long as it takes.
 */
import { asError, Undelivered } from './errors.ts';
import type { Letter } from './letter.ts';
import type { TopicPartition } from './port.ts';
import type { Sending } from './producer.ts';
import { Signal } from './signal.ts';

export type DeadLettersOptions = {
  readonly producer: Sending;
  readonly topic: string;
  /** Memory for letters on their way, beside one of each partition. */
  readonly maxBytes?: number;
  readonly watch: WatchLetters;
};

/** Must not throw. */
export type WatchLetters = {
  delivered(letters: number): void;
  /** An attempt failed; the letters are tried again. */
  failed(where: TopicPartition, offset: number, error: Error): void;
  /** Nothing more of the partition can be taken until `free` is said of it. */
  full(where: TopicPartition): void;
  free(where: TopicPartition): void;
};

type Queue = TopicPartition & {
  readonly letters: Letter[];
  bytes: number;
  /** The last attempt failed, or a letter was refused for want of room. */
  isHeld: boolean;
  isFailing: boolean;
  isRunning: boolean;
};

const DEFAULT_MAX_BYTES = 32 << 20;
/** Below what a topic takes at its defaults (max.message.bytes of 1 MiB). */
const BATCH_BYTES = 768 << 10;
const BATCH_LETTERS = 1_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

export class DeadLetters {
  readonly #options: DeadLettersOptions;
  readonly #maxBytes: number;
  readonly #queues = new Map<string, Queue>();
  readonly #stopping = new Signal();
  #bytes = 0;
  #isStopped = false;
  #waiting: (() => void)[] = [];

  constructor(options: DeadLettersOptions) {
    this.#options = options;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  /** Takes a letter. False: there is no room, or the letters before it cannot be delivered; `free` follows. */
  offer(where: TopicPartition, letter: Letter): boolean {
    const queue = this.#queueOf(where);
    // One letter of each partition is always taken: those that wait for a dead leader hold nobody else up.
    const isCrowded = queue.bytes > 0 && this.#bytes + letter.bytes > this.#maxBytes;
    if (this.#isStopped || queue.isFailing || isCrowded) {
      this.#hold(queue);
      return false;
    }
    queue.letters.push(letter);
    queue.bytes += letter.bytes;
    this.#bytes += letter.bytes;
    if (!queue.isRunning) void this.#run(queue);
    return true;
  }

  /** The lowest offset of the partition whose letter is not delivered; infinite where there is none. */
  floor(where: TopicPartition): number {
    let lowest = Number.POSITIVE_INFINITY;
    for (const { offset } of this.#queues.get(keyOf(where))?.letters ?? []) if (offset < lowest) lowest = offset;
    return lowest;
  }

  /** Letters of other partitions are given up: whoever reads these writes them. */
  keep(partitions: readonly TopicPartition[]): void {
    const kept = new Set(partitions.map(keyOf));
    for (const [key, queue] of this.#queues) {
      if (kept.has(key)) continue;
      this.#queues.delete(key);
      this.#remove(queue, queue.letters.length);
    }
    this.#makeRoom();
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    while (!this.#isStopped && this.#bytes > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Gives up what is on its way: no marker has passed it. */
  stop(): void {
    this.#isStopped = true;
    this.#stopping.fire();
    this.#wake();
  }

  #queueOf(where: TopicPartition): Queue {
    const key = keyOf(where);
    let queue = this.#queues.get(key);
    if (queue === undefined) {
      const { topic, partition } = where;
      queue = { topic, partition, letters: [], bytes: 0, isHeld: false, isFailing: false, isRunning: false };
      this.#queues.set(key, queue);
    }
    return queue;
  }

  #hold(queue: Queue): void {
    if (queue.isHeld) return;
    queue.isHeld = true;
    this.#options.watch.full(queue);
  }

  async #run(queue: Queue): Promise<void> {
    queue.isRunning = true;
    let delayMs = FIRST_RETRY_MS;
    let most = BATCH_LETTERS;
    while (!this.#isStopped && queue.letters.length > 0) {
      const first = queue.letters[0]!;
      const batch = firstOf(queue.letters, most);
      try {
        await this.#send(queue, batch);
        // What came meanwhile is behind it; what was given up meanwhile is not there any more.
        if (queue.letters[0] === first) this.#remove(queue, batch.length);
        this.#options.watch.delivered(batch.length);
        queue.isFailing = false;
        delayMs = FIRST_RETRY_MS;
        most = BATCH_LETTERS;
        this.#makeRoom();
      } catch (thrown) {
        const error = asError(thrown);
        if (error instanceof Undelivered && error.isTooLarge && batch.length > 1) {
          most = 1;
          continue;
        }
        queue.isFailing = true;
        this.#options.watch.failed(queue, first.offset, error);
        this.#hold(queue);
        await this.#stopping.wait(delayMs);
        delayMs = Math.min(delayMs * 2, LAST_RETRY_MS);
      }
    }
    queue.isRunning = false;
  }

  /** By the number of the partition, so that letters of one lie in one, in their order. */
  async #send(queue: Queue, letters: readonly Letter[]): Promise<void> {
    const { producer, topic } = this.#options;
    const partitions = await producer.partitions(topic);
    if (partitions === 0) throw new Undelivered(`the topic ${topic} has no partition`);
    await producer.send(topic, queue.partition % partitions, letters);
  }

  #remove(queue: Queue, count: number): void {
    for (const { bytes } of queue.letters.splice(0, count)) {
      queue.bytes -= bytes;
      this.#bytes -= bytes;
    }
    if (this.#bytes === 0) this.#wake();
  }

  #makeRoom(): void {
    const isRoomy = this.#bytes <= this.#maxBytes / 2;
    for (const queue of this.#queues.values()) {
      if (!queue.isHeld || queue.isFailing || !(isRoomy || queue.bytes === 0)) continue;
      queue.isHeld = false;
      this.#options.watch.free(queue);
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;

/** At least one; further ones as long as all of them stay small. */
const firstOf = (letters: readonly Letter[], most: number): readonly Letter[] => {
  let bytes = 0;
  let count = 0;
  for (const letter of letters) {
    bytes += letter.bytes;
    if (count > 0 && (bytes > BATCH_BYTES || count >= most)) break;
    count++;
  }
  return letters.slice(0, count);
};
