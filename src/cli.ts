/** Which command, with which options; the commands are in commands/. */
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util';
import { check } from './commands/check.ts';
import type { Command, Io } from './commands/command.ts';
import { health } from './commands/health.ts';
import { helpOf, overview } from './commands/help.ts';
import { serve } from './commands/serve.ts';
import { stateInspect } from './commands/state-inspect.ts';
import { version } from './commands/version.ts';

export const COMMANDS: readonly Command[] = [serve, check, stateInspect, health, version];

const USAGE_ERROR = 2;

const wrong = (message: string, help: string, io: Io): number => {
  io.err(`${message}\n`);
  io.err(`See tracetally ${help}--help.`);
  return USAGE_ERROR;
};

const runCommand = async (command: Command, argv: readonly string[], io: Io): Promise<number> => {
  const options: ParseArgsOptionsConfig = { help: { type: 'boolean', short: 'h' } };
  for (const [name, { type }] of Object.entries(command.options)) options[name] = { type };
  try {
    const { values } = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false });
    if (values.help !== true) return await command.run(values as Parameters<Command['run']>[0], io);
    io.out(helpOf(command));
    return 0;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message: string };
    if (typeof code !== 'string' || !code.startsWith('ERR_PARSE_ARGS')) throw error;
    return wrong(message, `${command.name} `, io);
  }
};

/** Answers the exit code: 0 done, 1 a problem was found, 2 wrong usage. */
export const runCli = async (argv: readonly string[], io: Io): Promise<number> => {
  const [first = ''] = argv;
  if (first === '--help' || first === '-h' || first === 'help') {
    io.out(overview(COMMANDS));
    return 0;
  }
  if (first === '--version' || first === '-v') return version.run({}, io);
  if (first === '' || first.startsWith('-')) return runCommand(serve, argv, io);
  const named = COMMANDS.find(({ name }) => name.split(' ').every((word, i) => argv[i] === word));
  if (named !== undefined) return runCommand(named, argv.slice(named.name.split(' ').length), io);
  const group = COMMANDS.filter(({ name }) => name.startsWith(`${first} `)).map(({ name }) => name);
  return wrong(group.length > 0 ? `there is: ${group.join(', ')}` : `unknown command "${first}"`, '', io);
};
