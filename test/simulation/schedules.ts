/** What the test files of this folder share: a range of seeds, each failure told with the way to replay it alone. */
import { COMMON, type PlanLimits } from './plan.ts';
import { runSchedule, type WorldOptions, type WorldReport } from './world.ts';

export type Totals = { schedules: number; records: number; samples: number; counts: Record<string, number> };

/** Runs the seeds [from, from + count) and stops at the first that fails. */
export const runSchedules = async (
  from: number,
  count: number,
  options: (seed: number) => Promise<Omit<WorldOptions, 'seed'>> = async () => ({}),
): Promise<Totals> => {
  const totals: Totals = { schedules: 0, records: 0, samples: 0, counts: {} };
  for (let seed = from; seed < from + count; seed++) {
    const given = await options(seed);
    const report = await runSchedule({ ...given, seed }).catch(async (error: unknown) => {
      const smaller = given.ledger === undefined ? await shrink(seed, given) : null;
      throw new Error(`${text(error)}\n${smaller ?? ''}\nreplay: npm run simulate -- --seed ${seed}`);
    });
    add(totals, report);
  }
  return totals;
};

const add = (totals: Totals, report: WorldReport): void => {
  totals.schedules++;
  totals.records += report.records;
  totals.samples += report.samples;
  for (const [kind, times] of Object.entries(report.counts)) totals.counts[kind] = (totals.counts[kind] ?? 0) + times;
};

/** Takes kinds of trouble away, one after the other, and shortens the traffic, for as long as it fails; null: it cannot be made smaller. */
export const shrink = async (seed: number, given: Omit<WorldOptions, 'seed'> = {}): Promise<string | null> => {
  let limits: PlanLimits = { ...given };
  let last: string | null = null;
  const attempt = async (smaller: PlanLimits): Promise<void> => {
    try {
      await runSchedule({ ...given, ...smaller, seed });
    } catch (error) {
      limits = smaller;
      last = text(error);
    }
  };
  for (const trouble of COMMON)
    await attempt({ ...limits, troubles: (limits.troubles ?? COMMON).filter((kind) => kind !== trouble) });
  await attempt({ ...limits, theme: 'none' });
  await attempt({ ...limits, publishing: false });
  for (const trafficMs of [16_000, 8_000, 4_000]) await attempt({ ...limits, trafficMs });
  if (last === null) return null;
  const { troubles, theme, trafficMs, publishing } = limits;
  return `smaller (${JSON.stringify({ troubles, theme, trafficMs, publishing })}):\n${last}`;
};

const text = (error: unknown): string => (error instanceof Error ? error.message : String(error));
