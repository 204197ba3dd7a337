/**
 * The ledger in Redis: each operation is one script (lua/), atomic over the keys of one shard. Here is only how they
 * are asked and what their answers mean.
 */
import { randomBytes } from 'node:crypto';
import { removedTenant } from '../attribution/reserved.ts';
import { checkCall, checkMarker, checkShard } from './check-call.ts';
import type { LedgerKeys } from './keys.ts';
import { accountMember, ledgerKeys, placeOf, trackerCount } from './keys.ts';
import type {
  AccountName,
  AccountPage,
  CommitCall,
  CommitReply,
  Creation,
  Finding,
  Identity,
  LeaseAnswer,
  Leases,
  Ledger,
  LedgerReader,
  LedgerTools,
  MarkerField,
  MoveCause,
  ShardCut,
  ShardView,
} from './port.ts';
import { LEDGER_FORMAT, LedgerBroken, LedgerRefused, LedgerUnavailable, SERIES_ID_BYTES } from './port.ts';
import type { ChangesAnswer, CutAnswer, MetaAnswer, PageAnswer, ViewAnswer } from './redis-answers.ts';
import { decodeCut, decodeMembers, decodePage, decodeView, viewOf } from './redis-answers.ts';
import type { CommitAnswer } from './redis-commit.ts';
import { decodeCommit, encodeCommit } from './redis-commit.ts';
import type { Argument, RedisConnectionOptions } from './redis-connection.ts';
import { RedisConnection } from './redis-connection.ts';
import { RedisDocuments } from './redis-documents.ts';
import { examineServers } from './redis-examine.ts';
import { claimLedger, firstSightOf, joinLedger } from './redis-identity.ts';
import { SCRIPTS, type Script } from './redis-scripts.ts';
import { Together } from './redis-together.ts';
import { otherFormat, otherInstallation } from './refusals.ts';

export type RedisLedgerOptions = RedisConnectionOptions & {
  readonly keyPrefix: string;
  /** Documents are kept beside it: their key is looked at, too. */
  readonly usesDocuments?: boolean;
};

/** Series that one step of `retireAll` looks at, accounts whose remains are looked up at once, ids per HMGET. */
const STEP_ROWS = 1_000;
const STEP_ACCOUNTS = 100;
const STEP_KEYS = 1_000;
/** Tries to read all totals of a shard while tenants come and go. */
const CUT_ATTEMPTS = 20;
/** Answers `retireAll`'s question whether a series is stale with yes, whatever its age. */
const ALWAYS_STALE = -1;

/** Begins to connect at once, and goes on until `close`. */
export const openRedisLedger = (options: RedisLedgerOptions): RedisLedger =>
  new RedisLedger(new RedisConnection(options), options.keyPrefix, options.usesDocuments);

export class RedisLedger implements Ledger, LedgerReader, LedgerTools, Leases {
  readonly #redis: RedisConnection;
  readonly #prefix: string;
  readonly #keys: LedgerKeys;
  readonly #usesDocuments: boolean;
  readonly #changes: Together;
  readonly #renewals: Together;
  /** What `changes` was last answered of each shard, in words and decoded. */
  readonly #lastViews: { readonly words: string; readonly view: ShardView; readonly readBy: string | null }[] = [];
  #installation: string | null = null;

  constructor(redis: RedisConnection, keyPrefix: string, usesDocuments = false) {
    this.#usesDocuments = usesDocuments;
    this.#redis = redis;
    this.#prefix = keyPrefix;
    this.#keys = ledgerKeys(keyPrefix);
    this.#changes = new Together(redis, SCRIPTS.changes);
    this.#renewals = new Together(redis, SCRIPTS.renew, () => [LEDGER_FORMAT, this.#claimed()]);
  }

