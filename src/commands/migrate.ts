/** `migrate`: our configuration for one of Tempo. */
import { readFileSync } from 'node:fs';
import { wrapped } from '../config/describe.ts';
import { loadConfig } from '../config/load.ts';
import { migrateTempo } from '../config/tempo.ts';
import { usageProblems } from '../overrides/static.ts';
import { type Command, type Io, UsageError } from './command.ts';

const comment = (line: string, indent: string): string =>
  wrapped(line, 110)
    .map((part, i) => `# ${i === 0 ? indent : '  '}${part}`)
    .join('\n');

const list = (title: string, lines: readonly string[]): readonly string[] =>
  lines.length === 0 ? [] : ['#', `# ${title}`, ...lines.map((line) => comment(line, '- '))];

/** What is wrong with the result. Variables and files are known where the service runs, not here. */
const remaining = (text: string): readonly string[] => {
  const env = Object.fromEntries([...text.matchAll(/\$\{([^}:]+)\}/g)].map(([, name]) => [name!, '1']));
  const loaded = loadConfig({ file: 'migrated', env, read: () => text, isElsewhere: true }, usageProblems);
  return 'problems' in loaded ? loaded.problems : [];
};

const readText = (file: string, io: Io): string | null => {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    io.err(`${file}: cannot be read: ${(error as Error).message}`);
    return null;
  }
};

export const migrate: Command = {
  name: 'migrate',
  summary: 'prints our configuration for one of Tempo, and what has no counterpart',
  operands: 'FILE',
  options: {},
  run: async (_, io, files) => {
    if (files.length > 1) throw new UsageError('there can be only one file');
    const [file] = files;
    const text = readText(file!, io);
    if (text === null) return 1;
    const migration = migrateTempo(text);
    if ('problem' in migration) {
      io.err(`${file}: ${migration.problem}`);
      return 1;
    }
    io.out(
      [
        `# Tracetally, from ${file}. Add kafka.* and redis.* of the pipeline that it shall read.`,
        migration.text.trimEnd(),
        ...list('To decide:', migration.notes),
        ...list('Not carried over:', migration.left),
      ].join('\n'),
    );
    const problems = remaining(migration.text);
    for (const problem of problems) io.err(`problem: ${problem}`);
    return problems.length === 0 ? 0 : 1;
  },
};
