/**
 * Holds gathering up while as much is pending as may be. A batch in hand waits a moment for the ledger to take some of
 * it; where that takes longer, fetching is paused, and what was fetched meanwhile is fetched again.
 */
import { type Clock, within } from './clock.ts';

export type ThrottleOptions = {
  readonly clock: Clock;
  /** So much is pending that nothing more may be gathered. */
  readonly isFull: () => boolean;
  /** So little that it is worth going on. */
  readonly isRoomy: () => boolean;
  readonly pause: () => void;
  readonly resume: () => void;
};

/** How long a batch in hand waits. Well below a session, and below the time that a rebalance waits for handlers. */
const HOLD_MS = 500;

export class Throttle {
  readonly #options: ThrottleOptions;
  #waiting: (() => void)[] = [];
  #isPaused = false;
  /** Since when gathering is held up; null while it is not. */
  #sinceMs: number | null = null;
  #heldMs = 0;

  constructor(options: ThrottleOptions) {
    this.#options = options;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Time during which gathering was held up, up to now. */
  get heldMs(): number {
    const since = this.#sinceMs;
    return this.#heldMs + (since === null ? 0 : this.#options.clock.monotonicMs() - since);
  }

  /** Resolves with whether there is room. If not, fetching is paused by now. */
  async room(): Promise<boolean> {
    const { clock, isFull } = this.#options;
    if (!this.#isPaused) {
      this.#sinceMs ??= clock.monotonicMs();
      await within(clock, HOLD_MS, new Promise<void>((resolve) => this.#waiting.push(resolve)));
      if (!this.#isPaused && isFull()) this.#pause();
    }
    return !this.#isPaused;
  }

  /** Less may be pending than before. */
  relieve(): void {
    if (this.#sinceMs === null || !this.#options.isRoomy()) return;
    this.#heldMs = this.heldMs;
    this.#sinceMs = null;
    const wasPaused = this.#isPaused;
    this.#isPaused = false;
    this.#letGo();
    if (wasPaused) this.#options.resume();
  }

  #pause(): void {
    this.#sinceMs ??= this.#options.clock.monotonicMs();
    this.#isPaused = true;
    this.#options.pause();
    this.#letGo();
  }

  #letGo(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
