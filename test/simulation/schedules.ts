/** A range of seeds, each failure told with the way to replay it alone and in its smallest form. */
import type { PlanLimits } from './plan.ts';
import { shrink } from './shrink.ts';
import { runSchedule, type WorldOptions, type WorldReport } from './world.ts';

export type Totals = {
  schedules: number;
  records: number;
  samples: number;
  faults: number;
  /** Of faults, and of what the workers told of. */
  counts: Record<string, number>;
};

export const noTotals = (): Totals => ({ schedules: 0, records: 0, samples: 0, faults: 0, counts: {} });

/** Runs the seeds [from, from + count). Stops at the first that fails. */
export const runSchedules = async (
  from: number,
  count: number,
  options: (seed: number) => Promise<Omit<WorldOptions, 'seed'>> = async () => ({}),
): Promise<Totals> => {
  const totals = noTotals();
  for (let seed = from; seed < from + count; seed++) add(totals, await runSchedule({ ...(await options(seed)), seed }));
  return totals;
};

export const add = (totals: Totals, report: WorldReport): void => {
  totals.schedules++;
  totals.records += report.records;
  totals.samples += report.samples;
  totals.faults += report.faults;
  for (const [kind, times] of Object.entries(report.counts)) totals.counts[kind] = (totals.counts[kind] ?? 0) + times;
};

/** How to see it again. */
export const replayOf = (seed: number, limits: PlanLimits): string => {
  const plan = Object.keys(limits).length === 0 ? '' : ` --plan '${JSON.stringify(limits)}'`;
  return `npm run simulate -- --seed ${seed}${plan} --verbose`;
};

/** The smallest schedule with the same failure, as text. */
export const smallest = async (seed: number, given: PlanLimits): Promise<string> => {
  const shrunk = await shrink(seed, given);
  if (shrunk === null) return 'It does not fail again: something outside of the seed decides.';
  const { failure, limits } = shrunk;
  return `the smallest found that fails in the same way:\n${failure.message}\nreplay: ${replayOf(seed, limits)}`;
};
