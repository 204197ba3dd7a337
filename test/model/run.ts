/**
 * Checks the models, and that TLC finds every deliberate breakage: `npm run model`.
 * `--only <part of a name, or a model>` runs some of it, `--skip correct|reached|mutations|known` (several with commas) leaves
 * some out, `--trace` prints the steps of the counterexamples.
 */
import { parseArgs } from 'node:util';
import { check, type Finding, type Setup } from './check.ts';
import { CONFIGURATIONS, REACHED } from './configurations.ts';
import { KNOWN, MUTATIONS } from './mutations.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    skip: { type: 'string', default: '' },
    trace: { type: 'boolean', default: false },
  },
});

const say = (text: string) => process.stdout.write(`${text}\n`);
const isWanted = ({ name, model }: { readonly name: string; readonly model: string }) =>
  `${model}: ${name}`.includes(values.only);
const skipped = new Set(values.skip.split(','));
let failures = 0;

const run = async (
  name: string,
  setup: Setup,
  isGood: (finding: Finding) => boolean,
  never?: string,
): Promise<void> => {
  try {
    const finding = await check(setup, never);
    const { broken, states, depth, seconds, steps } = finding;
    const good = isGood(finding);
    if (!good) failures++;
    const found = broken === null ? `holds, depth ${depth}` : `${broken}, ${steps.length} steps`;
    say(`${good ? 'ok  ' : 'FAIL'} ${setup.model} | ${name} | ${found} | ${states} states | ${seconds.toFixed(0)} s`);
    if (values.trace && broken !== null) say(finding.output.slice(finding.output.indexOf('Error:')));
  } catch (error) {
    failures++;
    say(`FAIL ${setup.model} | ${name} | ${error instanceof Error ? error.message : String(error)}`);
  }
};

const controlled = new Set<string>();
/** A breakage proves nothing in a world where the unbroken model does not hold, either. */
const control = async (setup: Setup): Promise<void> => {
  const world = JSON.stringify(setup);
  if (controlled.has(world)) return;
  controlled.add(world);
  await run(`unbroken, ${JSON.stringify(setup.constants)}`, setup, ({ broken }) => broken === null);
};

if (!skipped.has('correct'))
  for (const setup of CONFIGURATIONS.filter(isWanted)) await run(setup.name, setup, ({ broken }) => broken === null);
if (!skipped.has('reached'))
  for (const { never, what, where } of REACHED) {
    const setup = CONFIGURATIONS.find(({ name }) => name === where)!;
    if (isWanted(setup)) await run(`reached in "${where}": ${what}`, setup, ({ broken }) => broken === never, never);
  }
if (!skipped.has('mutations'))
  for (const { name, harmless, ...setup } of MUTATIONS.filter(isWanted)) {
    await control(setup);
    await run(
      name,
      { ...setup, constants: { ...setup.constants, Mutation: `"${name}"` } },
      ({ broken }) => (broken === null) === (harmless !== undefined),
    );
  }
if (!skipped.has('known'))
  for (const { name, ...setup } of KNOWN.filter(isWanted)) await run(name, setup, ({ broken }) => broken !== null);
process.exitCode = failures > 0 ? 1 : 0;
