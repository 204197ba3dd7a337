/**
 * What goes out of the shards in Redis: series, whose amounts move to `retired`; accounts, whose totals move to the
 * shard's; a shard as a whole. In steps that are bounded, so that none blocks the server for long.
 */
import { removedTenant } from '../attribution/reserved.ts';
import { checkShard } from './check-call.ts';
import { accountMember, placeOf, trackerCount } from './keys.ts';
import type { AccountName, Ledger, LedgerReader, LedgerTools } from './port.ts';
import { SERIES_ID_BYTES } from './port.ts';
import { decodeMembers } from './redis-answers.ts';
import { SCRIPTS } from './redis-scripts.ts';
import type { RedisShards } from './redis-shards.ts';

/** Series that one step looks at or retires, accounts whose remains are looked up at once. */
const STEP_ROWS = 1_000;
const STEP_ACCOUNTS = 100;
/** Answers `retireAll`'s question whether a series is stale with yes, whatever its age. */
const ALWAYS_STALE = -1;

type Removing = Pick<LedgerReader, 'purge' | 'removeAccount'> &
  Pick<LedgerTools, 'retireSeries'> &
  Pick<Ledger, 'retireAll' | 'forgetShard'>;

export class RedisRemoving implements Removing {
  readonly #shards: RedisShards;

  constructor(shards: RedisShards) {
    this.#shards = shards;
  }

  async purge(
    shard: number,
    account: AccountName,
    staleS: number,
    cursor: string | null,
    count: number,
  ): Promise<{ readonly cursor: string | null; readonly purged: number }> {
    checkShard(shard);
    const args = [accountMember(account), staleS, this.#shards.scanAt(cursor), count];
    const answer = await this.#shards.write(SCRIPTS.purge, this.#keysOf(shard, account), args);
    if (answer === null) return { cursor: null, purged: 0 };
    return { cursor: this.#shards.cursorOf(answer[1] as Buffer), purged: Number(answer[2]) };
  }

  async retireSeries(shard: number, account: AccountName, ids: Buffer): Promise<number> {
    checkShard(shard);
    const keys = this.#keysOf(shard, account);
    let retired = 0;
    for (let at = 0; at < ids.length; at += STEP_ROWS * SERIES_ID_BYTES) {
      const some: Buffer[] = [];
      for (let i = at; i < ids.length && some.length < STEP_ROWS; i += SERIES_ID_BYTES)
        some.push(ids.subarray(i, i + SERIES_ID_BYTES));
      const answer = await this.#shards.write(SCRIPTS.retire, keys, [accountMember(account), ...some]);
      retired += Number(answer?.[1] ?? 0);
    }
    return retired;
  }

  async retireAll(shard: number): Promise<void> {
    checkShard(shard);
    for (const account of await this.#shards.accounts(shard)) {
      let cursor: string | null = null;
      do ({ cursor } = await this.purge(shard, account, ALWAYS_STALE, cursor, STEP_ROWS));
      while (cursor !== null);
    }
  }

  async removeAccount(shard: number, account: AccountName, retentionS: number): Promise<boolean> {
    checkShard(shard);
    const heir = { tenant: removedTenant(shard), tracker: account.tracker };
    const counted = placeOf(account.tenant) === 'bounded' ? trackerCount(account.tracker) : '';
    const answer = await this.#shards.write(
      SCRIPTS.removeAccount,
      [...this.#keysOf(shard, account), this.#shards.keys.account(shard, heir).totals],
      [accountMember(account), accountMember(heir), retentionS, counted],
    );
    return answer?.[1] === 1;
  }

  async forgetShard(shard: number): Promise<void> {
    checkShard(shard);
    const { meta, markers, tenants, owner, forgotten, moves } = this.#shards.keys.shard(shard);
    const keys = [meta, markers, tenants, owner, forgotten, moves];
    for (;;) {
      const answer = await this.#shards.write(SCRIPTS.forget, keys, []);
      await this.#deleteForgotten(shard);
      if (answer?.[0] !== 2) return;
    }
  }

  async #deleteForgotten(shard: number): Promise<void> {
    const { redis, keys } = this.#shards;
    const { tenants, forgotten } = keys.shard(shard);
    for (;;) {
      const members = (await redis.call('zrange', forgotten, 0, STEP_ACCOUNTS - 1)) as Buffer[];
      if (members.length === 0) return;
      for (const account of decodeMembers(members)) {
        const { totals, series, labels } = keys.account(shard, account);
        await redis.run(SCRIPTS.forgetAccount, [tenants, forgotten, totals, series, labels], [accountMember(account)]);
      }
    }
  }

  /** Those that a script is given that takes something out of an account. */
  #keysOf(shard: number, account: AccountName): readonly string[] {
    const { meta, tenants } = this.#shards.keys.shard(shard);
    const { totals, series, labels } = this.#shards.keys.account(shard, account);
    return [meta, tenants, totals, series, labels];
  }
}
