/** Retires stale series and removes empty accounts of the shards that this process owns, in bounded steps. */
import { RECORDS_TENANT, removedTenant } from '../attribution/reserved.ts';
import type { LedgerReader } from '../ledger/port.ts';
import type { PublishOptions, PublishSettings } from './settings.ts';
import type { ShardReader } from './shard-reader.ts';
import type { AccountVersion } from './shard-table.ts';
import { accountKey } from './shard-table.ts';

export type PurgeDeps = {
  readonly reader: LedgerReader;
  readonly settings: PublishSettings;
  readonly options: PublishOptions;
  /** Whether the shard is still ours to look after. */
  readonly isOurs: (shard: number) => boolean;
};

/** Passes between two questions whether an account without series may go. */
const REMOVE_EVERY_PASSES = 10;

export class Purging {
  readonly #deps: PurgeDeps;
  readonly #passesEmpty = new Map<string, number>();
  purgedSeries = 0;
  removedAccounts = 0;

  constructor(deps: PurgeDeps) {
    this.#deps = deps;
  }

  /** One pass over a shard. Asks the ledger only about accounts that have something to purge, by what was read of them. */
  async pass(shard: number, source: ShardReader): Promise<void> {
    for (const version of [...source.accounts]) {
      if (!this.#deps.isOurs(shard)) return;
      const { account, totals, oldestSeenS } = version;
      if (account.tenant === RECORDS_TENANT || account.tenant === removedTenant(shard)) continue;
      const { staleS } = this.#deps.settings.account(account);
      if (oldestSeenS + staleS < source.clockS) await this.#purge(shard, version, staleS);
      if (totals.live === 0) await this.#remove(shard, version, source);
      else this.#passesEmpty.delete(`${shard}\n${accountKey(account)}`);
    }
  }

  async #purge(shard: number, { account }: AccountVersion, staleS: number): Promise<void> {
    const { reader, options, isOurs } = this.#deps;
    let cursor: string | null = null;
    do {
      const step = await reader.purge(shard, account, staleS, cursor, options.pageSeries);
      this.purgedSeries += step.purged;
      cursor = step.cursor;
    } while (cursor !== null && isOurs(shard));
  }

  async #remove(shard: number, { account }: AccountVersion, source: ShardReader): Promise<void> {
    const { reader, options } = this.#deps;
    const key = `${shard}\n${accountKey(account)}`;
    const passes = this.#passesEmpty.get(key) ?? 0;
    this.#passesEmpty.set(key, passes + 1);
    if (passes % REMOVE_EVERY_PASSES !== 0) return;
    if (!(await reader.removeAccount(shard, account, options.tenantRetentionS))) return;
    this.#passesEmpty.delete(key);
    this.removedAccounts++;
    source.forget(account);
  }
}
