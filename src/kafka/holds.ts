/**
 * Partitions that are not read for a reason of their own, while others go on: each is paused at the source until every
 * cause is gone. A partition that is positioned anew begins without holds; whatever stood in the way will say so again.
 */
import type { HOLD_CAUSES } from '../words/reasons.ts';
import type { TopicPartition } from './port.ts';

export type HoldCause = (typeof HOLD_CAUSES)[number];

export type HoldsOptions = {
  pause(where: TopicPartition): void;
  resume(where: TopicPartition): void;
};

type Held = TopicPartition & { readonly causes: Set<HoldCause> };

export class Holds {
  readonly #options: HoldsOptions;
  readonly #held = new Map<string, Held>();

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** True where it was not held for this cause before. */
  hold(where: TopicPartition, cause: HoldCause): boolean {
    const { topic, partition } = where;
    const held = this.#held.get(keyOf(where)) ?? { topic, partition, causes: new Set() };
    if (held.causes.has(cause)) return false;
    held.causes.add(cause);
    this.#held.set(keyOf(where), held);
    this.#options.pause(where);
    return true;
  }

  /** True where it was held for this cause. */
  release(where: TopicPartition, cause: HoldCause): boolean {
    const held = this.#held.get(keyOf(where));
    if (held === undefined || !held.causes.delete(cause)) return false;
    if (held.causes.size === 0) this.clear(where);
    return true;
  }

  releaseAll(cause: HoldCause): void {
    for (const held of [...this.#held.values()]) this.release(held, cause);
  }

  /** The partition is positioned anew. */
  clear(where: TopicPartition): void {
    if (this.#held.delete(keyOf(where))) this.#options.resume(where);
  }

  /** Others are not ours any more. The source knows nothing of pauses before. */
  keep(partitions: readonly TopicPartition[]): void {
    const kept = new Set(partitions.map(keyOf));
    for (const [key, held] of this.#held) {
      if (kept.has(key)) this.#options.pause(held);
      else this.#held.delete(key);
    }
  }

  isHeld(where: TopicPartition): boolean {
    return this.#held.has(keyOf(where));
  }

  count(cause: HoldCause): number {
    let count = 0;
    for (const { causes } of this.#held.values()) if (causes.has(cause)) count++;
    return count;
  }
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;
