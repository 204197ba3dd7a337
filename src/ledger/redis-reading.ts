/** What is read of the shards in Redis: where they stand, what changed, accounts and series. Writes nothing. */
import { checkShard } from './check-call.ts';
import { accountMember } from './keys.ts';
import type { AccountName, AccountPage, Ledger, LedgerReader, LedgerTools, ShardCut, ShardView } from './port.ts';
import { LedgerUnavailable, SERIES_ID_BYTES } from './port.ts';
import type { ChangesAnswer, CutAnswer, PageAnswer, ViewAnswer } from './redis-answers.ts';
import { decodeCut, decodeMembers, decodePage, decodeView, viewOf } from './redis-answers.ts';
import { SCRIPTS } from './redis-scripts.ts';
import type { RedisShards } from './redis-shards.ts';
import { Together } from './redis-together.ts';

/** Ids per HMGET. */
const STEP_KEYS = 1_000;
/** Tries to read all totals of a shard while tenants come and go. */
const CUT_ATTEMPTS = 20;

type Reading = Pick<Ledger, 'view' | 'liveIds' | 'tenants'> &
  Pick<LedgerReader, 'changes' | 'page' | 'keys'> &
  Pick<LedgerTools, 'cut'>;

export class RedisReading implements Reading {
  readonly #shards: RedisShards;
  readonly #changes: Together;
  /** What `changes` was last answered of each shard, in words and decoded. */
  readonly #lastViews: { readonly words: string; readonly view: ShardView; readonly readBy: string | null }[] = [];

  constructor(shards: RedisShards) {
    this.#shards = shards;
    this.#changes = new Together(shards.redis, SCRIPTS.changes);
  }

  async view(shard: number): Promise<ShardView | null> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    const { meta, markers } = keys.shard(shard);
    const answer = (await redis.run(SCRIPTS.view, [meta, markers], [])) as ViewAnswer | null;
    return answer && decodeView(this.#shards.ours(answer));
  }

  /** Shards asked for in one turn are asked together (redis-together.ts). */
  async changes(
    shard: number,
    since: number,
  ): Promise<{ readonly view: ShardView; readonly accounts: readonly AccountName[] } | null> {
    checkShard(shard);
    const { meta, markers, tenants } = this.#shards.keys.shard(shard);
    const answer = (await this.#changes.ask([meta, markers, tenants], [since])) as ChangesAnswer | null;
    return answer && { view: this.#viewOf(shard, String(answer[0])), accounts: decodeMembers(answer[1]) };
  }

  /** A shard at rest answers the same words each time: they are not taken apart again. */
  #viewOf(shard: number, words: string): ShardView {
    const last = this.#lastViews[shard];
    const readBy = this.#shards.installation;
    if (last?.words === words && last.readBy === readBy) return last.view;
    const [format, installation, ...rest] = words.split('\n');
    this.#shards.checkOurs(format!, installation!);
    const view = viewOf([format!, installation!, ...rest]);
    this.#lastViews[shard] = { words, view, readBy };
    return view;
  }

  async page(shard: number, account: AccountName, cursor: string | null, count: number): Promise<AccountPage | null> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    const { meta, markers, tenants } = keys.shard(shard);
    const { totals, series } = keys.account(shard, account);
    const position = this.#shards.scanAt(cursor);
    const answer = (await redis.run(
      SCRIPTS.page,
      [meta, markers, tenants, totals, series],
      [accountMember(account), position, count],
    )) as PageAnswer | null;
    return answer && { ...decodePage(this.#shards.ours(answer)), cursor: this.#shards.cursorOf(answer[5]) };
  }

  async keys(shard: number, account: AccountName, ids: Buffer): Promise<readonly (Buffer | null)[]> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    const { labels } = keys.account(shard, account);
    const all: Buffer[] = [];
    for (let i = 0; i < ids.length; i += SERIES_ID_BYTES) all.push(ids.subarray(i, i + SERIES_ID_BYTES));
    const found: (Buffer | null)[] = [];
    for (let i = 0; i < all.length; i += STEP_KEYS) {
      const part = await redis.call('hmget', labels, ...all.slice(i, i + STEP_KEYS));
      found.push(...(part as (Buffer | null)[]));
    }
    return found;
  }

  async liveIds(shard: number, account: AccountName): Promise<{ readonly admissions: number; readonly ids: Buffer }> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    const { totals, series } = keys.account(shard, account);
    const answer = (await redis.run(
      SCRIPTS.liveIds,
      [keys.shard(shard).tenants, totals, series],
      [accountMember(account)],
    )) as Buffer[];
    return { admissions: Number(answer[0]), ids: answer[1]! };
  }

  async tenants(shard: number, tracker: string): Promise<readonly string[]> {
    checkShard(shard);
    const names = await this.#shards.accounts(shard);
    return names.filter((name) => name.tracker === tracker).map((name) => name.tenant);
  }

  async cut(shard: number): Promise<ShardCut | null> {
    checkShard(shard);
    const { redis, keys } = this.#shards;
    const { meta, markers, tenants, moves } = keys.shard(shard);
    for (let attempt = 0; attempt < CUT_ATTEMPTS; attempt++) {
      const names = await this.#shards.accounts(shard);
      const ofAccounts = names.flatMap((name) => {
        const { totals, series } = keys.account(shard, name);
        return [totals, series];
      });
      const members = names.map(accountMember);
      const answer = await redis.run(SCRIPTS.cut, [meta, markers, tenants, moves, ...ofAccounts], members);
      if (answer === null) return null;
      const cut = decodeCut(this.#shards.ours(answer as CutAnswer), names);
      if (cut !== null) return cut;
    }
    throw new LedgerUnavailable(`the accounts of shard ${shard} do not stay the same for long enough`);
  }
}
