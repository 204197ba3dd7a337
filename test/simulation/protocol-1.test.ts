import { expect, test } from '@jest/globals';
import { simulate } from './simulate.ts';

test('schedules 1 to 2,500 over the embedded ledger: every invariant holds', async () => {
  const { schedules, faults, records, samples } = await simulate(1, 2_500);
  expect(schedules).toBe(2_500);
  expect(faults).toBeGreaterThan(10_000);
  expect(records).toBeGreaterThan(200_000);
  expect(samples).toBeGreaterThan(50_000);
}, 1_200_000);
