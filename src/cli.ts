/** Which command, with which options; the commands are in commands/. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { check } from './commands/check.ts';
import { type Command, type Io, UsageError } from './commands/command.ts';
import { dlqFeed } from './commands/dlq-feed.ts';
import { dlqList } from './commands/dlq-list.ts';
import { explain } from './commands/explain.ts';
import { health } from './commands/health.ts';
import { groupHelp, helpOf, overview } from './commands/help.ts';
import { migrate } from './commands/migrate.ts';
import { replay } from './commands/replay.ts';
import { serve } from './commands/serve.ts';
import { stateForget } from './commands/state-forget.ts';
import { stateInspect } from './commands/state-inspect.ts';
import { stateSeek } from './commands/state-seek.ts';
import { stateUpgrade } from './commands/state-upgrade.ts';
import { stateVerify } from './commands/state-verify.ts';
import { tail } from './commands/tail.ts';
import { version } from './commands/version.ts';
import { harmless, inOneLine } from './telemetry/visible.ts';

export const COMMANDS: readonly Command[] = [
  serve,
  check,
  replay,
  explain,
  tail,
  dlqList,
  dlqFeed,
  migrate,
  stateInspect,
  stateVerify,
  stateSeek,
  stateForget,
  stateUpgrade,
  health,
  version,
];

const USAGE_ERROR = 2;

const wrong = (message: string, help: string, io: Io): number => {
  io.err(`${message}\n`);
  io.err(`See tracetally ${help}--help.`);
  return USAGE_ERROR;
};

const runCommand = async (command: Command, argv: readonly string[], io: Io): Promise<number> => {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, { type, multiple }] of Object.entries(command.options))
    options[name] = { type, multiple: multiple === true };
  const allowPositionals = command.operands !== undefined;
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options, strict: true, allowPositionals });
    if (values.help === true) {
      io.out(helpOf(command));
      return 0;
    }
    if (allowPositionals && command.operandsOptional !== true && positionals.length === 0)
      throw new UsageError(`${command.operands} is missing`);
    return await command.run(values as Parameters<Command['run']>[0], io, positionals);
  } catch (error) {
    if (error instanceof UsageError) return wrong(error.message, `${command.name} `, io);
    const { code, message } = error as { code?: unknown; message: string };
    if (typeof code !== 'string' || !code.startsWith('ERR_PARSE_ARGS')) throw error;
    return wrong(message, `${command.name} `, io);
  }
};

/** Programs that read results get them as they are; a terminal gets nothing that could steer it. */
const guarded = (io: Io): Io => ({
  ...io,
  out: (text) => io.out(io.isTerminal === true ? harmless(text) : text),
  err: (text) => io.err(harmless(text)),
  ...(io.progress === undefined ? {} : { progress: (line: string) => io.progress!(inOneLine(line)) }),
});

/** Answers the exit code: 0 done, 1 a problem was found, 2 wrong usage. */
export const runCli = (argv: readonly string[], io: Io): Promise<number> => run(argv, guarded(io));

const run = async (argv: readonly string[], io: Io): Promise<number> => {
  const [first = ''] = argv;
  if (first === '--help' || first === '-h' || first === 'help') {
    io.out(overview(COMMANDS));
    return 0;
  }
  if (first === '--version' || first === '-v') return version.run({}, io, []);
  if (first === '' || first.startsWith('-')) return runCommand(serve, argv, io);
  const named = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => argv[i] === word));
  if (named !== undefined) return runCommand(named, argv.slice(named.name.split(' ').length), io);
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length === 0) return wrong(`unknown command "${first}"`, '', io);
  if (argv.slice(1).some((word) => word === '--help' || word === '-h')) {
    io.out(groupHelp(first, group));
    return 0;
  }
  return wrong(`there is: ${group.map(({ name }) => name).join(', ')}`, `${first} `, io);
};
