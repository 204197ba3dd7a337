import { expect, test } from '@jest/globals';
import { simulate } from './simulate.ts';

test('schedules 7,501 to 10,000 over the embedded ledger: every invariant holds', async () => {
  const { schedules, faults, records, samples } = await simulate(7_501, 2_500);
  expect(schedules).toBe(2_500);
  expect(faults).toBeGreaterThan(10_000);
  expect(records).toBeGreaterThan(200_000);
  expect(samples).toBeGreaterThan(50_000);
}, 1_200_000);
