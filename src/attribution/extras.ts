/**
 * What a dimension may do with a value before it becomes a label; all of it is ours, Tempo has none:
 *
 *   regex -> lowercase -> map -> max_length        what is empty then, or does not match, is missing
 *   default                                        the label's value where every source is missing
 *
 * Operators write patterns and clients write the values, so patterns are RE2's (time linear in the value; no
 * back-references, no look-around), small, and see the beginning of a value alone. Runs when a value is first seen, not
 * for every span.
 */
import { RE2JS } from 're2js';
import { cutUtf8 } from './label-value.ts';

export type Extras = {
  /** The value of the label where it would be missing. */
  readonly default?: string;
  /** The first group of the first match is taken, or all of the match where there is no group. */
  readonly regex?: string;
  readonly lowercase?: boolean;
  /** Whole values and what takes their place; empty: missing. What is not named stays. */
  readonly map?: readonly (readonly [value: string, instead: string])[];
  /** Bytes of UTF-8; a longer value is cut before the code point that would pass it. */
  readonly maxLength?: number;
};

/** Empty: missing. */
export type Rewrite = (text: string) => string;

/** UTF-16 units of a value that a pattern sees. */
export const PATTERN_SEES = 512;
/** Instructions of a compiled pattern: with the bound above, a few ms for the worst value. */
const MAX_PROGRAM = 500;
const MAX_PATTERN = 1_000;

/** Null: it can be used. Completes a sentence that begins with the pattern's name. */
export const patternProblem = (pattern: string): string | null => {
  if (pattern.length > MAX_PATTERN) return `must have at most ${MAX_PATTERN} characters`;
  // Writing them out takes a second for what a thousand characters can ask for.
  if (repetitions(pattern) > MAX_PROGRAM) return TOO_LARGE;
  try {
    return RE2JS.compile(pattern).programSize() <= MAX_PROGRAM ? null : TOO_LARGE;
  } catch (error) {
    return `is no regular expression of RE2 (${(error as Error).message})`;
  }
};

const TOO_LARGE = 'is too large once its repetitions are written out';

/** Copies that counted repetitions make, those within others not multiplied: no less than a part of the program. */
const repetitions = (pattern: string): number => {
  let copies = 0;
  for (const [, least, most] of pattern.matchAll(/\{(\d+)(?:,(\d*))?\}/g))
    copies += Math.max(Number(least), Number(most || 0));
  return copies;
};

/** Null: values stay as they are. The pattern must have no `patternProblem`. */
export const compileRewrite = ({ regex, lowercase, map, maxLength }: Extras): Rewrite | null => {
  const steps: Rewrite[] = [];
  if (regex !== undefined) steps.push(extraction(regex));
  if (lowercase === true) steps.push((text) => text.toLowerCase());
  if (map !== undefined) {
    const instead = new Map(map);
    steps.push((text) => instead.get(text) ?? text);
  }
  if (maxLength !== undefined) steps.push((text) => cutUtf8(text, maxLength));
  if (steps.length === 0) return null;
  return (text) => {
    let value = text;
    for (const step of steps) if (value !== '') value = step(value);
    return value;
  };
};

const extraction = (regex: string): Rewrite => {
  const pattern = RE2JS.compile(regex);
  const group = pattern.groupCount() > 0 ? 1 : 0;
  return (text) => {
    const matcher = pattern.matcher(beginning(text));
    return matcher.find() ? (matcher.group(group) ?? '') : '';
  };
};

/** Does not end inside a code point. */
const beginning = (text: string): string => {
  if (text.length <= PATTERN_SEES) return text;
  const last = text.charCodeAt(PATTERN_SEES - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? PATTERN_SEES - 1 : PATTERN_SEES);
};
