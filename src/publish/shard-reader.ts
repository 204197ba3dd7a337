/**
 * Follows one owned shard: reads what changed, and shows it when nothing that was read can be undone unseen.
 *
 *   look -> (behind the floor: wait) -> read -> (commits do not cover it: wait) -> show -> look ...
 *
 * - A reading may be SHOWN when the group's commits cover the highest markers seen while it was made: what a ledger
 *   loses of it is then read again, up to there, before anyone shows the shard.
 * - It REPLACES a table only if the markers at its begin reach that table's. The first table of an owner must reach
 *   the commits asked for since the lease became usable: whatever the last owner showed lay below them.
 * - A ledger that is BEFORE THE TAKE of the lease has lost it, and with it the time by which the last owner may have ended
 *   a hold: what is read there would begin it again. The next renewal is refused.
 * - While one reading waits, no other is begun, else a busy shard would never show anything.
 */

import { RECORDS_TENANT } from '../attribution/reserved.ts';
import type { Clock } from '../ledger/clock.ts';
import type { AccountName, LedgerReader, MarkerField, ShardView } from '../ledger/port.ts';
import { SHARDS } from '../ledger/port.ts';
import type { AccountReading, ReadingContext } from './account-reading.ts';
import { readAccount } from './account-reading.ts';
import { LabelArena } from './label-arena.ts';
import type { Commits, Markers } from './markers.ts';
import { covers, fellBack, isSame, raise, reaches } from './markers.ts';
import type { PublishLog, PublishOptions, PublishSettings } from './settings.ts';
import type { AccountVersion, ShardTable } from './shard-table.ts';
import { accountKey, seriesOf } from './shard-table.ts';

export type ReaderDeps = {
  readonly reader: LedgerReader;
  readonly clock: Clock;
  readonly settings: PublishSettings;
  readonly log: PublishLog;
  readonly options: PublishOptions;
  readonly counts: ReaderCounts;
  /** Runs a reading when it may, null where it may not any more: the readers of a process share this. */
  readonly inTurn: (reading: () => Promise<Reading | null>) => Promise<Reading | null>;
};

/** Shared by the readers of a process. */
export type ReaderCounts = { auditFailures: number; fullReadings: number; fallbacks: number };

export type Reading = {
  readonly accounts: Map<string, AccountVersion>;
  /** Where the next one goes on: the counter of this one's first view. */
  readonly since: number;
  readonly start: ShardView;
  readonly highest: Map<MarkerField, number>;
};

const AUDIT_ATTEMPTS = 3;

export class ShardReader {
  readonly #shard: number;
  readonly #tookAt: number;
  readonly #deps: ReaderDeps;
  #last: ShardView | null = null;
  #latest: Reading | null = null;
  /** `#latest` is not shown yet. */
  #waiting = false;
  #blocked = false;
  #shown: ShardTable | null = null;
  /** What `#shown` was made of. */
  #shownReading: Reading | null = null;
  #floor: Markers | null = null;
  #mustReadAll = true;
  #readAllAtMs = 0;
  #behindSinceMs: number | null = null;
  #alerted = false;
  readonly #removed = new Set<string>();

  /** `tookAt`: the change counter that the take of the lease wrote. */
  constructor(shard: number, tookAt: number, deps: ReaderDeps) {
    this.#shard = shard;
    this.#tookAt = tookAt;
    this.#deps = deps;
  }

  /** What may be shown by whoever holds the lease; null: nothing yet. */
  get table(): ShardTable | null {
    return this.#shown;
  }

  /** The newest known state of the accounts, shown or not. */
  get accounts(): Iterable<AccountVersion> {
    return this.#latest?.accounts.values() ?? [];
  }

  /** The shard clock at the last look, s. */
  get clockS(): number {
    return this.#last?.clockS ?? 0;
  }

  /** Milliseconds for which there was something newer that could not be shown. */
  get behindMs(): number {
    return this.#behindSinceMs === null ? 0 : this.#deps.clock.monotonicMs() - this.#behindSinceMs;
  }

  /** The account was removed from the ledger. */
  forget(account: AccountName): void {
    this.#removed.add(accountKey(account));
  }