  /** What is kept beside the ledger, by the same connection. */
  get documents(): RedisDocuments {
    return new RedisDocuments(this.#redis, this.#keys.overrides);
  }

  /** Tells at each change whether the server answers. */
  onUp(listener: (isUp: boolean) => void): void {
    this.#redis.onUp(listener);
  }

  async examine(): Promise<readonly Finding[]> {
    return examineServers(this.#redis, this.#keys, this.#usesDocuments);
  }

  async claim(identity: Identity): Promise<void> {
    this.#installation = await claimLedger(this.#redis, this.#prefix, identity);
  }

  async join(identity: Identity): Promise<void> {
    this.#installation = await joinLedger(this.#redis, this.#prefix, identity);
  }

  async firstSight(topicId: string, partitions: number): Promise<number> {
    this.#claimed();
    return firstSightOf(this.#redis, this.#prefix, topicId, partitions);
  }

  async commit(call: CommitCall): Promise<CommitReply> {
    checkCall(call);
    const { keys, args } = encodeCommit(this.#keys, call);
    const answer = await this.#write(SCRIPTS.commit, keys, args);
    return answer === null ? { kind: 'absent' } : decodeCommit(call, answer as CommitAnswer);
  }

  async view(shard: number): Promise<ShardView | null> {
    checkShard(shard);
    const { meta, markers } = this.#keys.shard(shard);
    const answer = (await this.#redis.run(SCRIPTS.view, [meta, markers], [])) as ViewAnswer | null;
    return answer && decodeView(this.#ours(answer));
  }

  async setMarkers(
    shard: number,
    markers: readonly (readonly [MarkerField, number])[],
    create: Creation,
  ): Promise<ShardView | null> {
    checkShard(shard);
    for (const [, marker] of markers) checkMarker(marker);
    const keys = this.#keys.shard(shard);
    const answer = await this.#write(
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
    const { meta, markers, moves } = this.#keys.shard(shard);
    const answer = await this.#write(SCRIPTS.move, [meta, markers, moves], [field, expected ?? '', to ?? '', why]);
    const marker = answer === null ? '' : String(answer[1]);
    return marker === '' ? null : Number(marker);
  }

  async liveIds(shard: number, account: AccountName): Promise<{ readonly admissions: number; readonly ids: Buffer }> {
    checkShard(shard);
    const { totals, series } = this.#keys.account(shard, account);
    const keys = [this.#keys.shard(shard).tenants, totals, series];
    const answer = (await this.#redis.run(SCRIPTS.liveIds, keys, [accountMember(account)])) as Buffer[];
    return { admissions: Number(answer[0]), ids: answer[1]! };
  }

  async tenants(shard: number, tracker: string): Promise<readonly string[]> {
    const names = await this.#accounts(shard);
    return names.filter((name) => name.tracker === tracker).map((name) => name.tenant);
  }

  async #accounts(shard: number): Promise<AccountName[]> {
    checkShard(shard);
    return decodeMembers((await this.#redis.call('zrange', this.#keys.shard(shard).tenants, 0, -1)) as Buffer[]);
  }

  async retireAll(shard: number): Promise<void> {
    for (const account of await this.#accounts(shard)) {
      let cursor: string | null = null;
      do ({ cursor } = await this.purge(shard, account, ALWAYS_STALE, cursor, STEP_ROWS));
      while (cursor !== null);
    }
  }

  async forgetShard(shard: number): Promise<void> {
    checkShard(shard);
    const { meta, markers, tenants, owner, forgotten, moves } = this.#keys.shard(shard);
    const keys = [meta, markers, tenants, owner, forgotten, moves];
    for (;;) {
      const answer = await this.#write(SCRIPTS.forget, keys, []);
      await this.#deleteForgotten(shard);
      if (answer?.[0] !== 2) return;
    }
  }

  async #deleteForgotten(shard: number): Promise<void> {
    const { tenants, forgotten } = this.#keys.shard(shard);
    for (;;) {
      const members = (await this.#redis.call('zrange', forgotten, 0, STEP_ACCOUNTS - 1)) as Buffer[];
      if (members.length === 0) return;
      for (const account of decodeMembers(members)) {
        const { totals, series, labels } = this.#keys.account(shard, account);
        const keys = [tenants, forgotten, totals, series, labels];
        await this.#redis.run(SCRIPTS.forgetAccount, keys, [accountMember(account)]);
      }
    }
  }

  async close(): Promise<void> {
    await this.#redis.close();
  }

  async changes(
    shard: number,
    since: number,
  ): Promise<{ readonly view: ShardView; readonly accounts: readonly AccountName[] } | null> {
    checkShard(shard);
    const { meta, markers, tenants } = this.#keys.shard(shard);
    const answer = (await this.#changes.ask([meta, markers, tenants], [since])) as ChangesAnswer | null;
    return answer && { view: this.#viewOf(shard, String(answer[0])), accounts: decodeMembers(answer[1]) };
  }

  #viewOf(shard: number, words: string): ShardView {
    const last = this.#lastViews[shard];
    if (last?.words === words && last.readBy === this.#installation) return last.view;
    const [format, installation, ...rest] = words.split('\n');
    this.#checkOurs(format!, installation!);
    const view = viewOf([format!, installation!, ...rest]);
    this.#lastViews[shard] = { words, view, readBy: this.#installation };
    return view;
  }

  async page(shard: number, account: AccountName, cursor: string | null, count: number): Promise<AccountPage | null> {
    checkShard(shard);
    const { meta, markers, tenants } = this.#keys.shard(shard);
    const { totals, series } = this.#keys.account(shard, account);
    const position = this.#scanAt(cursor);
    const answer = (await this.#redis.run(
      SCRIPTS.page,
      [meta, markers, tenants, totals, series],
      [accountMember(account), position, count],
    )) as PageAnswer | null;
    return answer && { ...decodePage(this.#ours(answer)), cursor: this.#cursorOf(answer[5]) };
  }

  async keys(shard: number, account: AccountName, ids: Buffer): Promise<readonly (Buffer | null)[]> {
    checkShard(shard);
    const { labels } = this.#keys.account(shard, account);
    const all: Buffer[] = [];
    for (let i = 0; i < ids.length; i += SERIES_ID_BYTES) all.push(ids.subarray(i, i + SERIES_ID_BYTES));
    const found: (Buffer | null)[] = [];
    for (let i = 0; i < all.length; i += STEP_KEYS) {
      const part = await this.#redis.call('hmget', labels, ...all.slice(i, i + STEP_KEYS));
      found.push(...(part as (Buffer | null)[]));
    }
    return found;
  }

  async purge(
    shard: number,
    account: AccountName,
    staleS: number,
    cursor: string | null,
    count: number,
  ): Promise<{ readonly cursor: string | null; readonly purged: number }> {
    checkShard(shard);
    const { meta, tenants } = this.#keys.shard(shard);
    const { totals, series, labels } = this.#keys.account(shard, account);
    const keys = [meta, tenants, totals, series, labels];
    const args = [accountMember(account), staleS, this.#scanAt(cursor), count];
    const answer = await this.#write(SCRIPTS.purge, keys, args);
    if (answer === null) return { cursor: null, purged: 0 };
    return { cursor: this.#cursorOf(answer[1] as Buffer), purged: Number(answer[2]) };
  }

  async removeAccount(shard: number, account: AccountName, retentionS: number): Promise<boolean> {
    checkShard(shard);
    const heir = { tenant: removedTenant(shard), tracker: account.tracker };
    const { meta, tenants } = this.#keys.shard(shard);
    const { totals, series, labels } = this.#keys.account(shard, account);
    const counted = placeOf(account.tenant) === 'bounded' ? trackerCount(account.tracker) : '';
    const answer = await this.#write(
      SCRIPTS.removeAccount,
      [meta, tenants, totals, series, labels, this.#keys.account(shard, heir).totals],
      [accountMember(account), accountMember(heir), retentionS, counted],
    );
    return answer?.[1] === 1;
  }

  async cut(shard: number): Promise<ShardCut | null> {
    const { meta, markers, tenants, moves } = this.#keys.shard(shard);
    for (let attempt = 0; attempt < CUT_ATTEMPTS; attempt++) {
      const names = await this.#accounts(shard);
      const keys = names.flatMap((name) => {
        const { totals, series } = this.#keys.account(shard, name);
        return [totals, series];
      });
      const members = names.map(accountMember);
      const answer = await this.#redis.run(SCRIPTS.cut, [meta, markers, tenants, moves, ...keys], members);
      if (answer === null) return null;
      const cut = decodeCut(this.#ours(answer as CutAnswer), names);
      if (cut !== null) return cut;
    }
    throw new LedgerUnavailable(`the accounts of shard ${shard} do not stay the same for long enough`);
  }

  async retireSeries(shard: number, account: AccountName, ids: Buffer): Promise<number> {
    checkShard(shard);
    const { meta, tenants } = this.#keys.shard(shard);
    const { totals, series, labels } = this.#keys.account(shard, account);
    let retired = 0;
    for (let at = 0; at < ids.length; at += STEP_ROWS * SERIES_ID_BYTES) {
      const some: Buffer[] = [];
      for (let i = at; i < ids.length && some.length < STEP_ROWS; i += SERIES_ID_BYTES)
        some.push(ids.subarray(i, i + SERIES_ID_BYTES));
      const keys = [meta, tenants, totals, series, labels];
      const answer = await this.#write(SCRIPTS.retire, keys, [accountMember(account), ...some]);
      retired += Number(answer?.[1] ?? 0);
    }
    return retired;
  }

  async signIn(replica: string, withinMs: number): Promise<readonly string[]> {
    const answer = await this.#redis.run(SCRIPTS.signIn, [this.#keys.replicas], [replica, withinMs]);
    return (answer as Buffer[]).map(String).sort();
  }

  async signOut(replica: string): Promise<void> {
    await this.#redis.call('zrem', this.#keys.replicas, replica);
  }

  async take(shard: number, replica: string, token: string, leaseMs: number): Promise<LeaseAnswer> {
    checkShard(shard);
    const { meta, owner } = this.#keys.shard(shard);
    const answer = await this.#write(SCRIPTS.take, [meta, owner], [replica, token, leaseMs]);
    if (answer === null) return { kind: 'absent' };
    if (answer[0] !== 1) return { kind: 'held' };
    return { kind: 'taken', released: answer[1] === 1, counter: Number(answer[2]) };
  }

  async renew(shard: number, token: string, leaseMs: number): Promise<boolean> {
    checkShard(shard);
    const { meta, owner } = this.#keys.shard(shard);
    const answer = await this.#renewals.ask([meta, owner], [token, leaseMs]);
    return this.#written(SCRIPTS.renew, answer as unknown[])?.[1] === 1;
  }

  async release(shard: number, token: string, to: string | null, leaseMs: number): Promise<void> {
    checkShard(shard);
    const args = [token, to === null ? 0 : 1, to ?? '', leaseMs];
    await this.#redis.run(SCRIPTS.release, [this.#keys.shard(shard).owner], args);
  }

  async free(replica: string, shards: readonly number[]): Promise<readonly boolean[]> {
    return Promise.all(
      shards.map(async (shard) => {
        checkShard(shard);
        const { meta, owner } = this.#keys.shard(shard);
        const [exists, held] = await Promise.all([this.#redis.call('exists', meta), this.#redis.call('get', owner)]);
        return exists === 1 && (held === null || String(held) === `released ${replica}`);
      }),
    );
  }

  /** Runs a script that opens a shard; null where that has no state. */
  async #write(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown[] | null> {
    const stamped = [LEDGER_FORMAT, this.#claimed(), ...args];
    return this.#written(script, (await this.#redis.run(script, keys, stamped)) as unknown[]);
  }

  #written(script: Script, answer: unknown[]): unknown[] | null {
    switch (answer[0]) {
      case 0:
        return null;
      case -1:
        throw this.#refusal(String(answer[1]));
      case -2:
        throw new LedgerBroken(`${script.name}: ${answer[1]}`);
      default:
        return answer;
    }
  }

  #claimed(): string {
    if (this.#installation === null) throw new LedgerRefused('the ledger has not been claimed');
    return this.#installation;
  }

  /** Before a claim anyone's shard may be read: that is how an operator looks at it. */
  #ours<A extends readonly [MetaAnswer, ...unknown[]]>(answer: A): A {
    const [format, installation] = answer[0].map(String);
    this.#checkOurs(format!, installation!);
    return answer;
  }

  #checkOurs(format: string, installation: string): void {
    const isOther = this.#installation !== null && installation !== this.#installation;
    if (isOther || format !== String(LEDGER_FORMAT)) throw this.#refusal(format);
  }

  #refusal(format: string): LedgerRefused {
    return format === String(LEDGER_FORMAT)
      ? otherInstallation(this.#prefix, null, null)
      : otherFormat(this.#prefix, format, LEDGER_FORMAT);
  }

  #cursorOf(position: Buffer): string | null {
    return String(position) === '0' ? null : `${this.#redis.epoch}:${position}`;
  }

  #scanAt(cursor: string | null): string {
    if (cursor === null) return '0';
    const [epoch, position] = cursor.split(':');
    if (Number(epoch) !== this.#redis.epoch)
      throw new LedgerUnavailable('the server may be another one than the scan began on: begin it again');
    return position!;
  }
}
