/** The lean share of `npm run fuzz`: every parser, whatever it is given, decodes or refuses, and in time. */
import { expect, jest, test } from '@jest/globals';
import { RECORD_TARGETS } from '../fuzz/records.ts';
import { fuzz, type Target } from '../fuzz/target.ts';
import { WIRE_TARGETS } from '../fuzz/wire.ts';

jest.setTimeout(60_000);

const COUNT = 150;

test.each([...RECORD_TARGETS, ...WIRE_TARGETS].map((target) => [target.name, target] as const))(
  '%s',
  async (_, target: Target) => {
    const { tried, outcomes } = await fuzz(target, 20_261_121, COUNT);
    expect(tried).toBeGreaterThanOrEqual(target.seeds.length);
    expect(Object.values(outcomes).reduce((sum, times) => sum + times, 0)).toBe(tried);
  },
);
