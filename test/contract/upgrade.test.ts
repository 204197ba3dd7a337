/** An older format becomes the present one, on a real server: with a format and a migration made up for it. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { runUpgrade } from '../../src/commands/state-upgrade.ts';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { LEDGER_FORMAT, LedgerRefused, SHARDS } from '../../src/ledger/port.ts';
import { RedisConnection } from '../../src/ledger/redis-connection.ts';
import type { RedisLedger } from '../../src/ledger/redis-ledger.ts';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import type { Migration } from '../../src/ledger/upgrade.ts';
import { sharedRedis } from '../support/shared-servers.ts';
import { account, add, begin, idOf, SHARD } from './calls.ts';
import { IDENTITY, newPrefix } from './fixture.ts';

const NEXT = LEDGER_FORMAT + 1;
const A = account('a');
const url = sharedRedis('redis');
let admin: Redis;
let redis: RedisConnection;
let ledger: RedisLedger;
let prefix: string;

beforeAll(() => {
  admin = new Redis(url);
  redis = new RedisConnection({ url });
});
afterAll(async () => {
  admin.disconnect();
  await redis.close();
});

beforeEach(async () => {
  prefix = newPrefix();
  ledger = openRedisLedger({ url, keyPrefix: prefix });
  await ledger.claim(IDENTITY);
  await begin(ledger);
  await begin(ledger, 9);
  await add(ledger, 0, A, { x: [7, 1] });
  await add(ledger, 1, A, { x: [3, 1], y: [1, 1] });
});
afterEach(() => ledger.close());

let broken = 0;
/** Amounts get another name. `broken`: how often it ends before it is done. */
const RENAME: Migration = {
  from: LEDGER_FORMAT,
  what: 'totals are called sums',
  shard: async (connection, keys, shard) => {
    for (const member of (await connection.call('zrange', keys.shard(shard).tenants, 0, -1)) as Buffer[]) {
      const [tenant, tracker] = String(member).split(':');
      const { totals } = keys.account(shard, { tenant: tenant!, tracker: tracker! });
      const held = await connection.call('hget', totals, 'total');
      if (held !== null) await connection.call('hset', totals, 'sum', String(held));
      if (broken-- > 0) throw new Error('the line was cut');
      await connection.call('hdel', totals, 'total');
    }
  },
};

const run = async (how: { dryRun?: boolean; to?: number; migrations?: readonly Migration[] } = {}) => {
  const lines: string[] = [];
  const io = {
    env: {},
    out: (line: string) => void lines.push(line),
    err: (line: string) => void lines.push(`! ${line}`),
  };
  const code = await runUpgrade(redis, prefix, io, { dryRun: false, to: NEXT, migrations: [RENAME], ...how });
  return { code, said: lines.join('\n') };
};

const formats = async (): Promise<(string | null)[]> => {
  const keys = ledgerKeys(prefix);
  const all = [keys.ledger, keys.shard(SHARD).meta, keys.shard(9).meta, keys.shard(10).meta];
  return Promise.all(all.map((key) => admin.hget(key, 'format')));
};
const [old, next] = [String(LEDGER_FORMAT), String(NEXT)];
const totals = () => admin.hgetall(ledgerKeys(prefix).account(SHARD, A).totals);

test('every shard and the record of the whole, and nothing but what the migration changes', async () => {
  const before = await totals();
  const rows = await ledger.page(SHARD, A, null, 10);
  expect(await run({ dryRun: true })).toEqual({
    code: 0,
    said: expect.stringContaining('2 shards would be upgraded; nothing was changed'),
  });
  expect([await totals(), await formats()]).toEqual([before, [old, old, old, null]]);
  const { code, said } = await run();
  expect(said).toContain(`format ${old} in 2 shards and the record of the whole\n1 to 2: totals are called sums\n`);
  expect(said).toContain(`upgraded 2 shards to format ${next}`);
  expect(code).toBe(0);
  expect(await formats()).toEqual([next, next, next, null]);
  const { total, ...rest } = before;
  expect(await totals()).toEqual({ ...rest, sum: total });
  expect(rows!.rows.map(({ id }) => id).sort(Buffer.compare)).toEqual([idOf('x'), idOf('y')].sort(Buffer.compare));
  expect(await run()).toEqual({ code: 0, said: expect.stringContaining('nothing to do') });
});

test('an older replica that was forgotten is refused at its next call, also half-way, and counts nothing', async () => {
  broken = 1;
  await expect(run()).rejects.toThrow('the line was cut');
  expect(await formats()).toEqual([old, `${old}>${next}`, old, null]);
  await expect(add(ledger, 2, A, { x: [1, 1] })).rejects.toThrow('run `tracetally state upgrade` again');
  await expect(ledger.page(SHARD, A, null, 10)).rejects.toThrow(LedgerRefused);
  expect((await run()).said).toContain(`format ${old}>${next} (not finished) in 1 shards`);
  expect(await totals()).toMatchObject({ sum: '11 3' });
  await expect(add(ledger, 2, A, { x: [1, 1] })).rejects.toThrow('Run the newer version of Tracetally again');
  expect(await totals()).toMatchObject({ sum: '11 3' });
});

test('not while replicas run', async () => {
  await ledger.signIn('replica-7', 15_000);
  expect(await run()).toEqual({
    code: 1,
    said: expect.stringContaining('! replicas run: replica-7. Stop all of them'),
  });
  await ledger.signOut('replica-7');
  expect((await run()).code).toBe(0);
});

test('a newer format is refused, and one that there is no way from', async () => {
  expect(await run({ to: LEDGER_FORMAT, migrations: [] })).toMatchObject({ code: 0 });
  await admin.hset(ledgerKeys(prefix).shard(9).meta, 'format', '7');
  expect(await run()).toEqual({
    code: 1,
    said: `! format 7 is of a newer version than this one, which writes format ${NEXT}: use that version`,
  });
  await admin.hset(ledgerKeys(prefix).shard(9).meta, 'format', '0');
  expect(await run()).toEqual({
    code: 1,
    said: expect.stringContaining('! this version knows no way from format 0 to 2'),
  });
  prefix = newPrefix();
  expect(await run()).toEqual({ code: 1, said: expect.stringContaining('! there is no ledger') });
});

test('over several formats, and of a shard that Redis lost and that came back older', async () => {
  const further: Migration = { from: NEXT, what: 'nothing', shard: async () => {} };
  const both = { to: NEXT + 1, migrations: [RENAME, further] };
  expect((await run(both)).code).toBe(0);
  expect(await formats()).toEqual(['3', '3', '3', null]);
  await admin.hset(ledgerKeys(prefix).shard(9).meta, 'format', next);
  expect((await run(both)).said).toContain('upgraded 1 shards');
  expect(await formats()).toEqual(['3', '3', '3', null]);
  expect(SHARDS).toBe(64);
});
