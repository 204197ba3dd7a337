import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { mayAsk, NO_TOKENS } from '../../../src/publish/guard.ts';

const TOKENS = { admin: 'the-administrators-token', metrics: 'the-scrapers-own-token' };

describe('who may ask what', () => {
  test.each([
    ['/ready', '', true],
    ['/live', 'Bearer whatever', true],
    ['/usage_metrics', '', false],
    ['/usage_metrics', `Bearer ${TOKENS.metrics}`, true],
    ['/usage_metrics', `bearer  ${TOKENS.metrics} `, true],
    ['/usage_metrics', `Bearer ${TOKENS.admin}`, false],
    ['/usage_metrics', TOKENS.metrics, false],
    ['/usage_metrics', `Basic ${TOKENS.metrics}`, false],
    ['/metrics', `Bearer ${TOKENS.metrics}`, true],
    ['/metrics', `Bearer ${TOKENS.metrics}x`, false],
    ['/metrics', `Bearer ${TOKENS.metrics.slice(1)}`, false],
    ['/status', `Bearer ${TOKENS.metrics}`, false],
    ['/status', `Bearer ${TOKENS.admin}`, true],
    ['/does-not-exist', '', false],
    ['/metrics/', '', false],
    ['//metrics', `Bearer ${TOKENS.metrics}`, false],
    ['', '', false],
  ])('%s with "%s": %s', (path, header, expected) => {
    expect(mayAsk(path, header === '' ? undefined : header, TOKENS)).toBe(expected);
  });

  test('without tokens everything is open, and each token guards its own part alone', () => {
    for (const path of ['/ready', '/metrics', '/status']) expect(mayAsk(path, undefined, NO_TOKENS)).toBe(true);
    expect(mayAsk('/metrics', undefined, { admin: TOKENS.admin, metrics: '' })).toBe(true);
    expect(mayAsk('/status', undefined, { admin: '', metrics: TOKENS.metrics })).toBe(true);
  });

  test('nothing but the token opens', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 60 }), (header) => {
        fc.pre(!header.includes(TOKENS.admin));
        expect(mayAsk('/status', header, TOKENS)).toBe(false);
        expect(mayAsk('/status', `Bearer ${header}`, TOKENS)).toBe(false);
      }),
    );
  });
});
