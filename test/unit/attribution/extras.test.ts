import { describe, expect, test } from '@jest/globals';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { compileRewrite, type Extras, PATTERN_SEES, patternProblem } from '../../../src/attribution/extras.ts';

const rewrite = (extras: Extras, text: string): string => compileRewrite(extras)!(text);

describe('a value', () => {
  test.each<[Extras, string, string]>([
    [{ regex: '^([a-z]+)-\\d+$' }, 'cart-12', 'cart'],
    [{ regex: '[a-z]+' }, '12-cart', 'cart'],
    [{ regex: '^([a-z]+)-\\d+$' }, 'cart', ''],
    [{ regex: 'cart(-\\d+)?' }, 'cart', ''],
    [{ lowercase: true }, 'ÄB', 'äb'],
    [
      {
        map: [
          ['a', 'b'],
          ['b', 'c'],
        ],
      },
      'a',
      'b',
    ],
    [{ map: [['a', '']] }, 'a', ''],
    [{ map: [['a', 'b']] }, '__proto__', '__proto__'],
    [{ maxLength: 3 }, 'a€uro', 'a'],
    [{ regex: '^\\w+', lowercase: true, map: [['prod', 'production']], maxLength: 4 }, 'PROD/eu', 'prod'],
  ])('%j of %s is "%s"', (extras, text, expected) => {
    expect(rewrite(extras, text)).toBe(expected);
  });

  test('stays what it is without extras, and with a default alone', () => {
    expect(compileRewrite({})).toBeNull();
    expect(compileRewrite({ default: 'x' })).toBeNull();
  });

  test('is seen by a pattern up to a bound that does not fall inside a code point', () => {
    expect(rewrite({ regex: '.*' }, `${'a'.repeat(PATTERN_SEES - 1)}\u{1f600}b`)).toBe('a'.repeat(PATTERN_SEES - 1));
    expect(rewrite({ regex: 'b$' }, `${'a'.repeat(PATTERN_SEES)}b`)).toBe('');
  });
});

describe('patterns', () => {
  test.each([
    ['(?=a)', /no regular expression of RE2/],
    ['(a)\\1', /no regular expression of RE2/],
    ['(', /no regular expression of RE2/],
    ['a'.repeat(1001), /at most 1000 characters/],
    ['a{1000}'.repeat(140), /too large once its repetitions are written out/],
    ['((a{0,30}){0,30})', /too large once its repetitions are written out/],
    ['([a-z]{1,500}){1,2}', /too large once its repetitions are written out/],
  ])('%s is refused', (pattern, text) => {
    expect(patternProblem(pattern)).toMatch(text);
    const { dimensions, problems } = parseDimensions([['a', { label: 'l', regex: pattern }]], {
      sharedLabels: 'refuse',
    });
    expect(dimensions).toEqual([]);
    expect(problems.map(({ text: told }) => told)).toEqual([
      expect.stringMatching(/^cost_attribution\.dimensions: the regex of 'a' /),
    ]);
  });

  test('that would keep a backtracking engine for ever take time in proportion to the value', () => {
    for (const [pattern, letter] of [
      ['^(a+)+$', 'a'],
      ['^(a|aa)+$', 'a'],
      ['^(.*a){12}$', 'a'],
      ['(x+x+)+y', 'x'],
    ] as const)
      expect(rewrite({ regex: pattern }, `${letter.repeat(500)}!`)).toBe('');
  });
});
