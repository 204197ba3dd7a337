import { randomUUID } from 'node:crypto';
import { afterAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import { sharedRedis } from '../support/shared-servers.ts';
import { runSchedules } from './schedules.ts';

const SCHEDULES = 50;
const url = sharedRedis();
const admin = new Redis(url);

afterAll(() => admin.disconnect());

const removeKeys = async (prefix: string): Promise<void> => {
  for (let cursor = '0'; ; ) {
    const [next, keys] = await admin.scan(cursor, 'MATCH', `*${prefix}*`, 'COUNT', 5000);
    if (keys.length > 0) await admin.unlink(...keys);
    cursor = next;
    if (cursor === '0') return;
  }
};

test(`${SCHEDULES} schedules of faults over a real Redis: every invariant holds`, async () => {
  let close = async (): Promise<void> => {};
  try {
    const { schedules } = await runSchedules(1, SCHEDULES, async () => {
      await close();
      const prefix = `simulation-${randomUUID().slice(0, 8)}`;
      const ledger = openRedisLedger({ url, keyPrefix: prefix });
      close = async () => {
        await ledger.close();
        await removeKeys(prefix);
      };
      return { ledger, trafficMs: 12_000 };
    });
    expect(schedules).toBe(SCHEDULES);
  } finally {
    await close();
  }
}, 300_000);
