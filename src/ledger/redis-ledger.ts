/**
 * The ledger in Redis: each operation is one script (lua/), atomic over the keys of one shard. Here is what the worker
 * writes: commits and markers. What is read is in redis-reading.ts, what goes out in redis-removing.ts, who publishes in
 * redis-leases.ts; all of them ask through redis-shards.ts.
 */
import { randomBytes } from 'node:crypto';
import { checkCall, checkMarker, checkShard } from './check-call.ts';
import type {
  AccountName,
  CommitCall,
  CommitReply,
  Creation,
  Finding,
  Identity,
  Leases,
  Ledger,
  LedgerReader,
  LedgerTools,
  MarkerField,
  MoveCause,
  ShardView,
} from './port.ts';
import type { MetaAnswer } from './redis-answers.ts';
import { decodeView } from './redis-answers.ts';
import type { CommitAnswer } from './redis-commit.ts';
import { decodeCommit, encodeCommit } from './redis-commit.ts';
import type { RedisConnectionOptions } from './redis-connection.ts';
import { RedisConnection } from './redis-connection.ts';
import { RedisDocuments } from './redis-documents.ts';
import { examineServers } from './redis-examine.ts';
import { RedisLeases } from './redis-leases.ts';
import { RedisReading } from './redis-reading.ts';
import { RedisRemoving } from './redis-removing.ts';
import { SCRIPTS } from './redis-scripts.ts';
import { RedisShards } from './redis-shards.ts';

export type RedisLedgerOptions = RedisConnectionOptions & {
  readonly keyPrefix: string;
  /** Documents are kept beside it: their key is looked at, too. */
  readonly usesDocuments?: boolean;
};

/** Begins to connect at once, and goes on until `close`. */
export const openRedisLedger = (options: RedisLedgerOptions): RedisLedger =>
  new RedisLedger(new RedisConnection(options), options.keyPrefix, options.usesDocuments);

export class RedisLedger implements Ledger, LedgerReader, LedgerTools, Leases {
  readonly #redis: RedisConnection;
  readonly #usesDocuments: boolean;
  readonly #shards: RedisShards;
  readonly #reading: RedisReading;
  readonly #removing: RedisRemoving;
  readonly #leases: RedisLeases;

  constructor(redis: RedisConnection, keyPrefix: string, usesDocuments = false) {
    this.#redis = redis;
    this.#usesDocuments = usesDocuments;
    this.#shards = new RedisShards(redis, keyPrefix);
    this.#reading = new RedisReading(this.#shards);
    this.#removing = new RedisRemoving(this.#shards);
    this.#leases = new RedisLeases(this.#shards);
  }

