/**
 * `make chaos SEED=n`, or `SEEDS=20` for 1 to 20, or `SEEDS=5-8`. Real servers in trouble, and the question after each
 * fault: is every byte counted once? Exit code 0 only where nothing differed. For a plan of one's own:
 * `node test/chaos/main.ts --form cluster slot-migration+replica-killed clocks-askew`.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Ground, startGround } from './ground.ts';
import { describePlan, type Plan, planFor, planOf, REDIS_FORMS } from './plan.ts';
import { faultTable, seedTable } from './report.ts';
import { runSeed, type SeedResult } from './seed.ts';

const startedMs = performance.now();
const tell = (text: string): void => {
  const at = ((performance.now() - startedMs) / 1000).toFixed(1).padStart(7);
  process.stdout.write(`${text.replaceAll(/^/gm, `${at}s  `)}\n`);
};

function plansOf(): Plan[] {
  const { values, positionals } = parseArgs({
    options: { seed: { type: 'string' }, seeds: { type: 'string' }, form: { type: 'string' } },
    allowPositionals: true,
  });
  const seed = values.seed || process.env.SEED;
  if (positionals.length > 0) {
    const form = REDIS_FORMS.find((name) => name === (values.form ?? 'single'));
    if (form === undefined) throw new Error(`--form is one of ${REDIS_FORMS.join(', ')}`);
    return [planFor(Number(seed || 1), form, positionals)];
  }
  const range = values.seeds || process.env.SEEDS;
  if (!range) return [planOf(Number(seed || 1))];
  const [first, last] = range.includes('-') ? range.split('-').map(Number) : [1, Number(range)];
  return Array.from({ length: last! - first! + 1 }, (_, i) => planOf(first! + i));
}

function tellVerdict({ plan, problems, bytes, seconds, logs }: SeedResult): void {
  if (problems.length === 0) {
    tell(`seed ${plan.seed}: exact, ${bytes} bytes, in ${seconds.toFixed(0)} s`);
    return;
  }
  tell(`seed ${plan.seed}: NOT exact. Again with: make chaos SEED=${plan.seed}\n${describePlan(plan)}`);
  for (const problem of problems) tell(`  DIFFERENCE ${problem}`);
  tell(`  logs: ${logs ?? 'none: the stage was not up'}`);
}

async function main(): Promise<boolean> {
  const plans = plansOf();
  const results: SeedResult[] = [];
  const out = mkdtempSync(join(tmpdir(), 'chaos-'));
  let ground: Ground | undefined;
  try {
    for (const plan of plans) {
      tell(describePlan(plan));
      ground ??= await startGround();
      const result = await runSeed(plan, ground, join(out, `seed-${plan.seed}`), tell);
      results.push(result);
      tellVerdict(result);
      writeFileSync(join(out, 'report.md'), `${seedTable(results)}\n\n${faultTable(results)}\n`);
      // Brokers that a seed has left in trouble would be the next one's trouble, too.
      if (result.problems.length > 0) {
        await ground.stop();
        ground = undefined;
      }
    }
  } finally {
    await ground?.stop();
  }
  process.stdout.write(`\n${seedTable(results)}\n\n${faultTable(results)}\n\n`);
  const failed = results.filter(({ problems }) => problems.length > 0).map(({ plan }) => plan.seed);
  process.stdout.write(`(kept in ${out}/report.md)\n`);
  process.stdout.write(
    failed.length === 0
      ? `chaos: ${results.length} of ${results.length} seeds exact\n`
      : `chaos: NOT exact: seeds ${failed.join(', ')}\n`,
  );
  return failed.length === 0;
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    tell('interrupted: everything is stopped');
    process.exit(code);
  });
}

try {
  process.exit((await main()) ? 0 : 1);
} catch (error) {
  process.stdout.write(`chaos failed: ${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}
