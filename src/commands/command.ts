/** What a command is, and what it has of the process. */
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { usageProblems } from '../overrides/static.ts';

export type Io = {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Results. Whole lines. */
  out(text: string): void;
  /** What a person must know. Whole lines. */
  err(text: string): void;
};

export type Option = {
  readonly type: 'string' | 'boolean';
  /** What help calls the value. */
  readonly value?: string;
  readonly doc: string;
};

export type Values = Readonly<Record<string, string | boolean | undefined>>;

export type Command = {
  /** Two words for a sub-command. */
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Help ends with the table of settings. */
  readonly settings?: boolean;
  /** Answers the exit code: 0, or 1 where a problem was found. */
  run(values: Values, io: Io): Promise<number>;
};

export const CONFIG_OPTION = {
  config: { type: 'string', value: 'FILE', doc: 'the configuration (YAML)' },
} as const satisfies Record<string, Option>;

export type CheckedConfig =
  | { readonly config: Config; readonly warnings: readonly string[] }
  | { readonly problems: readonly string[] };

/** The configuration of `--config` and the environment with everything that is wrong with it. */
export const checkedConfig = (values: Values, io: Io): CheckedConfig => {
  const file = typeof values.config === 'string' ? values.config : undefined;
  return loadConfig({ file, env: io.env }, usageProblems);
};

/** All problems in one list; the exit code. */
export const refuse = (problems: readonly string[], io: Io): number => {
  io.err(`the configuration has ${problems.length} problem${problems.length === 1 ? '' : 's'}:`);
  for (const problem of problems) io.err(`  ${problem}`);
  return 1;
};
