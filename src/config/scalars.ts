/**
 * Parsers of values: from what a file or the environment holds to what the service works with. Every parser takes
 * strings (the environment has nothing else) and what YAML makes of an unquoted scalar. It throws a `FormatError` whose
 * message completes the sentence "<path> ...".
 */
import { FormatError } from './format-error.ts';

/** Bounds and choices that a setting adds to its format. */
export type Constraints = {
  readonly choices?: readonly string[];
  /** In the unit of the parsed value: ms, bytes or a plain number. */
  readonly min?: number;
  readonly max?: number;
  /** What each text, or each item of a list, must match; `expected` says it in words. */
  readonly pattern?: RegExp;
  readonly expected?: string;
  /** A text or a list that must not be empty. */
  readonly required?: boolean;
};

export type Pairs = readonly (readonly [string, string])[];

const fail = (message: string): never => {
  throw new FormatError(message);
};

const bounded = (value: number, constraints: Constraints, show: (value: number) => string): number => {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = constraints;
  if (value < min) fail(`must be at least ${show(min)}`);
  if (value > max) fail(`must be at most ${show(max)}`);
  return value;
};

const matching = (text: string, { pattern, expected }: Constraints): string => {
  if (pattern !== undefined && text !== '' && !pattern.test(text)) fail(`must be ${expected}`);
  return text;
};

export const parseText = (value: unknown, constraints: Constraints): string => {
  if (typeof value !== 'string') return fail('must be text; put it in quotes');
  if (constraints.required === true && value === '') fail('must not be empty');
  return matching(value, constraints);
};

export const parseChoice = (value: unknown, { choices = [] }: Constraints): string => {
  if (typeof value === 'string' && choices.includes(value)) return value;
  return fail(`must be one of ${choices.map((choice) => (choice === '' ? '""' : choice)).join(', ')}`);
};

export const parseFlag = (value: unknown): boolean => {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  return fail('must be true or false');
};

export const parseCount = (value: unknown, constraints: Constraints): number => {
  // YAML for Go, and so Tempo's documentation, has underscores in numbers; YAML 1.2 takes them for texts.
  const isDigits = typeof value === 'string' && /^\d(?:_?\d){0,15}$/.test(value);
  const number = isDigits ? Number(value.replaceAll('_', '')) : value;
  if (typeof number !== 'number' || !Number.isSafeInteger(number)) return fail('must be a whole number');
  return bounded(number, constraints, String);
};

const MS_OF: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const DURATION = /^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|ms|s|m|h|d)/;

/** Go's duration syntax plus days, in ms; null for anything else. */
const durationMs = (text: string): number | null => {
  if (text === '0') return 0;
  let total = 0;
  let rest = text;
  while (rest !== '') {
    const part = DURATION.exec(rest)?.[0];
    if (part === undefined) return null;
    const digits = /^[\d.]+/.exec(part)![0];
    total += Number(digits) * MS_OF[part.slice(digits.length)]!;
    rest = rest.slice(part.length);
  }
  return text === '' ? null : Math.round(total);
};

/** As a person would write it: 90000 -> `1m30s`. */
export const formatDuration = (ms: number): string => {
  if (ms === 0) return '0';
  let rest = ms;
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const count = Math.floor(rest / MS_OF[unit]!);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * MS_OF[unit]!;
  }
  return text;
};

export const parseDuration = (value: unknown, constraints: Constraints): number => {
  const ms = value === 0 ? 0 : typeof value === 'string' ? durationMs(value) : null;
  if (ms === null || !Number.isSafeInteger(ms)) return fail('must be a duration with units, such as 30s or 1h30m');
  return bounded(ms, constraints, formatDuration);
};

const BYTES_OF: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  kB: 1_000,
  KB: 1_000,
  MB: 1_000_000,
  GB: 1_000_000_000,
  KiB: 1_024,
  MiB: 1_048_576,
  GiB: 1_073_741_824,
};

/** 16777216 -> `16MiB`; what is no multiple of 1024 stays in bytes. */
export const formatSize = (bytes: number): string => {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    if (bytes >= BYTES_OF[unit]! && bytes % BYTES_OF[unit]! === 0) return `${bytes / BYTES_OF[unit]!}${unit}`;
  }
  return String(bytes);
};

export const parseSize = (value: unknown, constraints: Constraints): number => {
  const text = typeof value === 'number' ? String(value) : value;
  const match = typeof text === 'string' ? /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(text) : null;
  const factor = match === null ? undefined : BYTES_OF[match[2]!];
  const bytes = factor === undefined ? Number.NaN : Number(match![1]) * factor;
  if (!Number.isSafeInteger(bytes)) return fail('must be a size, such as 16MiB or a number of bytes');
  return bounded(bytes, constraints, formatSize);
};

export const parseList = (value: unknown, constraints: Constraints): readonly string[] => {
  const items = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : value;
  if (!Array.isArray(items)) return fail('must be a list');
  const given = typeof value === 'string' ? items.filter((item) => item !== '') : items;
  if (given.some((item) => typeof item !== 'string' || item === '')) fail('must be a list of texts that are not empty');
  const texts = given as readonly string[];
  if (constraints.required === true && texts.length === 0) fail('must not be empty');
  for (const text of texts) {
    if (constraints.pattern?.test(text) === false) fail(`must hold ${constraints.expected} only`);
  }
  const twice = texts.find((text, i) => texts.indexOf(text) !== i);
  if (twice !== undefined) fail('must not hold the same item twice');
  return texts;
};

export const pairsOfJson = (text: string): unknown => {
  try {
    const parsed: unknown = JSON.parse(text);
    const isMap = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
    return isMap ? Object.entries(parsed) : null;
  } catch {
    return null;
  }
};

/** Pairs in file order, or a JSON object as text. A null value is an empty text, as in a Tempo file. */
export const parsePairs = (value: unknown): Pairs => {
  const pairs = typeof value === 'string' ? pairsOfJson(value) : value;
  if (!Array.isArray(pairs)) return fail('must be a map of texts (where it is one text: a JSON object)');
  return pairs.map(([key, text]: [unknown, unknown]) => {
    if (typeof key !== 'string' || (typeof text !== 'string' && text !== null)) fail('must be a map from text to text');
    return [key as string, (text ?? '') as string] as const;
  });
};
