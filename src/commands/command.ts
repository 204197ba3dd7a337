/** What a command is, and what it has of the process. */
import type { Readable } from 'node:stream';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { Values as SettingValues } from '../config/schema.ts';
import { OverridesFile } from '../overrides/source.ts';
import { usageProblems, usageWarnings } from '../overrides/static.ts';

export type Io = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results. Whole lines. */
  out(text: string): void;
  /** What a person must know. Whole lines. */
  err(text: string): void;
  readonly stdin?: Readable;
  /** The results are read by a person. */
  readonly isTerminal?: boolean;
  /** Shows a line in the place of the one shown before; an empty one takes it away. Only where a person watches. */
  progress?(line: string): void;
};

export type Option = {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: boolean;
  /** What help calls the value. */
  readonly value?: string;
  readonly doc: string;
};

export type Values = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export type Command = {
  /** Two words for a sub-command. */
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** What follows the options, as help calls it; its arguments are in `args`, at least one. */
  readonly operands?: string;
  /** There may be no operand at all. */
  readonly operandsOptional?: boolean;
  /** Help ends with the table of settings. */
  readonly settings?: boolean;
  /** Answers the exit code: 0, or 1 where a problem was found. */
  run(values: Values, io: Io, args: readonly string[]): Promise<number>;
};

export const CONFIG_OPTION = {
  config: { type: 'string', value: 'FILE', doc: 'the configuration (YAML)' },
} as const satisfies Record<string, Option>;

export type CheckedConfig =
  | { readonly config: Config; readonly values: SettingValues; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[] };

/** The command was called in a way that it does not know: `cli.ts` says so and points to its help. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The configuration of `--config` and the environment with everything that is wrong with it. */
export const checkedConfig = (values: Values, io: Io): CheckedConfig => {
  const file = typeof values.config === 'string' ? values.config : undefined;
  const loaded = loadConfig({ file, env: io.env }, usageProblems);
  if ('problems' in loaded) return loaded;
  const { problems } = new OverridesFile(loaded.config).look();
  if (problems.length > 0) return { problems };
  const { config, values: settings } = loaded;
  return { config, values: settings, warnings: [...loaded.warnings, ...usageWarnings(config)] };
};

/** All problems in one list; the exit code. */
export const refuse = (problems: readonly string[], io: Io): number => {
  io.err(`the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:`);
  for (const problem of problems) io.err(`  ${problem}`);
  return 1;
};
