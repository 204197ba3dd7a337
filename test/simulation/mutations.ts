/**
 * Breaks the house on purpose, one way at a time, in a copy of it, and shows what finds each: a schedule, or the test that
 * the list names. `npm run simulate:mutations [-- --only TEXT] [--count N] [--part I/N] [--tests]`; `--tests`: no schedules
 * where the list names a test. Exit code 1 where one is not found.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTATIONS, type Mutation } from './mutation-list.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    count: { type: 'string', default: '3000' },
    part: { type: 'string', default: '0/1' },
    tests: { type: 'boolean', default: false },
  },
});

const root = fileURLToPath(new URL('../..', import.meta.url));
const COPIED = ['src', 'test', 'package.json', 'tsconfig.json', 'jest.config.ts'];
const LINKED = ['node_modules', '.cache'];
/** Of a run, before what hangs counts as found. */
const PATIENCE_MS = 1_200_000;

type Finding = { readonly by: string; readonly message: string } | null;

/** What the first failing seed says; null: none fails. */
const search = (directory: string, { publishing }: Mutation): Finding => {
  const script = join(directory, 'test/simulation/run.ts');
  const args = [
    script,
    '--count',
    values.count,
    '--failures',
    '1',
    '--no-shrink',
    ...(publishing ? ['--publishing'] : []),
  ];
  const run = spawnSync(process.execPath, args, {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: PATIENCE_MS,
  });
  const match = /^seed (\d+): (?:\w*Error: )?(.*)$/m.exec(run.stdout);
  if (match !== null) return { by: `seed ${match[1]}`, message: match[2]! };
  if (run.status === 0) return null;
  const error = run.stderr.split('\n').find((line) => line.includes('Error'));
  return { by: 'it stops', message: error ?? String(run.error ?? run.signal) };
};

/** The first test of the file that fails; null: none does. */
const tryTest = (directory: string, test: string): Finding => {
  const project = test.split('/')[1]!;
  const args = ['--experimental-vm-modules', '--no-warnings', 'node_modules/jest/bin/jest.js'];
  const run = spawnSync(process.execPath, [...args, '--selectProjects', project, '--runTestsByPath', test], {
    cwd: directory,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    timeout: PATIENCE_MS,
  });
  if (run.status === 0) return null;
  const failed = / ● (.*)$/m.exec(`${run.stdout}\n${run.stderr}`)?.[1];
  if (failed === undefined) throw new Error(`${test} does not run:\n${run.stdout}\n${run.stderr}`);
  return { by: test, message: failed };
};

const find = (directory: string, mutation: Mutation): Finding => {
  const { test, only } = mutation;
  const skipsSchedules = only === 'test' || (values.tests && test !== undefined);
  const found = skipsSchedules ? null : search(directory, mutation);
  return found ?? (test === undefined ? null : tryTest(directory, test));
};

const breakIt = (directory: string, mutation: Mutation): void => {
  for (const { file, from, to } of mutation.also === undefined ? [mutation] : [mutation, mutation.also]) {
    const path = join(directory, file);
    const source = readFileSync(path, 'utf8');
    if (source.split(from).length !== 2) throw new Error(`${file} has not exactly one: ${from}`);
    writeFileSync(
      path,
      source.replace(from, () => to),
    );
  }
};

let missed = 0;
const [part, parts] = values.part.split('/').map(Number) as [number, number];
for (const [index, mutation] of MUTATIONS.entries()) {
  if (!mutation.what.includes(values.only) || index % parts !== part) continue;
  const directory = mkdtempSync(join(tmpdir(), 'tracetally-mutation-'));
  try {
    for (const path of COPIED) cpSync(join(root, path), join(directory, path), { recursive: true });
    for (const path of LINKED) if (existsSync(join(root, path))) symlinkSync(join(root, path), join(directory, path));
    breakIt(directory, mutation);
    const found = find(directory, mutation);
    if (found === null) missed++;
    const cells = [mutation.what, mutation.file, found?.by ?? 'NOT FOUND', found?.message ?? ''];
    process.stdout.write(`| ${cells.map((cell) => cell.slice(0, 110).replaceAll('|', '/')).join(' | ')} |\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
process.exit(missed > 0 ? 1 : 0);
