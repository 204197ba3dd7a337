/**
 * Makes a failing schedule smaller for as long as the same thing fails. Every fault has numbers of its own, so one that
 * is left out changes no other: first the traffic ends where it failed, then faults go, then replicas, partitions, lost
 * answers, and faults again.
 */
import type { PlanLimits } from './plan.ts';
import { runSchedule, ScheduleFailed } from './world.ts';

export type Shrunk = {
  /** What `--plan` takes. */
  readonly limits: PlanLimits;
  readonly failure: ScheduleFailed;
};

/** Null: it does not fail. Runs at most `most` schedules. */
export const shrink = async (seed: number, given: PlanLimits = {}, most = 400): Promise<Shrunk | null> => {
  const first = await failureOf(seed, given);
  if (first === null) return null;
  let runs = 0;
  let best: Shrunk = { limits: given, failure: first };
  const attempt = async (change: PlanLimits): Promise<boolean> => {
    if (runs++ >= most) return false;
    const limits = { ...best.limits, ...change };
    const failure = await failureOf(seed, limits);
    if (failure?.what !== first.what) return false;
    best = { limits, failure };
    return true;
  };
  const all = Array.from({ length: first.faults }, (_, index) => index);
  await attempt({ faults: given.faults ?? all });
  await endTraffic(attempt, first);
  await leaveOutFaults(attempt, () => best.limits.faults ?? all);
  const { plan } = first;
  await attempt({ isLossy: false });
  if (plan.publishing) await attempt({ publishing: false });
  for (let replicas = 1; replicas < plan.replicas; replicas++) if (await attempt({ replicas })) break;
  for (let partitions = 1; partitions < plan.partitions; partitions++) if (await attempt({ partitions })) break;
  await leaveOutFaults(attempt, () => best.limits.faults ?? all);
  return best;
};

type Attempt = (change: PlanLimits) => Promise<boolean>;

const failureOf = async (seed: number, limits: PlanLimits): Promise<ScheduleFailed | null> => {
  try {
    await runSchedule({ ...limits, seed });
    return null;
  } catch (error) {
    if (error instanceof ScheduleFailed) return error;
    throw error;
  }
};

const endTraffic = async (attempt: Attempt, { atMs, plan }: ScheduleFailed): Promise<void> => {
  const latest = Math.min(plan.trafficMs, atMs);
  for (const share of [0.25, 0.5, 0.75, 1]) if (await attempt({ trafficMs: Math.ceil(latest * share) })) return;
};

/** Halves, quarters, ... of what is left; then one by one. */
const leaveOutFaults = async (attempt: Attempt, left: () => readonly number[]): Promise<void> => {
  for (let size = Math.ceil(left().length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = left().length - size; from > -size; from -= size) {
      const part = new Set(left().slice(Math.max(0, from), from + size));
      if (part.size > 0) await attempt({ faults: left().filter((index) => !part.has(index)) });
    }
  }
};
