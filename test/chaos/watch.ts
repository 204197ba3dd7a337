/**
 * A third reader of the ledger, all the time and in the middle of every fault. Of each account, at each look, in one
 * atomic reading: what it holds is exactly what the records below the markers add up to, and its live series are
 * within the limit.
 */
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { RECORDS_TRACKER, shardOf } from '../../src/ledger/keys.ts';
import type { AccountPage, LedgerReader } from '../../src/ledger/port.ts';
import { TENANTS } from '../support/traffic-world.ts';
import type { Book } from './book.ts';

export const BOMB_TENANT = 'bomb';
const EVERY_MS = 250;
/** The book learns of a record when the broker answers, which may be after the ledger has it. */
const BOOK_LAGS_MS = 30_000;

type Seen = {
  readonly atMs: number;
  readonly tenant: string;
  readonly markers: ReadonlyMap<string, number>;
  readonly total: readonly number[];
};

export class Watch {
  readonly #ledger: LedgerReader;
  readonly #book: Book;
  readonly #limit: () => number;
  readonly #lastLive = new Map<string, number>();
  #unproven: Seen[] = [];
  #highestLimit = 0;
  #timer: NodeJS.Timeout | undefined;
  #look: Promise<void> = Promise.resolve();
  #ended = false;
  /** Looks that have been judged, and what was wrong, in words. */
  looks = 0;
  readonly problems: string[] = [];

  constructor(ledger: LedgerReader, book: Book, limit: () => number) {
    this.#ledger = ledger;
    this.#book = book;
    this.#limit = limit;
  }

  begin(): void {
    this.#ended = false;
    this.#plan();
  }

  /** Between the end and the next beginning nothing is seen: where the book itself is being changed. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#timer);
    await this.#look;
  }

  /** At rest: everything that was seen must be proven by the book now. */
  conclude(): void {
    this.#prove(Number.POSITIVE_INFINITY);
  }

  /** Replicas with a lower limit than before are all there are: from now on it holds. */
  limitLowered(): void {
    this.#highestLimit = this.#limit();
  }

  #plan(): void {
    this.#timer = setTimeout(() => {
      this.#look = this.#lookOnce().finally(() => {
        if (!this.#ended) this.#plan();
      });
    }, EVERY_MS);
  }

  async #lookOnce(): Promise<void> {
    this.#highestLimit = Math.max(this.#highestLimit, this.#limit());
    const tenants = [...TENANTS.map(({ tenant }) => tenant), BOMB_TENANT, 'compacted', RECORDS_TENANT];
    await Promise.all(
      tenants.map(async (tenant) => {
        const tracker = tenant === RECORDS_TENANT ? RECORDS_TRACKER : 'cost-attribution';
        // A Redis that is in trouble is not seen; that is its trouble.
        const page = await this.#ledger.page(shardOf(tenant), { tenant, tracker }, null, 10).catch(() => null);
        if (page !== null) this.#see(tenant, page);
      }),
    );
    this.#prove(BOOK_LAGS_MS);
  }

  #see(tenant: string, { view, totals }: AccountPage): void {
    this.#unproven.push({ atMs: performance.now(), tenant, markers: view.markers, total: totals.total });
    const before = this.#lastLive.get(tenant) ?? 0;
    this.#lastLive.set(tenant, totals.live);
    // A limit that was lowered takes nobody's place: live may be above it, and not rise.
    if (tenant !== RECORDS_TENANT && totals.live > Math.max(this.#highestLimit, before))
      this.problems.push(`${tenant}: ${totals.live} live series for a limit of ${this.#highestLimit}`);
  }

  #prove(lateMs: number): void {
    const nowMs = performance.now();
    this.#unproven = this.#unproven.filter(({ atMs, tenant, markers, total }) => {
      const [bytes, second] = this.#book.below(markers, tenant);
      const isProven = total[0] === bytes && total[1] === second;
      if (!isProven && lateMs !== Number.POSITIVE_INFINITY && nowMs - atMs < lateMs) return true;
      this.looks += 1;
      if (!isProven)
        this.problems.push(`${tenant}, seen ${Math.round(nowMs - atMs)} ms ago: ${total} for ${[bytes, second]}`);
      return false;
    });
  }
}
