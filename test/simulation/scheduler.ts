/** Virtual time: a queue of events, run one after the other, the promises that each of them settles in between. */

export type Random = {
  /** In [0, 1). */
  (): number;
};

/** Mulberry32: small, and the same everywhere. */
export const seededRandom = (seed: number): Random => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 4294967296;
  };
};

/** The seed of a stream of its own. */
export const seedOf = (seed: number, stream: number): number =>
  (Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream, 0x85ebca6b)) >>> 0;

type Event = { readonly at: number; readonly order: number; run: (() => void | Promise<void>) | null };

/** Milliseconds. */
const GRID_MS = 5;

/** Every promise that can settle by itself has settled: a tick runs when no reaction is left. */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve));
/** The same where answers come over a socket. */
const settledOutside = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class Scheduler {
  /** Virtual milliseconds. */
  now = 0;
  events = 0;
  readonly #heap: Event[] = [];
  readonly #settled: () => Promise<void>;
  #order = 0;

  /** `outside`: some promises wait for a server. */
  constructor(answers: 'inside' | 'outside' = 'outside') {
    this.#settled = answers === 'outside' ? settledOutside : settled;
  }

  /** Runs it at now + ms (on a grid, so that many fall together). Answers what cancels it. */
  in(ms: number, run: () => void | Promise<void>): () => void {
    const at = Math.ceil((this.now + Math.max(0, ms)) / GRID_MS) * GRID_MS;
    const event: Event = { at, order: this.#order++, run };
    this.#push(event);
    return () => {
      event.run = null;
    };
  }

  /** Runs all events up to `until`; with `done`, stops as soon as it answers true (asked every 100 ms). */
  async run(until: number, done?: () => boolean): Promise<void> {
    let nextCheck = this.now;
    while (this.#heap.length > 0 && this.#heap[0]!.at <= until) {
      this.now = this.#heap[0]!.at;
      while (this.#heap.length > 0 && this.#heap[0]!.at === this.now) {
        const event = this.#pop();
        if (event.run === null) continue;
        this.events++;
        const running = event.run();
        if (running !== undefined) await running;
      }
      await this.#settled();
      if (done !== undefined && this.now >= nextCheck) {
        if (done()) return;
        nextCheck = this.now + 100;
      }
    }
    this.now = Math.max(this.now, until);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (before(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const top = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return top;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (before(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);
