/** From a file and the environment to a `Config`, or to everything that is wrong with them. */
import { readFileSync } from 'node:fs';
import { build, type Contents } from './build.ts';
import type { Config } from './config.ts';
import { distance, type Environment, type Problems, readDocument } from './document.ts';
import { FormatError } from './format-error.ts';
import { FORMATS } from './formats.ts';
import { crossProblems } from './rules.ts';
import { layered, place, ROWS, type Row, type Values } from './schema.ts';
import { contentProblems, shownFile } from './secrets.ts';

export type Source = {
  /** Path of the YAML file; absent: defaults and the environment alone. */
  readonly file?: string | undefined;
  readonly env: Environment;
  /** Reads a file as text, or throws. */
  readonly read?: (path: string) => string;
  /** The files that settings name are on another machine: they are not looked into. */
  readonly isElsewhere?: boolean;
};

export type Loaded =
  | {
      readonly config: Config;
      /** The same in the words of the file. */
      readonly values: Values;
      /** Likely mistakes that are no errors. */
      readonly warnings: readonly string[];
    }
  /** At least one, each with its path. They hold no secret. */
  | { readonly problems: readonly string[] };

type Reader = (path: string) => string;

const reason = (error: unknown): string => {
  const code = (error as { code?: unknown }).code;
  if (code === 'ENOENT') return 'there is no such file';
  return typeof code === 'string' ? code : (error as Error).message;
};

const readText = (path: string, read: Reader, failed: (why: string) => void): string | null => {
  try {
    return read(path);
  } catch (error) {
    failed(reason(error));
    return null;
  }
};

const readRaw = (source: Source, read: Reader, problems: Problems, notes: string[]): object => {
  if (source.file === undefined) return {};
  const text = readText(source.file, read, (why) => problems.push(`${source.file}: cannot be read: ${why}`));
  return text === null ? {} : readDocument(text, source.file, source.env, problems, notes);
};

const shown = (row: Row, value: unknown): string => {
  // What is wrong in a map is named by its key.
  const isMap = Array.isArray(value) && value.length > 0 && value.every(Array.isArray);
  if (row.sensitive === true || isMap) return '';
  // Credentials may have been put before a host where none belong.
  const text = (JSON.stringify(value) ?? String(value)).replace(/[^"\s,/]*@/g, '********@');
  return `; it is ${text.length > 100 ? `${text.slice(0, 100)}...` : text}`;
};

/** `value`: where it is ill-formed, what is left of it, or the default. */
const parse = (
  row: Row,
  value: unknown,
  env: Environment,
  problems: Problems,
): { value: unknown; isSound: boolean } => {
  const format = FORMATS[row.format];
  try {
    return { value: format(value, row), isSound: true };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    const origin = env[row.env] === undefined ? '' : ` (from ${row.env})`;
    problems.push(...error.problems.map((problem) => `${row.path}: ${problem}${shown(row, value)}${origin}`));
    return { value: error.rest ?? format(row.default, row), isSound: false };
  }
};

/** A setting that is ill-formed has what is left of it, or its default, in the values and its path in `bad`. */
const parseAll = (raw: object, env: Environment, problems: Problems): { values: Values; bad: readonly string[] } => {
  const rawOf = layered(raw, env);
  const values: Record<string, unknown> = {};
  const bad: string[] = [];
  for (const row of ROWS) {
    const { value, isSound } = parse(row, rawOf(row), env, problems);
    if (!isSound) bad.push(row.path);
    place(values, row.path, value);
  }
  return { values: values as Values, bad };
};

const textAt = (values: Values, path: string): string => {
  let node: unknown = values;
  for (const key of path.split('.')) node = (node as Record<string, unknown>)[key];
  return node as string;
};

const readContents = (values: Values, read: Reader, problems: Problems): Contents => {
  const contents = new Map<string, string>();
  for (const { path, sensitive } of ROWS.filter((row) => row.path.endsWith('_file'))) {
    const file = textAt(values, path);
    if (file === '') continue;
    const name = sensitive === true ? shownFile(file) : `the file ${file}`;
    const text = readText(file, read, (why) => problems.push(`${path}: ${name} cannot be read: ${why}`));
    if (text?.trim() === '') problems.push(`${path}: ${name} is empty`);
    if (text !== null) contents.set(path, text);
  }
  problems.push(...contentProblems(contents));
  return contents;
};

/** Variables that look like ours with a slip. (Kubernetes adds others that begin like ours: those are left alone.) */
const nearMisses = (env: Environment): readonly string[] => {
  const known = new Set(ROWS.map((row) => row.env));
  return Object.keys(env)
    .filter((name) => name.startsWith('TRACETALLY_') && name.length < 100 && !known.has(name))
    .flatMap((name) => {
      const row = ROWS.find((candidate) => distance(candidate.env, name) <= 2);
      return row === undefined ? [] : [`the variable ${name} means nothing; ${row.env} is a setting`];
    });
};

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
};

/**
 * Never throws for anything that a file or the environment can hold. `further` tells what else is wrong with a
 * configuration, in which ill-formed settings have their defaults: so that all problems come at once.
 */
export const loadConfig = (source: Source, further: (config: Config) => readonly string[] = () => []): Loaded => {
  const read = source.read ?? ((path: string) => readFileSync(path, 'utf8'));
  const problems: Problems = [];
  const notes: string[] = [];
  const raw = readRaw(source, read, problems, notes);
  const { values, bad } = parseAll(raw, source.env, problems);
  problems.push(...crossProblems(values, bad));
  const contents = source.isElsewhere === true ? new Map() : readContents(values, read, problems);
  const config = freeze(build(values, contents));
  problems.push(...further(config));
  if (problems.length > 0) return { problems };
  return { config, values: freeze(values), warnings: [...notes, ...nearMisses(source.env)] };
};
