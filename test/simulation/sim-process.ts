/** A process in virtual time: it can be killed, stopped and continued, and its wall clock can be wrong. */
import type { Clock } from '../../src/ledger/clock.ts';
import type { Random, Scheduler } from './scheduler.ts';

export class SimProcess {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly random: Random;
  isAlive = true;
  wallSkewMs = 0;
  wentBack = false;
  #stoppedUntil = 0;
  /** How long the machine was suspended: its monotonic clock does not count it. */
  #sleptMs = 0;

  constructor(name: string, scheduler: Scheduler, random: Random) {
    this.name = name;
    this.scheduler = scheduler;
    this.random = random;
  }

  /** SIGSTOP, and SIGCONT after `ms`. */
  stopFor(ms: number): void {
    this.#stoppedUntil = this.scheduler.now + ms;
  }

  /** The machine is suspended, with its monotonic clock, for `ms`. */
  suspendFor(ms: number): void {
    this.stopFor(ms);
    this.#sleptMs += ms;
  }

  stepWall(ms: number): void {
    this.wallSkewMs += ms;
    if (ms < 0) this.wentBack = true;
  }

  get wasSuspended(): boolean {
    return this.#sleptMs > 0;
  }

  get isStopped(): boolean {
    return this.scheduler.now < this.#stoppedUntil;
  }

  /** SIGKILL: nothing that it waits for arrives. What it has sent may still take effect. */
  kill(): void {
    this.isAlive = false;
  }

  /** Something happens in the process `ms` from now: later if it is stopped then, never if it is dead. */
  in(ms: number, run: () => void): () => void {
    let cancelled = false;
    let cancel = this.scheduler.in(ms, () => arrive());
    const arrive = (): void => {
      if (!this.isAlive || cancelled) return;
      if (this.isStopped) cancel = this.scheduler.in(this.#stoppedUntil - this.scheduler.now + 1, () => arrive());
      else run();
    };
    return () => {
      cancelled = true;
      cancel();
    };
  }

  readonly clock: Clock = {
    wallMs: () => 1_700_000_000_000 + this.scheduler.now + this.wallSkewMs,
    monotonicMs: () => this.scheduler.now - this.#sleptMs,
    after: (ms, fn) => this.in(ms, fn),
    turn: () => new Promise((resolve) => this.in(this.random() < 0.5 ? 0 : 1, resolve)),
  };
}
