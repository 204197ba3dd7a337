/**
 * Runs schedules: `npm run simulate -- --from 1 --count 10000` many, `--seed 7 --verbose` one, with its story, and with
 * `--plan JSON` (which a failure prints) in a smaller form. `--json` ends with the totals as one line of JSON.
 */
import { parseArgs } from 'node:util';
import type { PlanLimits } from './plan.ts';
import { add, noTotals, replayOf, smallest } from './schedules.ts';
import { runSchedule } from './world.ts';

const { values } = parseArgs({
  allowNegative: true,
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '1000' },
    plan: { type: 'string', default: '{}' },
    verbose: { type: 'boolean', default: false },
    failures: { type: 'string', default: '3' },
    shrink: { type: 'boolean', default: true },
    publishing: { type: 'boolean' },
    json: { type: 'boolean', default: false },
  },
});

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count) : 1;
const publishing = values.publishing === undefined ? {} : { publishing: values.publishing };
const limits: PlanLimits = { ...(JSON.parse(values.plan) as PlanLimits), ...publishing };
const totals = noTotals();
let failures = 0;
const began = performance.now();
for (let seed = from; seed < from + count && failures < Number(values.failures); seed++) {
  try {
    add(totals, await runSchedule({ ...limits, seed, verbose: values.verbose }));
  } catch (error) {
    failures++;
    print(error instanceof Error ? error.message : String(error));
    print(`replay: ${replayOf(seed, limits)}\n`);
    if (values.shrink) print(`${await smallest(seed, limits)}\n`);
  }
}
const seconds = (performance.now() - began) / 1000;
if (values.json) print(JSON.stringify({ ...totals, failures }));
else {
  const { schedules, faults, records, samples } = totals;
  print(JSON.stringify(totals.counts, null, 1));
  print(
    `${schedules} schedules held, ${failures} failed: ${faults} faults, ${records} records, ${samples} samples, ` +
      `${seconds.toFixed(1)} s, processor ${(process.cpuUsage().user / 1e6).toFixed(1)} s`,
  );
}
process.exit(failures > 0 ? 1 : 0);
