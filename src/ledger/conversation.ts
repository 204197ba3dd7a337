/** How a worker talks with the source: about commits one question at a time, and trouble that passes is only told. */
import { isTemporary } from './temporary.ts';
import type { WatchWorker } from './worker-events.ts';

export class Conversation {
  readonly #watch: WatchWorker;
  #isAway = false;
  #turn: Promise<void> = Promise.resolve();

  constructor(watch: WatchWorker) {
    this.#watch = watch;
  }

  /** The source failed to answer the last question. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /** What was read from the coordinator stays true until it is acted on: nothing else runs so meanwhile. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.then(
      () => {},
      () => {},
    );
    return mine;
  }

  /** Null: not now. Rejects with what does not pass. */
  async ask<T>(during: string, answer: Promise<T>): Promise<T | null> {
    try {
      const given = await answer;
      if (this.#isAway) this.#watch({ kind: 'source_available' });
      this.#isAway = false;
      return given;
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.#isAway = true;
      this.#watch({ kind: 'source_unavailable', during, error });
      return null;
    }
  }
}
