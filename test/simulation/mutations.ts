/**
 * Breaks the house on purpose, one way at a time, in a copy of it, and shows which schedule finds each:
 * `npm run simulate:mutations [-- --only TEXT] [--count N] [--part I/N]`. Exit code 1 where one is not found.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MUTATIONS, type Mutation } from './mutation-list.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    count: { type: 'string', default: '2000' },
    part: { type: 'string', default: '0/1' },
  },
});

const root = new URL('../..', import.meta.url).pathname;

type Finding = { readonly seed: number; readonly message: string } | null;

/** What the first failing seed says; null: none fails. */
const search = (directory: string, { publishing }: Mutation): Finding => {
  const run = spawnSync(
    process.execPath,
    [
      join(directory, 'test/simulation/run.ts'),
      '--count',
      values.count,
      '--failures',
      '1',
      '--no-shrink',
      ...(publishing ? ['--publishing'] : []),
    ],
    { cwd: directory, encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const match = /^seed (\d+): (?:Error: )?(.*)$/m.exec(run.stdout);
  if (match !== null) return { seed: Number(match[1]), message: match[2]! };
  if (run.status !== 0)
    return {
      seed: 0,
      message: `it stops: ${run.stderr
        .trim()
        .split('\n')
        .find((line) => line.includes('Error'))}`,
    };
  return null;
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
    for (const part of ['src', 'test', 'package.json', 'tsconfig.json'])
      cpSync(join(root, part), join(directory, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
    breakIt(directory, mutation);
    const found = search(directory, mutation);
    if (found === null) missed++;
    const cells = [
      mutation.what,
      mutation.file,
      found === null ? 'NOT FOUND' : String(found.seed),
      found?.message ?? '',
    ];
    process.stdout.write(`| ${cells.map((cell) => cell.slice(0, 110).replaceAll('|', '/')).join(' | ')} |\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
process.exit(missed > 0 ? 1 : 0);
