/**
 * Which shards this process may show. One owner at a time: two that show the same counters at different heights look
 * like resets, and are counted again.
 *
 *   take -> (released to us by name: at once; else one lease after the answer) -> usable -> shown while renewed
 *        -> no longer wanted: not shown, begun answers end -> released to the wanted process by name
 *
 * A lease without a good renewal for its length, by the monotonic or by the wall clock (the first stands still while a
 * machine is suspended), is given up for good: nothing is shown again without a new take.
 */
import type { Clock } from '../ledger/clock.ts';
import type { Leases } from '../ledger/port.ts';
import { SHARDS } from '../ledger/port.ts';
import { eachBounded } from './bounded.ts';
import { wantedOwner } from './rendezvous.ts';

export type OwnershipDeps = {
  readonly leases: Leases;
  readonly clock: Clock;
  readonly replica: string;
  readonly leaseMs: number;
  readonly token: () => string;
  /** Calls at the same time, but for renewals, which are sent together. */
  readonly width: number;
};

type Held = {
  readonly token: string;
  /** The change counter that the take wrote. */
  readonly counter: number;
  /** Monotonic, ms. */
  readonly usableAtMs: number;
  /** When the last good renewal (or the take) was sent. */
  sentMonotonicMs: number;
  sentWallMs: number;
  draining: boolean;
  /** Answers that were begun with it and are not over. */
  answers: number;
  /** It was taken in place of this replica, which did not; since when. */
  readonly insteadOf: string | null;
  readonly takenAtMs: number;
};

type GivenUp = { readonly shard: number; readonly token: string; readonly to: string | null; readonly untilMs: number };

/** In leases: how long a shard is free until anybody takes it, and how long that one keeps it before it is offered again. */
const FREE_FOR_ANYBODY = 2;
const KEPT_INSTEAD = 10;

export class Ownership {
  readonly #deps: OwnershipDeps;
  readonly #held = new Map<number, Held>();
  /** Releases that are still to be said. */
  #givenUp: GivenUp[] = [];
  /** Monotonic, ms, since when a shard was seen free. */
  readonly #freeSince = new Map<number, number>();
  readonly #lastHeldMs = new Map<number, number>();
  #replicas: readonly string[] = [];
  #wantedOf: readonly (string | null)[] = [];
  #leaving = false;
  /** Leases that ended without being given up: a renewal was refused or came too late. */
  lost = 0;

  constructor(deps: OwnershipDeps) {
    this.#deps = deps;
  }

