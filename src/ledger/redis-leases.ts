/** Leases and sign-ins in Redis: lua/take.lua, renew.lua, release.lua and sign-in.lua, by the server's clock. */
import { checkShard } from './check-call.ts';
import type { LeaseAnswer, Leases } from './port.ts';
import { SCRIPTS } from './redis-scripts.ts';
import type { RedisShards } from './redis-shards.ts';
import { Together } from './redis-together.ts';

export class RedisLeases implements Leases {
  readonly #shards: RedisShards;
  readonly #renewals: Together;

  constructor(shards: RedisShards) {
    this.#shards = shards;
    this.#renewals = new Together(shards.redis, SCRIPTS.renew, () => shards.stamp);
  }

  async signIn(replica: string, withinMs: number): Promise<readonly string[]> {
    const { redis, keys } = this.#shards;
    const answer = await redis.run(SCRIPTS.signIn, [keys.replicas], [replica, withinMs]);
    return (answer as Buffer[]).map(String).sort();
  }

  async signOut(replica: string): Promise<void> {
    await this.#shards.redis.call('zrem', this.#shards.keys.replicas, replica);
  }

  async take(shard: number, replica: string, token: string, leaseMs: number): Promise<LeaseAnswer> {
    checkShard(shard);
    const { meta, owner } = this.#shards.keys.shard(shard);
    const answer = await this.#shards.write(SCRIPTS.take, [meta, owner], [replica, token, leaseMs]);
    if (answer === null) return { kind: 'absent' };
    if (answer[0] !== 1) return { kind: 'held' };
    return { kind: 'taken', released: answer[1] === 1, counter: Number(answer[2]) };
  }

  /** Shards renewed in one turn are renewed together (redis-together.ts). */
  async renew(shard: number, token: string, leaseMs: number): Promise<boolean> {
    checkShard(shard);
    const { meta, owner } = this.#shards.keys.shard(shard);
    const answer = await this.#renewals.ask([meta, owner], [token, leaseMs]);
    return this.#shards.written(SCRIPTS.renew, answer as unknown[])?.[1] === 1;
  }

  async release(shard: number, token: string, to: string | null, leaseMs: number): Promise<void> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    await redis.run(SCRIPTS.release, [keys.shard(shard).owner], [token, to === null ? 0 : 1, to ?? '', leaseMs]);
  }

  async free(replica: string, shards: readonly number[]): Promise<readonly boolean[]> {
    const { redis, keys } = this.#shards;
    return Promise.all(
      shards.map(async (shard) => {
        checkShard(shard);
        const { meta, owner } = keys.shard(shard);
        const [exists, held] = await Promise.all([redis.call('exists', meta), redis.call('get', owner)]);
        return exists === 1 && (held === null || String(held) === `released ${replica}`);
      }),
    );
  }
}
