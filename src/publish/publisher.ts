/**
 * Keeps what this process may show up to date: which shards (ownership), their tables (readers), and the ledger tidy
 * (purging). A scrape takes what is there and asks nobody.
 */

import { RECORDS_TENANT } from '../attribution/reserved.ts';
import { within } from '../ledger/clock.ts';
import { LedgerBroken, SHARDS } from '../ledger/port.ts';
import { bounding, eachBounded } from './bounded.ts';
import type { Commits, Markers } from './markers.ts';
import { commitsOf } from './markers.ts';
import { Ownership } from './ownership.ts';
import { Purging } from './purging.ts';
import type { PublishDeps, PublishOptions } from './settings.ts';
import type { ReaderDeps } from './shard-reader.ts';
import { ShardReader } from './shard-reader.ts';
import type { ShardTable } from './shard-table.ts';
import { seriesOf } from './shard-table.ts';

/** What an answer shows, fixed when its request arrived. */
export type Snapshot = {
  /** Series show 0 until their hold is over. */
  readonly forScraper: boolean;
  readonly tables: readonly ShardTable[];
  /** The answer is over, or was given up. */
  done(): void;
};

export type PublishStats = {
  /** Shards with a lease; of these, shown and not shown yet. */
  readonly heldShards: number;
  readonly shownShards: number;
  readonly waitingShards: number;
  readonly leasesLost: number;
  readonly series: number;
  readonly tenants: number;
  /** Shards that could show nothing newer for longer than the alert's time. */
  readonly frozenShards: number;
  /** The longest of those waits, s. */
  readonly behindS: number;
  readonly auditFailures: number;
  readonly fullReadings: number;
  readonly fallbacks: number;
  readonly purgedSeries: number;
  readonly removedAccounts: number;
  /** Turns of the publisher's loops that ended with an error of the ledger or the log. */
  readonly failures: number;
};

type Follower = { readonly tenure: string; readonly reader: ShardReader };

export class Publisher {
  readonly #deps: PublishDeps;
  readonly #options: PublishOptions;
  readonly #ownership: Ownership;
  readonly #purging: Purging;
  readonly #followers = new Map<number, Follower>();
  readonly #counts = { auditFailures: 0, fullReadings: 0, fallbacks: 0 };
  readonly #inTurn: ReturnType<typeof bounding>;
  readonly #timers = new Set<() => void>();
  readonly #running = new Set<Promise<void>>();
  #farthest: Markers = new Map();
  #failures = 0;
  readonly #failing = new Set<string>();
  #stopped = false;

  constructor(deps: PublishDeps, options: PublishOptions) {
    this.#deps = deps;
    this.#options = options;
    const { leases, clock, token, reader, settings } = deps;
    const { replica, leaseMs, width } = options;
    this.#ownership = new Ownership({ leases, clock, replica, leaseMs, token, width });
    const isOurs = (shard: number): boolean => !this.#stopped && this.#ownership.mayShow(shard);
    this.#inTurn = bounding(width);
    this.#purging = new Purging({ reader, settings, options, isOurs });
  }

  /** Begins; everything that goes wrong is tried again by itself until `stop`. */
  start(): void {
    const { leaseMs, readEveryMs, purgeEveryMs } = this.#options;
    let ticks = 0;
    this.#every('own', leaseMs / 15, () => (ticks++ % 5 === 0 ? this.#ownership.tick() : this.#ownership.handOver()));
    this.#every('read', readEveryMs, () => this.#look());
    this.#every('purge', purgeEveryMs, () => this.#purge(), purgeEveryMs);
  }

