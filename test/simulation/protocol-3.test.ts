import { expect, test } from '@jest/globals';
import { runSchedules } from './schedules.ts';

test('500 schedules of faults over the embedded ledger: every invariant holds', async () => {
  const { schedules, records } = await runSchedules(1001, 500);
  expect(schedules).toBe(500);
  expect(records).toBeGreaterThan(100_000);
}, 300_000);
