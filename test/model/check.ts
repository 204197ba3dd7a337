/** Runs TLC over one configuration of a model. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installTlc } from '../support/services/install-tlc.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';

export type ModelName = 'Settling' | 'Publishing';

export type Setup = {
  readonly model: ModelName;
  /** Values of the model's constants, over those of `DEFAULTS`. */
  readonly constants: Readonly<Record<string, string | number>>;
  /** An invariant that does not hold there, told as a story in docs/model.md. */
  readonly without?: string;
  /** Check that it always comes to rest, under fairness, instead of the invariants. */
  readonly liveness?: boolean;
};

export type Finding = {
  /** What was violated; null: nothing. */
  readonly broken: string | null;
  readonly states: number;
  readonly depth: number;
  readonly seconds: number;
  /** Steps of the counterexample, in words of the model. */
  readonly steps: readonly string[];
  readonly output: string;
};

const DEFAULTS: Record<ModelName, Record<string, string | number>> = {
  Settling: {
    Workers: '{w1, w2}',
    FirstOwner: 'w1',
    Partitions: 1,
    Shards: 2,
    Records: 1,
    TopicIds: 1,
    Starts: '{0}',
    Series: 1,
    Limit: 1,
    Rebalances: 0,
    Crashes: 0,
    Lates: 0,
    Losses: 0,
    Remakes: 0,
    Prefetches: 0,
    Ticks: 0,
    Lowers: 0,
    Slows: 0,
    Cuts: 0,
    Mutation: '"none"',
  },
  Publishing: {
    Replicas: '{r1, r2}',
    FirstOwner: 'r1',
    FirstWanted: 'r1',
    Begun: 0,
    Records: 1,
    Lease: 2,
    Hold: 2,
    End: 3,
    Handovers: 0,
    Losses: 0,
    Forgotten: 'FALSE',
    Window: 1,
    Remembers: 'FALSE',
    Suspensions: 0,
    ClockSteps: 0,
    Zombies: 0,
    Renewals: 0,
    Mutation: '"none"',
  },
};

const PROPERTIES: Record<ModelName, string> = {
  Settling:
    'INVARIANTS LimitHolds SumsAgree TotalsAreTheRecords OneStart Truth CommitIsCovered NotCountedAgain NoFalseAlarm NoOverflow\nPROPERTIES MarkersRise CommitRises',
  Publishing: 'INVARIANTS OneOwner NeverLower BornAtZero HoldIsWhole',
};

/** `invariant`: check this one alone. Rejects where TLC itself fails: an error in the model, or no memory. */
export async function check(setup: Setup, invariant?: string): Promise<Finding> {
  const { java, jar } = await installTlc();
  const directory = scratchDirectory('model');
  try {
    const configuration = join(directory, 'model.cfg');
    writeFileSync(configuration, textOf(setup, invariant));
    const began = performance.now();
    const output = await runTlc(java, [
      '-Xmx2g',
      '-XX:+UseSerialGC',
      '-XX:TieredStopAtLevel=4',
      `-Djava.io.tmpdir=${directory}`,
      '-cp',
      jar,
      'tlc2.TLC',
      '-workers',
      '1',
      // Settling must come to rest nowhere but at the end; publishing has time, which ends.
      ...(setup.model === 'Publishing' ? ['-deadlock'] : []),
      '-metadir',
      join(directory, 'states'),
      '-config',
      configuration,
      `${setup.model}.tla`,
    ]);
    return { ...read(output), seconds: (performance.now() - began) / 1000, output };
  } finally {
    removeScratch(directory);
  }
}

const textOf = ({ model, constants: given, liveness, without }: Setup, invariant?: string): string => {
  const values = { ...DEFAULTS[model], ...given };
  const lines = Object.entries(values).map(([name, value]) => `  ${name} = ${value}`);
  const names = [...new Set([...String(values.Workers ?? values.Replicas).matchAll(/\w+/g)].map(([name]) => name))];
  const properties = liveness
    ? 'PROPERTIES ComesToRest'
    : invariant
      ? `INVARIANTS ${invariant}`
      : PROPERTIES[model].replace(without ?? '', '');
  if (!names.includes(String(values.FirstOwner)))
    throw new Error(`${values.FirstOwner} is none of ${names.join(', ')}`);
  return `CONSTANTS\n${lines.join('\n')}\nSPECIFICATION ${liveness ? 'FairSpec' : 'Spec'}\n${properties}\n`;
};

const runTlc = (java: string, args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(java, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'pipe'] });
    const stop = () => child.kill('SIGKILL');
    process.once('exit', stop);
    let output = '';
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (cause) => reject(new Error(`${java} cannot be run: ${cause.message}`, { cause })));
    child.on('close', () => {
      process.off('exit', stop);
      resolve(output);
    });
  });

const BROKEN = [
  /Invariant (\w+) is violated/,
  /Action property (\w+) is violated/,
  /Action property line (\d+)/,
  /(Deadlock) reached/,
  /(Temporal properties) were violated/,
];

const read = (output: string): Omit<Finding, 'seconds' | 'output'> => {
  const broken = BROKEN.map((pattern) => pattern.exec(output)?.[1]).find((name) => name !== undefined) ?? null;
  if (broken === null && !output.includes('No error has been found'))
    throw new Error(`TLC failed:\n${output.slice(output.indexOf('Error:')).slice(0, 1500)}`);
  const steps = [...output.matchAll(/^State \d+: <(\w+)/gm)].map(([, step]) => step!);
  const states = [...output.matchAll(/, (\d+) distinct states found/g)].at(-1)?.[1];
  const depth = /depth of the complete state graph search is (\d+)/.exec(output)?.[1];
  return { broken, states: Number(states ?? 0), depth: Number(depth ?? 0), steps };
};
