/** Reads what the ledger holds where it has no room, so that what is not among it can be diverted here. */
import type { Admission } from './admission.ts';
import type { Ledger } from './port.ts';
import { isTemporary } from './temporary.ts';
import type { WatchWorker } from './worker-events.ts';

export class FullAccounts {
  readonly #ledger: Pick<Ledger, 'liveIds' | 'tenants'>;
  readonly #admission: Admission;
  readonly #watch: WatchWorker;
  #isReading = false;

  constructor(options: {
    readonly ledger: Pick<Ledger, 'liveIds' | 'tenants'>;
    readonly admission: Admission;
    readonly watch: WatchWorker;
  }) {
    this.#ledger = options.ledger;
    this.#admission = options.admission;
    this.#watch = options.watch;
  }

  /** Reads what lives in full accounts, and who is in full shards, that has not been read yet. One reading at a time. */
  async read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    const { accounts, shards } = this.#admission.unread();
    try {
      for (const account of accounts) {
        const { admissions, ids } = await this.#ledger.liveIds(account.shard, account);
        this.#admission.setLive(account, admissions, ids);
      }
      for (const { shard, tracker } of shards)
        this.#admission.setTenants(shard, tracker, await this.#ledger.tenants(shard, tracker));
    } catch (error) {
      if (!isTemporary(error)) throw error;
      this.#watch({ kind: 'ledger_unavailable', error });
    } finally {
      this.#isReading = false;
    }
  }
}
