/** The worker's loop: one round of work after the other, and a pause between them that can be cut short. */
import type { Clock } from './clock.ts';

export type TickerOptions = {
  readonly clock: Clock;
  /** One round. The next one does not begin before it has ended. */
  readonly work: (nowMs: number) => Promise<void>;
  /** A round failed: there is no other. */
  readonly failed: (error: unknown) => void;
};

const TICK_MS = 250;

export class Ticker {
  readonly #options: TickerOptions;
  #stopped = false;
  #isWoken = false;
  #endPause: () => void = () => {};
  #loop: Promise<void> = Promise.resolve();

  constructor(options: TickerOptions) {
    this.#options = options;
  }

  /** The first round is a pause from now. */
  start(): void {
    this.#loop = this.#run();
  }

  /** No pause before the next round; a round that is under way is followed by another at once. */
  wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  /** No round begins from now on. */
  stop(): void {
    this.#stopped = true;
    this.wake();
  }

  /** Resolves when the last round has ended, after `stop` or a failure; at once where it never started. */
  ended(): Promise<void> {
    return this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, work, failed } = this.#options;
    while (!this.#stopped) {
      await this.#pause();
      this.#isWoken = false;
      if (this.#stopped) return;
      try {
        await work(clock.monotonicMs());
      } catch (error) {
        failed(error);
        return;
      }
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.clock.after(this.#isWoken ? 0 : TICK_MS, resolve);
      this.#isWoken = false;
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
  }
}
