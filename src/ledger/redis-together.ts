/**
 * Calls of one script about several shards, asked for in one turn, go out as one: it takes the shards one after the
 * other. What becomes of one of them is what becomes of all: where the call fails, each is rejected with its error.
 *
 * A cluster takes no script over several slots, so there each shard has a call of its own; also where a server turns
 * out to be a node of one, which says so before it has done anything.
 */
import type { Argument, RedisConnection } from './redis-connection.ts';
import type { Script } from './redis-scripts.ts';

/** So long does one call block the server: less than a millisecond, also where each shard has many partitions. */
const MOST_SHARDS = 16;

type Asked = {
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
};

export class Together {
  readonly #redis: RedisConnection;
  readonly #script: Script;
  readonly #common: () => readonly Argument[];
  #asked: Asked[] = [];
  #isApart: boolean;

  /** The script is given `common()`, and then the keys and arguments of each shard; it answers a list. */
  constructor(redis: RedisConnection, script: Script, common: () => readonly Argument[] = () => []) {
    this.#redis = redis;
    this.#script = script;
    this.#common = common;
    this.#isApart = redis.isCluster;
  }

  /** About one shard. */
  ask(keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#asked.push({ keys, args, resolve, reject }) === 1) process.nextTick(() => this.#sendAll());
    });
  }

  #sendAll(): void {
    const all = this.#asked;
    this.#asked = [];
    const most = this.#isApart ? 1 : MOST_SHARDS;
    for (let i = 0; i < all.length; i += most) void this.#send(all.slice(i, i + most));
  }

  async #send(asked: readonly Asked[]): Promise<void> {
    const keys = asked.flatMap((one) => one.keys);
    const args = asked.flatMap((one) => one.args);
    try {
      const answers = (await this.#redis.run(this.#script, keys, [...this.#common(), ...args])) as unknown[];
      for (const [i, { resolve }] of asked.entries()) resolve(answers[i]);
    } catch (error) {
      if (asked.length > 1 && isOfSlots(error)) {
        this.#isApart = true;
        for (const one of asked) void this.#send([one]);
      } else for (const { reject } of asked) reject(error);
    }
  }
}

const isOfSlots = (error: unknown): boolean => error instanceof Error && error.message.includes('CROSSSLOT');
