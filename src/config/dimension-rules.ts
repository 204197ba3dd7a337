/**
 * Dimensions as a file, the environment or the API holds them:
 *
 *   dimensions = { <[scope.]attribute>: rule, ... }
 *   rule       = <label>, empty or null: the attribute's name
 *              | { label: <text>, default: <text>, regex: <RE2>, lowercase: <flag>, map: { <value>: <text>, ... },
 *                  max_length: <bytes> }              each may be left out
 *
 * Maps are pairs in file order by the time they are here, or objects of JSON.
 */
import { FormatError, readEach } from './format-error.ts';
import type { Pairs } from './scalars.ts';

export type DimensionRule = {
  /** Empty: the attribute's name. */
  readonly label: string;
  readonly default?: string;
  readonly regex?: string;
  readonly lowercase?: boolean;
  readonly map?: Pairs;
  readonly maxLength?: number;
};

export type DimensionEntries = readonly (readonly [key: string, rule: string | DimensionRule])[];

const MAX_DEFAULT = 256;
const MAX_MAPPED = 1_000;
const MAX_BYTES = 65_536;

const fail = (message: string): never => {
  throw new FormatError(message);
};

/** Null: it is no map. */
export const pairsOf = (value: unknown): readonly (readonly [unknown, unknown])[] | null => {
  if (value instanceof Map) return [...value];
  if (Array.isArray(value)) {
    const isPairs = value.every((pair) => Array.isArray(pair) && pair.length === 2);
    return isPairs ? (value as readonly (readonly [unknown, unknown])[]) : null;
  }
  return typeof value === 'object' && value !== null ? Object.entries(value) : null;
};

const textOf = (value: unknown, name: string): string => {
  if (typeof value !== 'string') return fail(`${name} must be text; put it in quotes`);
  return value === '' ? fail(`${name} must not be empty`) : value;
};

const mapOf = (value: unknown, name: string): Pairs => {
  const pairs = pairsOf(value) ?? fail(`${name} must be a map from text to text`);
  if (pairs.length === 0 || pairs.length > MAX_MAPPED) fail(`${name} must hold 1 to ${MAX_MAPPED} values`);
  return pairs.map(([from, to]) => {
    if (typeof from !== 'string' || (typeof to !== 'string' && to !== null))
      fail(`${name} must be a map from text to text; put its texts in quotes`);
    return [from as string, (to ?? '') as string] as const;
  });
};

const lengthOf = (value: unknown, name: string): number => {
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MAX_BYTES) return value as number;
  return fail(`${name} must be a whole number of bytes, 1 to ${MAX_BYTES}`);
};

type Read = (value: unknown, name: string) => Partial<DimensionRule>;

const READ: Readonly<Record<string, Read>> = {
  label: (value, name) => {
    if (typeof value !== 'string') fail(`${name} must be text; put it in quotes`);
    return { label: value as string };
  },
  default: (value, name) => {
    const text = textOf(value, name);
    if (Buffer.byteLength(text) > MAX_DEFAULT) fail(`${name} must have at most ${MAX_DEFAULT} bytes`);
    return { default: text };
  },
  regex: (value, name) => ({ regex: textOf(value, name) }),
  lowercase: (value, name) => {
    if (typeof value !== 'boolean') fail(`${name} must be true or false`);
    return { lowercase: value as boolean };
  },
  map: (value, name) => ({ map: mapOf(value, name) }),
  max_length: (value, name) => ({ maxLength: lengthOf(value, name) }),
};

const ruleOf = (key: string, value: unknown): string | DimensionRule => {
  if (typeof value === 'string') return value;
  if (value === null) return '';
  const pairs =
    pairsOf(value) ?? fail(`"${key}" must be a label's name, or a map with ${Object.keys(READ).join(', ')}`);
  try {
    return combined(readEach(pairs, ([name, given]) => extraOf(key, name, given)));
  } catch (error) {
    throw error instanceof FormatError ? new FormatError(error.problems, combined(error.rest as RulePart[])) : error;
  }
};

type RulePart = Partial<DimensionRule>;

const extraOf = (key: string, name: unknown, given: unknown): RulePart => {
  const read = typeof name === 'string' && Object.hasOwn(READ, name) ? READ[name]! : null;
  if (read === null)
    return fail(`"${key}" has the unknown key "${String(name)}": there is ${Object.keys(READ).join(', ')}`);
  return given === null ? {} : read(given, `"${key}": ${name}`);
};

const combined = (parts: readonly RulePart[]): string | DimensionRule => {
  const rule: DimensionRule = Object.assign({ label: '' }, ...parts);
  return Object.keys(rule).length === 1 ? rule.label : rule;
};

/** Throws a `FormatError`, its rest the entries without what is wrong. Patterns are not looked into. */
export const dimensionEntries = (value: unknown): DimensionEntries => {
  const pairs = pairsOf(value) ?? fail('must be a map from attribute to label (where it is one text: a JSON object)');
  return readEach(pairs, ([key, rule]) => {
    if (typeof key !== 'string') return fail('must be a map from attribute to label; put its texts in quotes');
    try {
      return [key, ruleOf(key, rule)] as const;
    } catch (error) {
      if (!(error instanceof FormatError) || error.rest === undefined) throw error;
      throw new FormatError(error.problems, [key, error.rest]);
    }
  });
};

/** As a file would have it. */
export const dimensionRuleShown = (rule: string | DimensionRule): unknown => {
  if (typeof rule === 'string') return rule;
  const { label, default: fallback, regex, lowercase, map, maxLength } = rule;
  return {
    ...(label === '' ? {} : { label }),
    ...(regex === undefined ? {} : { regex }),
    ...(lowercase === undefined ? {} : { lowercase }),
    ...(map === undefined ? {} : { map: Object.fromEntries(map) }),
    ...(maxLength === undefined ? {} : { max_length: maxLength }),
    ...(fallback === undefined ? {} : { default: fallback }),
  };
};