  /** What is kept beside the ledger, by the same connection. */
  get documents(): RedisDocuments {
    return new RedisDocuments(this.#redis, this.#shards.keys.overrides);
  }

  /** Tells at each change whether the server answers. */
  onUp(listener: (isUp: boolean) => void): void {
    this.#redis.onUp(listener);
  }

  async close(): Promise<void> {
    await this.#redis.close();
  }

  // ---- whose it is

  async examine(): Promise<readonly Finding[]> {
    return examineServers(this.#redis, this.#shards.keys, this.#usesDocuments);
  }

  claim(identity: Identity): Promise<void> {
    return this.#shards.claim(identity);
  }

  join(identity: Identity): Promise<void> {
    return this.#shards.join(identity);
  }

  firstSight(topicId: string, partitions: number): Promise<number> {
    return this.#shards.firstSight(topicId, partitions);
  }

  // ---- what the worker writes

  async commit(call: CommitCall): Promise<CommitReply> {
    checkCall(call);
    const { keys, args } = encodeCommit(this.#shards.keys, call);
    const answer = await this.#shards.write(SCRIPTS.commit, keys, args);
    return answer === null ? { kind: 'absent' } : decodeCommit(call, answer as CommitAnswer);
  }

  async setMarkers(
    shard: number,
    markers: readonly (readonly [MarkerField, number])[],
    create: Creation,
  ): Promise<ShardView | null> {
    checkShard(shard);
    for (const [, marker] of markers) checkMarker(marker);
    const keys = this.#shards.keys.shard(shard);
    const answer = await this.#shards.write(
      SCRIPTS.setMarkers,
      [keys.meta, keys.markers, keys.tenants, keys.owner, keys.moves],
      [create, randomBytes(16).toString('hex'), ...markers.flat()],
    );
    return answer && decodeView([answer[1] as MetaAnswer, answer[2] as Buffer[]]);
  }

  async move(
    shard: number,
    field: MarkerField,
    expected: number | null,
    to: number | null,
    why: MoveCause,
  ): Promise<number | null> {
    checkShard(shard);
    if (to !== null) checkMarker(to);
    const { meta, markers, moves } = this.#shards.keys.shard(shard);
    const args = [field, expected ?? '', to ?? '', why];
    const answer = await this.#shards.write(SCRIPTS.move, [meta, markers, moves], args);
    const marker = answer === null ? '' : String(answer[1]);
    return marker === '' ? null : Number(marker);
  }

  // ---- what is read

  view(shard: number): ReturnType<Ledger['view']> {
    return this.#reading.view(shard);
  }

  changes(shard: number, since: number): ReturnType<LedgerReader['changes']> {
    return this.#reading.changes(shard, since);
  }

  page(shard: number, account: AccountName, cursor: string | null, count: number): ReturnType<LedgerReader['page']> {
    return this.#reading.page(shard, account, cursor, count);
  }

  keys(shard: number, account: AccountName, ids: Buffer): ReturnType<LedgerReader['keys']> {
    return this.#reading.keys(shard, account, ids);
  }

  liveIds(shard: number, account: AccountName): ReturnType<Ledger['liveIds']> {
    return this.#reading.liveIds(shard, account);
  }

  tenants(shard: number, tracker: string): ReturnType<Ledger['tenants']> {
    return this.#reading.tenants(shard, tracker);
  }

  cut(shard: number): ReturnType<LedgerTools['cut']> {
    return this.#reading.cut(shard);
  }

  // ---- what goes out

  purge(
    shard: number,
    account: AccountName,
    staleS: number,
    cursor: string | null,
    count: number,
  ): ReturnType<LedgerReader['purge']> {
    return this.#removing.purge(shard, account, staleS, cursor, count);
  }

  retireSeries(shard: number, account: AccountName, ids: Buffer): Promise<number> {
    return this.#removing.retireSeries(shard, account, ids);
  }

  retireAll(shard: number): Promise<void> {
    return this.#removing.retireAll(shard);
  }

  removeAccount(shard: number, account: AccountName, retentionS: number): Promise<boolean> {
    return this.#removing.removeAccount(shard, account, retentionS);
  }

  forgetShard(shard: number): Promise<void> {
    return this.#removing.forgetShard(shard);
  }

  // ---- who publishes

  signIn(replica: string, withinMs: number): Promise<readonly string[]> {
    return this.#leases.signIn(replica, withinMs);
  }

  signOut(replica: string): Promise<void> {
    return this.#leases.signOut(replica);
  }

  take(shard: number, replica: string, token: string, leaseMs: number): ReturnType<Leases['take']> {
    return this.#leases.take(shard, replica, token, leaseMs);
  }

  renew(shard: number, token: string, leaseMs: number): Promise<boolean> {
    return this.#leases.renew(shard, token, leaseMs);
  }

  release(shard: number, token: string, to: string | null, leaseMs: number): Promise<void> {
    return this.#leases.release(shard, token, to, leaseMs);
  }

  free(replica: string, shards: readonly number[]): Promise<readonly boolean[]> {
    return this.#leases.free(replica, shards);
  }
}