  /**
   * One look. `commits`: asked for before it; null when they are not known now. `usableSinceMs` (monotonic): when the
   * lease became usable; null: not yet. Rejects with what the ledger rejects with; the next look goes on.
   */
  async look(commits: Commits | null, usableSinceMs: number | null): Promise<void> {
    if (this.#floor === null && usableSinceMs !== null && commits !== null && commits.askedAtMs >= usableSinceMs)
      this.#floor = commits.farthest;
    if (this.#waiting) await this.#lookAtWaiting();
    else await this.#readChanges(commits);
    if (this.#waiting && commits !== null && this.#floor !== null) this.#tryToShow(commits);
    this.#noteDelay(usableSinceMs !== null);
  }

  async #lookAtWaiting(): Promise<void> {
    const view = await this.#deps.reader.view(this.#shard);
    if (view !== null && this.#note(view)) return;
    this.#waiting = false;
    this.#mustReadAll = true;
  }

  /** False: the ledger fell back since the last view, so that everything must be read again. */
  #note(view: ShardView): boolean {
    const fell = this.#last !== null && fellBack(this.#last, view);
    this.#last = view;
    if (fell) {
      this.#mustReadAll = true;
      this.#deps.counts.fallbacks++;
    }
    return !fell;
  }

  async #readChanges(commits: Commits | null): Promise<void> {
    const { reader, clock, options } = this.#deps;
    if (clock.monotonicMs() - this.#readAllAtMs >= options.fullReadEveryMs) this.#mustReadAll = true;
    let changes = await reader.changes(this.#shard, this.#since());
    if (changes === null) return;
    const since = this.#since();
    this.#note(changes.view);
    if (this.#since() !== since) {
      changes = await reader.changes(this.#shard, this.#since());
      if (changes === null || !this.#note(changes.view)) return;
    }
    const { view, accounts } = changes;
    const isShown = this.#isShown(view);
    this.#blocked = !isShown && (view.counter < this.#tookAt || this.#isBelowFloor(view, commits));
    if (this.#blocked || isShown) return;
    const all = this.#mustReadAll;
    const read = () => this.#read(view, accounts, all);
    const reading = accounts.length === 0 ? await read() : await this.#deps.inTurn(read);
    if (reading === null) return;
    this.#latest = reading;
    this.#waiting = true;
    if (!all) return;
    this.#mustReadAll = false;
    // The first time is another one for each shard, so that not all are read at once ever after.
    const early = this.#readAllAtMs === 0 ? ((this.#shard / SHARDS) * options.fullReadEveryMs) / 2 : 0;
    this.#readAllAtMs = clock.monotonicMs() - early;
    this.#deps.counts.fullReadings++;
  }

  #since(): number {
    return this.#mustReadAll || this.#latest === null ? 0 : this.#latest.since;
  }

  /** Nothing was done to the shard since the reading that is shown: another one would be the same. */
  #isShown(view: ShardView): boolean {
    const reading = this.#shownReading;
    if (reading === null || reading !== this.#latest || this.#mustReadAll || this.#removed.size > 0) return false;
    return isSame(reading.start, view);
  }

  /** A reading from down there could not be shown: it waits for the ledger to catch up. */
  #isBelowFloor({ markers }: ShardView, commits: Commits | null): boolean {
    const floor = this.#shown?.markers ?? this.#floor;
    return floor !== null && (commits === null || !reaches(markers, floor, commits));
  }

  async #read(start: ShardView, changed: readonly AccountName[], all: boolean): Promise<Reading | null> {
    const before = this.#latest?.accounts;
    const accounts = new Map(all ? [] : before);
    const highest = new Map(all ? start.markers : this.#latest!.highest);
    raise(highest, start.markers);
    const note = (view: ShardView): boolean => {
      raise(highest, view.markers);
      return this.#note(view);
    };
    for (const account of changed) {
      const key = accountKey(account);
      const labels = before?.get(key)?.labels ?? new LabelArena();
      const reading = await this.#readAudited(account, { start, note, labels });
      if (reading.kind === 'fell-back') return null;
      if (reading.kind === 'gone') accounts.delete(key);
      else accounts.set(key, reading.version);
      this.#removed.delete(key);
    }
    for (const key of this.#removed) accounts.delete(key);
    this.#removed.clear();
    return { accounts, since: start.counter, start, highest };
  }

  /** An account read at rest must balance; a page order that a fail-over mixed up is told from a broken ledger by reading again. */
  async #readAudited(
    account: AccountName,
    { start, note, labels }: Pick<ReadingContext, 'start' | 'note'> & { readonly labels: LabelArena },
  ): Promise<AccountReading> {
    const { reader, clock, settings, options, counts, log } = this.#deps;
    const shown = this.#shown?.life === start.life ? this.#shown : null;
    const context: ReadingContext = {
      shard: this.#shard,
      reader,
      clock,
      pageSeries: options.pageSeries,
      holdUs: options.holdMs * 1000,
      start,
      staleS: settings.account(account).staleS,
      dimensions: account.tenant === RECORDS_TENANT ? [] : settings.dimensionLabels(account),
      note,
    };
    const replayed = shown !== null && shown.replayedAt !== start.replayedAt;
    for (let attempt = 1; ; attempt++) {
      const version = shown?.accounts.get(accountKey(account));
      const reading = await readAccount(context, account, labels, version, shown !== null && !replayed);
      if (reading.kind !== 'read' || reading.audit.kind !== 'unbalanced') return reading;
      if (attempt < AUDIT_ATTEMPTS) continue;
      counts.auditFailures++;
      const { difference, live, totals } = reading.audit;
      log.error({ shard: this.#shard, ...account, difference, live_read: live, totals }, 'audit_failed');
      return reading;
    }
  }

  #tryToShow(commits: Commits): void {
    const { start, highest, accounts } = this.#latest!;
    const floor = this.#shown?.markers ?? this.#floor!;
    if (!reaches(start.markers, floor, commits)) {
      // It was read before the lease became usable, and the group has moved on since: only a newer one can be shown.
      this.#waiting = false;
      return;
    }
    if (!covers(commits, highest)) return;
    const sameLife = this.#shown?.life === start.life;
    const counter = sameLife ? Math.max(start.counter, this.#shown!.counter) : start.counter;
    const { life, replayedAt } = start;
    for (const version of accounts.values()) this.#beginHolds(version, start);
    this.#shown = {
      shard: this.#shard,
      life,
      replayedAt,
      counter,
      clockS: start.clockS,
      markers: new Map(highest),
      accounts: new Map(accounts),
    };
    this.#shownReading = this.#latest;
    this.#waiting = false;
  }

  /** Holds of what is shown for the first time run from the newest counter known. */
  #beginHolds(version: AccountVersion, { replayedAt, counter }: ShardView): void {
    const holdUs = this.#deps.options.holdMs * 1000;
    const until = this.#last!.counter + holdUs;
    for (const slot of version.fresh) {
      const birthUs = (version.births[slot]! - 1) * 1e6;
      const over = birthUs <= replayedAt || counter >= birthUs + holdUs;
      version.holds![slot] = over ? 0 : until;
    }
    version.fresh.length = 0;
    if (version.overflowHold === Number.POSITIVE_INFINITY) version.overflowHold = until;
    if (version.totalHold === Number.POSITIVE_INFINITY) version.totalHold = until;
  }

  #noteDelay(usable: boolean): void {
    const { clock, options, log } = this.#deps;
    const behind = usable && (this.#waiting || this.#blocked || this.#shown === null || this.#mustReadAll);
    if (!behind) {
      if (this.#alerted)
        log.info({ shard: this.#shard, series: this.#shown && seriesOf(this.#shown) }, 'shard_up_to_date');
      this.#behindSinceMs = null;
      this.#alerted = false;
      return;
    }
    this.#behindSinceMs ??= clock.monotonicMs();
    if (!this.#alerted && this.behindMs >= options.alertAfterMs) {
      this.#alerted = true;
      const markers = this.#latest && Object.fromEntries(this.#latest.highest);
      log.error({ shard: this.#shard, markers_not_committed: markers }, 'shard_frozen');
    }
  }
}
