/** Leases and sign-ins of the memory ledger, as lua/take.lua, renew.lua, release.lua and sign-in.lua have them. */
import type { MemoryLease, MemoryShard } from './memory-state.ts';
import { nextCounter } from './memory-state.ts';
import type { LeaseAnswer } from './port.ts';

/** Replica -> its last sign-in, ms, with this one's; those that are gone are left out, those from the future are from now. */
export const signedIn = (
  before: ReadonlyMap<string, number>,
  replica: string,
  withinMs: number,
  nowMs: number,
): ReadonlyMap<string, number> => {
  const replicas = new Map(before).set(replica, nowMs);
  for (const [name, seenMs] of replicas) {
    if (seenMs > nowMs) replicas.set(name, nowMs);
    if (seenMs < nowMs - withinMs) replicas.delete(name);
  }
  return replicas;
};

export const takeLease = (
  state: MemoryShard,
  replica: string,
  token: string,
  leaseMs: number,
  nowUs: number,
): LeaseAnswer => {
  const lease = leaseAt(state, nowUs);
  const released = isReleasedTo(lease, replica);
  if (lease !== null && !released && !isHeldBy(lease, token)) return { kind: 'held' };
  hold(state, token, leaseMs, nowUs);
  return { kind: 'taken', released, counter: state.counter };
};

/** False: it is not the holder's any more. */
export const renewLease = (state: MemoryShard, token: string, leaseMs: number, nowUs: number): boolean => {
  if (!isHeldBy(leaseAt(state, nowUs), token)) return false;
  hold(state, token, leaseMs, nowUs);
  return true;
};

export const releaseLease = (
  state: MemoryShard,
  token: string,
  to: string | null,
  leaseMs: number,
  nowUs: number,
): void => {
  if (!isHeldBy(leaseAt(state, nowUs), token)) return;
  state.lease = to === null ? null : { kind: 'released', by: to, untilUs: nowUs + leaseMs * 1000 };
};

export const isFreeFor = (state: Readonly<MemoryShard>, replica: string, nowUs: number): boolean => {
  const lease = leaseAt(state, nowUs);
  return lease === null || isReleasedTo(lease, replica);
};

const hold = (state: MemoryShard, token: string, leaseMs: number, nowUs: number): void => {
  state.counter = nextCounter(state, nowUs);
  state.lease = { kind: 'held', by: token, untilUs: nowUs + leaseMs * 1000 };
};

const leaseAt = ({ lease }: Readonly<MemoryShard>, nowUs: number): MemoryLease | null =>
  lease !== null && lease.untilUs > nowUs ? lease : null;

const isHeldBy = (lease: MemoryLease | null, token: string): boolean => lease?.kind === 'held' && lease.by === token;

const isReleasedTo = (lease: MemoryLease | null, replica: string): boolean =>
  lease?.kind === 'released' && lease.by === replica;
