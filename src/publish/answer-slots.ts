/**
 * A bound on long answers that are written at the same time, since each holds what it shows. Clients that do not read
 * cannot keep others out: where there is no room, the one that has been standing still for the longest time is cut off.
 */

/** An answer that stands still for that long gives way to another one. */
const GIVE_WAY_MS = 3_000;

export type Slot = {
  /** The client took something. */
  moved(): void;
  /** May be called again. */
  free(): void;
};

type Held = { movedAtMs: number; readonly cutOff: () => void };

export class AnswerSlots {
  readonly #max: number;
  readonly #nowMs: () => number;
  readonly #held = new Set<Held>();

  constructor(max: number, nowMs: () => number = () => performance.now()) {
    this.#max = max;
    this.#nowMs = nowMs;
  }

  /** Null: all are taken by answers that are on their way. */
  take(cutOff: () => void): Slot | null {
    if (this.#held.size >= this.#max && !this.#cutOffOne()) return null;
    const held: Held = { movedAtMs: this.#nowMs(), cutOff };
    this.#held.add(held);
    return {
      moved: () => {
        held.movedAtMs = this.#nowMs();
      },
      free: () => void this.#held.delete(held),
    };
  }

  #cutOffOne(): boolean {
    let slowest: Held | null = null;
    for (const held of this.#held) if (slowest === null || held.movedAtMs < slowest.movedAtMs) slowest = held;
    if (slowest === null || this.#nowMs() - slowest.movedAtMs < GIVE_WAY_MS) return false;
    this.#held.delete(slowest);
    slowest.cutOff();
    return true;
  }
}
