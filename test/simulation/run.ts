/**
 * Runs schedules outside of jest: `npm run simulate -- --seed 7 --verbose` replays one, `--count 10000 --from 1` runs many.
 */
import { parseArgs } from 'node:util';
import { shrink } from './schedules.ts';
import { runSchedule } from './world.ts';

const { values } = parseArgs({
  allowNegative: true,
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '1000' },
    verbose: { type: 'boolean', default: false },
    failures: { type: 'string', default: '3' },
    shrink: { type: 'boolean', default: true },
    publishing: { type: 'boolean' },
  },
});

const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.count) : 1;
const given = values.publishing === undefined ? {} : { publishing: values.publishing };
let samples = 0;
const faults: Record<string, number> = {};
let records = 0;
let failures = 0;
const began = performance.now();
for (let seed = from; seed < from + count; seed++) {
  try {
    const report = await runSchedule({ seed, verbose: values.verbose, ...given });
    records += report.records;
    samples += report.samples;
    for (const [kind, times] of Object.entries(report.counts)) faults[kind] = (faults[kind] ?? 0) + times;
  } catch (error) {
    failures++;
    process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n\n`);
    if (values.shrink) process.stdout.write(`${(await shrink(seed, given)) ?? 'cannot be made smaller'}\n\n`);
    if (failures >= Number(values.failures)) break;
  }
}
const seconds = (performance.now() - began) / 1000;
process.stdout.write(
  `${count} schedules, ${records} records, ${samples} samples, ${failures} failures, ${seconds.toFixed(1)} s\n${JSON.stringify(faults, null, 1)}\n`,
);
process.exit(failures > 0 ? 1 : 0);