  /** Shards with a lease, usable or not: what is worth reading. */
  get held(): readonly number[] {
    return [...this.#held.keys()].filter((shard) => !this.#held.get(shard)!.draining);
  }

  get replicas(): readonly string[] {
    return this.#replicas;
  }

  /** Tells one time of ownership from the next; null: no lease. */
  tenure(shard: number): string | null {
    const held = this.#held.get(shard);
    return held === undefined || !this.#isInTime(held) ? null : held.token;
  }

  /** The change counter that the take of the lease wrote; null: no lease. */
  tookAt(shard: number): number | null {
    return this.#held.get(shard)?.counter ?? null;
  }

  /** Since when the lease may be used (monotonic, ms); null: not now. */
  usableSinceMs(shard: number): number | null {
    const held = this.#held.get(shard);
    if (held === undefined || held.draining || !this.#isInTime(held)) return null;
    return this.#deps.clock.monotonicMs() >= held.usableAtMs ? held.usableAtMs : null;
  }

  mayShow(shard: number): boolean {
    return this.usableSinceMs(shard) !== null;
  }

  /** An answer begins to show the shard. The result is called when the answer is over, once. */
  beginAnswer(shard: number): () => void {
    const held = this.#held.get(shard)!;
    held.answers++;
    return () => {
      held.answers--;
    };
  }

  /** Every third of a lease: renewals, sign-in, releases, takes. Rejects with the first error of the ledger, after all that could be done. */
  async tick(): Promise<void> {
    if (this.#leaving) return;
    const errors: unknown[] = [];
    for (const step of [() => this.#renew(), () => this.#signIn(), () => this.#sayReleases(), () => this.#claim(true)])
      await step().catch((error: unknown) => errors.push(error));
    if (errors.length > 0) throw errors[0];
  }

  /** In between: hand over what is drained, take what was released to us. */
  async handOver(): Promise<void> {
    if (this.#leaving) return;
    await this.#sayReleases();
    await this.#claim(false);
  }

  /** For the shutdown: shows nothing any more, waits for begun answers at most `withinMs`, releases everything to those who stay. */
  async releaseAll(withinMs: number): Promise<void> {
    const { leases, clock, replica } = this.#deps;
    this.#leaving = true;
    const untilMs = clock.monotonicMs() + withinMs;
    for (const held of this.#held.values()) held.draining = true;
    await leases.signOut(replica).catch(() => undefined);
    const others = this.#replicas.filter((name) => name !== replica);
    while (this.#held.size > 0 || this.#givenUp.length > 0) {
      const isLast = clock.monotonicMs() >= untilMs;
      for (const [shard, held] of this.#held)
        if (held.answers === 0 || isLast)
          this.#giveUp(shard, held, held.answers === 0 ? wantedOwner(shard, others) : null);
      await this.#sayReleases().catch(() => undefined);
      if (isLast) return;
      if (this.#held.size > 0 || this.#givenUp.length > 0)
        await new Promise<void>((resolve) => clock.after(Math.min(50, withinMs), resolve));
    }
  }

  #isInTime({ sentMonotonicMs, sentWallMs }: Held): boolean {
    const { clock, leaseMs } = this.#deps;
    return clock.monotonicMs() - sentMonotonicMs < leaseMs && clock.wallMs() - sentWallMs < leaseMs;
  }

  async #renew(): Promise<void> {
    const { leases, clock, leaseMs } = this.#deps;
    for (const [shard, held] of this.#held) {
      if (this.#isInTime(held)) continue;
      this.lost++;
      this.#giveUp(shard, held, null);
    }
    await eachBounded([...this.#held], SHARDS, async ([shard, held]) => {
      const sentMonotonicMs = clock.monotonicMs();
      const sentWallMs = clock.wallMs();
      const isOurs = await leases.renew(shard, held.token, leaseMs);
      if (isOurs) Object.assign(held, { sentMonotonicMs, sentWallMs });
      else {
        this.lost++;
        this.#drop(shard);
      }
    });
  }

  async #signIn(): Promise<void> {
    const { leases, replica, leaseMs } = this.#deps;
    const replicas = await leases.signIn(replica, leaseMs);
    if (replicas.join('\n') !== this.#replicas.join('\n'))
      this.#wantedOf = Array.from({ length: SHARDS }, (_, shard) => wantedOwner(shard, replicas));
    this.#replicas = replicas;
    for (const [shard, held] of this.#held) {
      const wanted = this.#wanted(shard);
      held.draining = wanted !== replica && !this.#isKeptInstead(held, wanted);
    }
  }

  #wanted(shard: number): string | null {
    return this.#wantedOf[shard] ?? null;
  }

  #isKeptInstead({ insteadOf, takenAtMs }: Held, wanted: string | null): boolean {
    const { clock, leaseMs } = this.#deps;
    return insteadOf !== null && insteadOf === wanted && clock.monotonicMs() - takenAtMs < KEPT_INSTEAD * leaseMs;
  }

  async #sayReleases(): Promise<void> {
    const { leases, clock, leaseMs, width } = this.#deps;
    for (const [shard, held] of this.#held)
      if (held.draining && held.answers === 0 && !this.#leaving) this.#giveUp(shard, held, this.#wanted(shard));
    const open = this.#givenUp.filter(({ untilMs }) => clock.monotonicMs() < untilMs);
    this.#givenUp = open;
    await eachBounded(open, width, async (release) => {
      await leases.release(release.shard, release.token, release.to, leaseMs);
      this.#givenUp = this.#givenUp.filter((other) => other !== release);
    });
  }

  /** The lease is not used again, whatever becomes of the release. One not yet usable is deleted: the last owner may still show. */
  #giveUp(shard: number, held: Held, to: string | null): void {
    const { clock, leaseMs } = this.#deps;
    const nowMs = clock.monotonicMs();
    const mayName = to !== null && nowMs >= held.usableAtMs && this.#isInTime(held);
    this.#givenUp.push({ shard, token: held.token, to: mayName ? to : null, untilMs: nowMs + leaseMs });
    this.#drop(shard);
  }

  #drop(shard: number): void {
    this.#held.delete(shard);
    this.#lastHeldMs.set(shard, this.#deps.clock.monotonicMs());
  }

  async #claim(anybody: boolean): Promise<void> {
    const { leases, clock, replica, leaseMs, width } = this.#deps;
    const shards: number[] = [];
    for (let shard = 0; shard < SHARDS; shard++)
      if (!this.#held.has(shard) && (anybody || this.#wanted(shard) === replica)) shards.push(shard);
    if (shards.length === 0 || this.#replicas.length === 0) return;
    const free = await leases.free(replica, shards);
    const nowMs = clock.monotonicMs();
    const open: number[] = [];
    shards.forEach((shard, i) => {
      if (!free[i]) this.#freeSince.delete(shard);
      else {
        const sinceMs = this.#freeSince.get(shard) ?? nowMs;
        this.#freeSince.set(shard, sinceMs);
        if (this.#wanted(shard) === replica || nowMs - sinceMs >= FREE_FOR_ANYBODY * leaseMs) open.push(shard);
      }
    });
    await eachBounded(open, width, (shard) => this.#take(shard));
  }

  async #take(shard: number): Promise<void> {
    const { leases, clock, replica, leaseMs, token: newToken } = this.#deps;
    const token = newToken();
    const sentMonotonicMs = clock.monotonicMs();
    const sentWallMs = clock.wallMs();
    const answer = await leases.take(shard, replica, token, leaseMs).catch((error: unknown) => {
      this.#givenUp.push({ shard, token, to: null, untilMs: clock.monotonicMs() + leaseMs });
      throw error;
    });
    if (answer.kind !== 'taken') return;
    const takenAtMs = clock.monotonicMs();
    const wanted = this.#wanted(shard);
    const held: Held = {
      token,
      counter: answer.counter,
      usableAtMs: answer.released && !this.#heldLately(shard) ? takenAtMs : takenAtMs + leaseMs,
      sentMonotonicMs,
      sentWallMs,
      draining: false,
      answers: 0,
      insteadOf: wanted === replica ? null : wanted,
      takenAtMs,
    };
    this.#freeSince.delete(shard);
    if (this.#leaving || !this.#isInTime(held)) this.#giveUp(shard, held, null);
    else this.#held.set(shard, held);
  }

  /** A release to us may be one that we have used already, brought back by a server that lost its newest writes. */
  #heldLately(shard: number): boolean {
    const lastMs = this.#lastHeldMs.get(shard);
    return lastMs !== undefined && this.#deps.clock.monotonicMs() - lastMs < 2 * this.#deps.leaseMs;
  }
}
