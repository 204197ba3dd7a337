import type { TopicPartition } from './port.ts';

/** A partition of the present generation: where it is read, and whether it may be. */
export class HeldPartition {
  readonly topic: string;
  readonly partition: number;
  /** Offset of the next fetch; null until the first seek of this generation. */
  position: number | null = null;
  /** Moves with every seek: what was fetched under another stamp is not delivered. */
  stamp = 0;
  isPaused = false;
  /** The broker whose loop fetches or delivers it at present: no other one asks for it. */
  busyWith: number | null = null;
  /** Monotonic ms before which it is not fetched; infinite where only a seek helps. */
  blockedUntilMs = 0;

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic;
    this.partition = partition;
  }
}

export const partitionKey = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;

/** All partitions of one generation. Those not held are passed over in silence: their owner hears of it by `assigned`. */
export class HeldPartitions {
  readonly #held: Map<string, HeldPartition>;

  constructor(partitions: readonly TopicPartition[]) {
    this.#held = new Map(partitions.map((where) => [partitionKey(where), new HeldPartition(where)]));
  }

  get(where: TopicPartition): HeldPartition | undefined {
    return this.#held.get(partitionKey(where));
  }

  /** Those that brought records lately last: the broker fills a fetch in this order. */
  get all(): readonly HeldPartition[] {
    return [...this.#held.values()];
  }

  served(partition: HeldPartition): void {
    const key = partitionKey(partition);
    if (this.#held.delete(key)) this.#held.set(key, partition);
  }

  seek(where: TopicPartition, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new RangeError(`seek of ${where.topic}/${where.partition} to ${offset}`);
    const held = this.get(where);
    if (held === undefined) return;
    held.position = offset;
    held.stamp++;
    held.blockedUntilMs = 0;
  }

  pause(partitions: readonly TopicPartition[], isPaused: boolean): void {
    for (const where of partitions) {
      const held = this.get(where);
      if (held !== undefined) held.isPaused = isPaused;
    }
  }
}