  /** Shows nothing any more, ends begun answers (at most `withinMs`) and hands over to those who stay. */
  async stop(withinMs: number): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers) cancel();
    this.#timers.clear();
    const endMs = this.#deps.clock.monotonicMs() + withinMs;
    await within(this.#deps.clock, withinMs / 2, Promise.all(this.#running));
    await this.#ownership.releaseAll(endMs - this.#deps.clock.monotonicMs());
    this.#followers.clear();
  }

  /** What may be shown now. Cheap, and touches nothing but memory. */
  snapshot(forScraper: boolean): Snapshot {
    const tables: ShardTable[] = [];
    const ends: (() => void)[] = [];
    for (const [shard, { tenure, reader }] of this.#followers) {
      if (this.#stopped || reader.table === null) continue;
      if (this.#ownership.tenure(shard) !== tenure || !this.#ownership.mayShow(shard)) continue;
      tables.push(reader.table);
      ends.push(this.#ownership.beginAnswer(shard));
    }
    const done = (): void => {
      for (const end of ends.splice(0)) end();
    };
    return { forScraper, tables: tables.sort((a, b) => a.shard - b.shard), done };
  }

  stats(): PublishStats {
    let [series, shownShards, frozenShards, behindMs] = [0, 0, 0, 0];
    const tenants = new Set<string>();
    for (const [shard, { reader }] of this.#followers) {
      behindMs = Math.max(behindMs, reader.behindMs);
      if (reader.behindMs >= this.#options.alertAfterMs) frozenShards++;
      if (reader.table === null || !this.#ownership.mayShow(shard)) continue;
      shownShards++;
      series += seriesOf(reader.table);
      for (const { account } of reader.table.accounts.values())
        if (account.tenant !== RECORDS_TENANT) tenants.add(account.tenant);
    }
    const { purgedSeries, removedAccounts } = this.#purging;
    const heldShards = this.#ownership.held.length;
    return {
      heldShards,
      shownShards,
      waitingShards: heldShards - shownShards,
      leasesLost: this.#ownership.lost,
      series,
      tenants: tenants.size,
      frozenShards,
      behindS: behindMs / 1000,
      ...this.#counts,
      purgedSeries,
      removedAccounts,
      failures: this.#failures,
    };
  }

  /** Runs `turn` again and again, `pauseMs` after its end. */
  #every(loop: string, pauseMs: number, turn: () => Promise<void>, firstMs = 0): void {
    const { clock } = this.#deps;
    const plan = (ms: number): void => {
      if (this.#stopped) return;
      const cancel = clock.after(ms, () => {
        this.#timers.delete(cancel);
        const run = this.#guarded(loop, turn).then(() => {
          this.#running.delete(run);
          plan(pauseMs);
        });
        this.#running.add(run);
      });
      this.#timers.add(cancel);
    };
    plan(firstMs);
  }

  /** The first of several failures of a loop is logged; what cannot be stops the process. */
  async #guarded(loop: string, turn: () => Promise<void>): Promise<void> {
    try {
      await turn();
      this.#failing.delete(loop);
    } catch (error) {
      this.#failures++;
      if (error instanceof LedgerBroken) this.#deps.fatal?.(error);
      if (!this.#failing.has(loop)) this.#deps.log.warn({ loop, error }, 'publish_waits');
      this.#failing.add(loop);
    }
  }

  async #look(): Promise<void> {
    this.#follow();
    if (this.#followers.size === 0) return;
    // Before any shard is looked at: what they cover must not have been lost in between, or it is not known for a replay.
    const commits = await this.#askCommits();
    await eachBounded(this.#followers, SHARDS, async ([shard, { tenure, reader }]) => {
      if (this.#stopped || this.#ownership.tenure(shard) !== tenure) return;
      await reader.look(commits, this.#ownership.usableSinceMs(shard));
    });
  }

  /** Every tenure begins with nothing: what was read under another one is forgotten. */
  #follow(): void {
    for (const [shard, { tenure }] of this.#followers)
      if (this.#ownership.tenure(shard) !== tenure) this.#followers.delete(shard);
    const { reader, clock, settings, log } = this.#deps;
    for (const shard of this.#ownership.held) {
      const tenure = this.#ownership.tenure(shard);
      const tookAt = this.#ownership.tookAt(shard);
      if (tenure === null || tookAt === null || this.#followers.has(shard)) continue;
      const inTurn: ReaderDeps['inTurn'] = (reading) =>
        this.#inTurn(async () => (this.#stopped || this.#ownership.tenure(shard) !== tenure ? null : reading()));
      const deps = { reader, clock, settings, log, options: this.#options, counts: this.#counts, inTurn };
      this.#followers.set(shard, { tenure, reader: new ShardReader(shard, tookAt, deps) });
    }
  }

  async #askCommits(): Promise<Commits | null> {
    const { clock, commits } = this.#deps;
    const askedAtMs = clock.monotonicMs();
    try {
      const read = commitsOf(await commits(), askedAtMs, this.#farthest);
      this.#farthest = read.farthest;
      return read;
    } catch {
      return null;
    }
  }

  async #purge(): Promise<void> {
    for (const [shard, { reader }] of [...this.#followers])
      if (!this.#stopped && this.#ownership.mayShow(shard)) await this.#purging.pass(shard, reader);
  }
}
