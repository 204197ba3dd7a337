/**
 * During a rolling update replicas of two versions write to one ledger. Whichever of them makes a call, answers and state
 * are those of one version alone; and the previous version keeps the contract beside the present one.
 */
import { afterAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sharedRedis } from '../support/shared-servers.ts';
import { memoryFixture, newPrefix } from './fixture.ts';
import { describeLedger } from './ledger-contract.ts';
import { neighboursFixture } from './neighbours.ts';
import { holdEqual, lastingOperations, Side } from './operations.ts';

let turns: readonly boolean[] = [true];
let calls = { previous: 0, present: 0 };
const usePrevious = (): boolean => {
  const turn = turns[(calls.previous + calls.present) % turns.length]!;
  if (turn) calls.previous++;
  else calls.present++;
  return turn;
};

const memory = memoryFixture();
const neighbours = await neighboursFixture(sharedRedis('redis'), usePrevious);
afterAll(() => Promise.all([memory, neighbours].map((fixture) => fixture.stop())));

test('callers of two versions are answered as those of one', async () => {
  calls = { previous: 0, present: 0 };
  const anyTurns = fc.array(fc.boolean(), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(lastingOperations, anyTurns, async (steps, drawn) => {
      turns = drawn;
      const prefix = newPrefix();
      const [one, other] = [new Side(memory, prefix), new Side(neighbours, prefix)];
      try {
        await holdEqual([one, other], steps);
      } finally {
        await other.ledger.close();
      }
    }),
    { numRuns: Number(process.env.TRACETALLY_TEST_RUNS ?? 40) },
  );
  expect(Math.min(calls.previous, calls.present)).toBeGreaterThan(100);
}, 300_000);

let alternate = false;
describeLedger(
  'Redis, every other call by the previous version',
  () =>
    neighboursFixture(sharedRedis('redis'), () => {
      alternate = !alternate;
      return alternate;
    }),
  { latest: false },
);
