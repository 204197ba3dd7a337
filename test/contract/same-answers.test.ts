/** Whatever is done to them in whatever order, the ledgers in memory and in Redis answer the same. */
import { afterAll, test } from '@jest/globals';
import fc from 'fast-check';
import { sharedRedis } from '../support/shared-servers.ts';
import { memoryFixture, newPrefix, singleFixture } from './fixture.ts';
import { holdEqual, operations, Side } from './operations.ts';

const memory = memoryFixture();
const redis = singleFixture(sharedRedis('redis'));
afterAll(() => Promise.all([memory, redis].map((fixture) => fixture.stop())));

test('memory and Redis answer the same', async () => {
  await fc.assert(
    fc.asyncProperty(operations, async (steps) => {
      const prefix = newPrefix();
      const [one, other] = [new Side(memory, prefix), new Side(redis, prefix)];
      try {
        await holdEqual([one, other], steps);
      } finally {
        await other.ledger.close();
      }
    }),
    { numRuns: Number(process.env.TRACETALLY_TEST_RUNS ?? 60) },
  );
}, 300_000);
