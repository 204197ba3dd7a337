/** What only a server can do to a ledger: run out of memory, restart, forget scripts, refuse. On servers of its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { LedgerBroken, LedgerRefused, LedgerUnavailable } from '../../src/ledger/port.ts';
import { openRedisLedger, type RedisLedger, type RedisLedgerOptions } from '../../src/ledger/redis-ledger.ts';
import type { RedisFlavour } from '../support/services/install-redis.ts';
import { freePort } from '../support/services/ports.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import { startSentinels, untilInSync } from '../support/services/redis-cluster.ts';
import { waitUntil } from '../support/wait-for.ts';
import {
  account,
  add,
  begin,
  call,
  commit,
  entry,
  expectConserved,
  field,
  idOf,
  read,
  SHARD,
  section,
  valuesOf,
} from './calls.ts';
import { IDENTITY, newPrefix } from './fixture.ts';

// Some of these make thousands of calls, on a machine that may be busy.
jest.setTimeout(30_000);

const a = account('a');
const soon = { timeoutMs: 20_000 };

describe.each<RedisFlavour>(['redis', 'valkey'])('%s', (flavour) => {
  let server: RedisServer;
  let admin: Redis;
  let prefix: string;
  let ledger: RedisLedger;
  const opened: RedisLedger[] = [];
  const open = (options: Partial<RedisLedgerOptions> = {}): RedisLedger => {
    const one = openRedisLedger({ url: server.url, keyPrefix: prefix, commandTimeoutMs: 3_000, ...options });
    opened.push(one);
    return one;
  };
  const keysOf = () => ({ ...ledgerKeys(prefix).shard(SHARD), ...ledgerKeys(prefix).account(SHARD, a) });

  beforeAll(async () => {
    server = await startRedis({ flavour });
    admin = new Redis(server.url);
    admin.on('error', () => {});
  }, 60_000);
  afterAll(async () => {
    admin.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    prefix = newPrefix();
    ledger = open();
    await ledger.claim(IDENTITY);
    await begin(ledger);
  });
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()));
  });

  test('two replicas that race for the last places never make more, at any instant', async () => {
    const other = open();
    await other.claim(IDENTITY);
    await ledger.setMarkers(SHARD, [[field(1), 0]], 'no');
    const limited = account('a', { limit: 10 });
    let isOver = false;
    let most = 0;
    let looks = 0;
    const watch = (async () => {
      while (!isOver) {
        most = Math.max(most, await admin.hlen(keysOf().series));
        looks++;
      }
    })();
    const race = async (racer: RedisLedger, partition: number): Promise<number> => {
      let admitted = 0;
      for (let i = 0; i < 300; i++) {
        const added = entry(0, { [`${partition}-${i}-x`]: [1, 1], [`${partition}-${i}-y`]: [2, 1], 'for all': [4, 1] });
        const reply = await racer.commit(call([limited], [section(partition, i, i + 1, [added])]));
        if (reply.kind !== 'answered') throw new Error(reply.kind);
        admitted = Math.max(admitted, reply.accounts[0]!.live);
      }
      return admitted;
    };
    try {
      expect(await Promise.all([race(ledger, 0), race(other, 1)])).toEqual([10, 10]);
    } finally {
      isOver = true;
      await watch;
    }
    expect(looks).toBeGreaterThan(100);
    expect(most).toBe(10);
    await expectConserved(ledger, SHARD, a);
    expect((await read(ledger, SHARD, a))!.totals.total).toEqual([600 * 7, 600 * 3]);
  }, 30_000);

  describe('out of memory', () => {
    afterEach(() => admin.config('SET', 'maxmemory', '0'));

    test('nothing is half done, purges and leases go on, and it recovers alone', async () => {
      await add(ledger, 0, a, { x: [1, 1], y: [2, 1] });
      const state = async () => [await ledger.view(SHARD), await read(ledger, SHARD, a)];
      const before = await state();
      await admin.config('SET', 'maxmemory', '1');
      const next = call(
        [a, account('b')],
        [section(0, 1, 2, [entry(0, { x: [4, 1], z: [8, 1] }), entry(1, { x: [1, 1] })])],
      );
      await expect(ledger.commit(next)).rejects.toThrow(LedgerUnavailable);
      await expect(ledger.commit(call([], [section(0, 1, 1)]))).rejects.toThrow('OOM');
      await expect(ledger.setMarkers(6, [], 'first')).rejects.toThrow(LedgerUnavailable);
      await expect(ledger.move(SHARD, field(0), 1, 9, 'seek')).rejects.toThrow(LedgerUnavailable);
      expect(await state()).toEqual(before);
      expect(await ledger.take(SHARD, 'r', 't', 60_000)).toMatchObject({ kind: 'taken', released: false });
      expect(await ledger.renew(SHARD, 't', 60_000)).toBe(true);
      expect(await ledger.signIn('r', 60_000)).toEqual(['r']);
      expect((await ledger.purge(SHARD, a, -1, null, 100)).purged).toBe(2);
      expect(await ledger.removeAccount(SHARD, a, -1)).toBe(true);
      await ledger.release(SHARD, 't', 'other', 60_000);
      await admin.config('SET', 'maxmemory', '0');
      expect((await commit(ledger, next)).sections).toEqual([{ kind: 'applied', marker: 2 }]);
    });
  });

  test('scripts that the server has forgotten are sent again', async () => {
    await add(ledger, 0, a, { x: [1, 1] });
    await admin.script('FLUSH');
    await add(ledger, 1, a, { x: [1, 1] });
    expect(await valuesOf(ledger, a, 'x')).toEqual([[2, 2]]);
  });

  test('a kill -9 and a restart keep everything that was answered; the ledger connects again alone', async () => {
    const ups: boolean[] = [];
    ledger.onUp((isUp) => ups.push(isUp));
    const many = Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`s${i}`, [i, 1]]));
    await add(ledger, 0, account('a', { limit: 5000 }), many);
    const { cursor } = (await ledger.page(SHARD, a, null, 100))!;
    const before = [await ledger.view(SHARD), (await read(ledger, SHARD, a))!.totals];
    await server.kill('SIGKILL');
    const failure = ledger.view(SHARD);
    await expect(failure).rejects.toThrow(LedgerUnavailable);
    await expect(failure).rejects.toHaveProperty('cause');
    await server.start();
    await waitUntil(async () => (await ledger.view(SHARD)) !== null, { ...soon, what: 'the ledger to be back' });
    expect([await ledger.view(SHARD), (await read(ledger, SHARD, a))!.totals]).toEqual(before);
    await expectConserved(ledger, SHARD, a);
    expect(ups).toEqual([false, true]);
    // Another process scans in another order: going on from the old position could leave series out.
    await expect(ledger.page(SHARD, a, cursor, 100)).rejects.toThrow(LedgerUnavailable);
    await expect(ledger.purge(SHARD, a, 1, cursor, 100)).rejects.toThrow(LedgerUnavailable);
  }, 40_000);

  test('a server that does not answer is given up after a while, and is answered for later', async () => {
    await add(ledger, 0, a, { x: [1, 1] });
    await server.kill('SIGSTOP');
    const started = performance.now();
    await expect(ledger.commit(call([a], [section(0, 1, 2, [entry(0, { x: [1, 1] })])]))).rejects.toThrow(
      LedgerUnavailable,
    );
    expect(performance.now() - started).toBeLessThan(6_000);
    await server.kill('SIGCONT');
    const again = call([a], [section(0, 1, 2, [entry(0, { x: [1, 1] })])]);
    await waitUntil(async () => (await ledger.commit(again)).kind === 'answered', { ...soon, what: 'an answer' });
    expect(await valuesOf(ledger, a, 'x')).toEqual([[2, 2]]);
  }, 40_000);

  test('a server that became read-only is left and found again', async () => {
    await admin.call('REPLICAOF', '127.0.0.1', await freePort());
    await expect(ledger.commit(call([], [section(0, 0, 0)]))).rejects.toThrow(LedgerUnavailable);
    await admin.call('REPLICAOF', 'NO', 'ONE');
    await waitUntil(async () => (await ledger.commit(call([], [section(0, 0, 0)]))).kind === 'answered', {
      ...soon,
      what: 'it to take writes',
    });
  }, 30_000);

  describe('a value that cannot be read', () => {
    test.each([
      ['of a series of the call', { x: [1, 1] }],
      ['of another that is swept', { new: [1, 1] }],
    ])('%s stops the commit before its first write', async (_which, amounts) => {
      const limited = account('a', { limit: 1, staleS: 0 });
      await add(ledger, 0, limited, { x: [1, 1] });
      await admin.hset(keysOf().series, idOf('x'), 'garbage');
      const before = await ledger.view(SHARD);
      await expect(ledger.commit(call([limited], [section(0, 1, 2, [entry(0, amounts)])]))).rejects.toThrow(
        LedgerBroken,
      );
      await expect(ledger.purge(SHARD, a, -1, null, 10)).rejects.toThrow(LedgerBroken);
      await expect(ledger.page(SHARD, a, null, 10)).rejects.toThrow(LedgerBroken);
      expect(await ledger.view(SHARD)).toEqual(before);
    });

    test('a key of another kind', async () => {
      await admin.set(ledgerKeys(prefix).shard(6).meta, 'mine');
      await expect(ledger.view(6)).rejects.toThrow(LedgerBroken);
    });
  });

  describe('another format', () => {
    test('of the whole is refused with the way out', async () => {
      await admin.hset(ledgerKeys(prefix).ledger, 'format', '2');
      const claim = open().claim(IDENTITY);
      await expect(claim).rejects.toThrow(LedgerRefused);
      await expect(claim).rejects.toThrow('newer version');
    });

    test('of a shard is refused by all that touches it', async () => {
      await admin.hset(keysOf().meta, 'format', '0');
      await expect(ledger.commit(call([], [section(0, 0, 1)]))).rejects.toThrow(LedgerRefused);
      await expect(ledger.setMarkers(SHARD, [], 'first')).rejects.toThrow(LedgerRefused);
      await expect(ledger.take(SHARD, 'r', 't', 1000)).rejects.toThrow(LedgerRefused);
      await expect(ledger.view(SHARD)).rejects.toThrow('UPGRADING.md');
      await expect(ledger.forgetShard(SHARD)).rejects.toThrow(LedgerRefused);
    });

    test('and another installation, too', async () => {
      await admin.hset(keysOf().meta, 'installation', 'theirs');
      await expect(ledger.commit(call([], [section(0, 0, 1)]))).rejects.toThrow(LedgerRefused);
      await expect(ledger.page(SHARD, a, null, 10)).resolves.toBeNull();
      await expect(ledger.changes(SHARD, 0)).rejects.toThrow(LedgerRefused);
      await admin.del(ledgerKeys(prefix).ledger);
      await expect(open().claim(IDENTITY)).rejects.toThrow(LedgerRefused);
    });
  });

  test('what a half-lost shard had left does not enter the next life', async () => {
    await add(ledger, 0, a, { x: [1, 1], y: [1, 1] });
    await ledger.take(SHARD, 'r', 't', 60_000);
    await admin.del(keysOf().meta);
    expect(await ledger.view(SHARD)).toBeNull();
    await ledger.setMarkers(SHARD, [[field(1), 5]], 'after-loss');
    expect([...(await ledger.view(SHARD))!.markers.keys()]).toEqual([field(1)]);
    expect((await ledger.changes(SHARD, 0))!.accounts).toEqual([]);
    expect(await ledger.free('other', [SHARD])).toEqual([true]);
    expect(await ledger.liveIds(SHARD, a)).toEqual({ admissions: 0, ids: Buffer.alloc(0) });
    const again = call([a], [section(1, 5, 6, [entry(0, { x: [4, 1] })])]);
    expect((await commit(ledger, again)).accounts[0]).toMatchObject({ live: 1, admissions: 1 });
    expect(await valuesOf(ledger, a, 'x', 'y')).toEqual([[4, 1], undefined]);
    expect(await ledger.keys(SHARD, a, idOf('y'))).toEqual([null]);
  });

  test('a forgotten life is deleted key by key, also where the last attempt stopped half-way', async () => {
    const tenants = Array.from({ length: 120 }, (_, i) => account(`tenant-${i}`));
    await commit(
      ledger,
      call(
        tenants,
        [
          section(
            0,
            0,
            1,
            tenants.map((_, i) => entry(i, { x: [1, 1] })),
          ),
        ],
        { maxTenants: 500 },
      ),
    );
    const { tenants: listed, forgotten, meta, markers } = keysOf();
    await admin.rename(listed, forgotten);
    await admin.del(meta, markers);
    await begin(ledger);
    await add(ledger, 0, account('tenant-7'), { x: [5, 1] });
    await ledger.forgetShard(SHARD);
    expect(await admin.keys(`{${prefix}:*`)).toEqual([]);
  });

  test('while a forgotten life is deleted, the next one keeps what it has', async () => {
    const tenants = Array.from({ length: 60 }, (_, i) => account(`tenant-${1000 + i}`));
    const all = tenants.map((_, i) => entry(i, { x: [1, 1], y: [1, 1] }));
    await commit(ledger, call(tenants, [section(0, 0, 1, all)], { maxTenants: 500 }));
    const forgetting = ledger.forgetShard(SHARD);
    const other = open();
    await other.claim(IDENTITY);
    await waitUntil(async () => (await other.view(SHARD)) === null, { ...soon, everyMs: 1, what: 'the life to end' });
    await begin(other);
    const again = call(
      tenants,
      [
        section(
          0,
          0,
          1,
          tenants.map((_, i) => entry(i, { x: [4, 1] })),
        ),
      ],
      { maxTenants: 500 },
    );
    await other.commit(again);
    await forgetting;
    for (const name of tenants) {
      expect((await read(other, SHARD, name))!.totals).toMatchObject({ live: 1, total: [4, 1] });
      await expectConserved(other, SHARD, name);
    }
  });

  describe('looking at the server', () => {
    afterEach(async () => {
      await admin.config('SET', 'maxmemory-policy', 'noeviction');
      await admin.config('SET', 'appendonly', 'yes');
      await admin.call('ACL', 'DELUSER', 'tally');
    });
    const user = async (...rules: string[]): Promise<RedisLedger> => {
      await admin.call('ACL', 'SETUSER', 'tally', 'on', '>secret', `~*${prefix}*`, '+@all', ...rules);
      return open({ username: 'tally', password: 'secret' });
    };

    test('nothing to say of a good one', async () => {
      expect(await ledger.examine()).toEqual([]);
      expect(await admin.keys('*probe*')).toEqual([]);
    });

    test('one that evicts is refused', async () => {
      await admin.config('SET', 'maxmemory-policy', 'allkeys-lru');
      const findings = await ledger.examine();
      expect(findings.map(({ severity }) => severity)).toEqual(['refuse']);
      expect(findings[0]!.text).toMatch(/allkeys-lru.*Set maxmemory-policy noeviction/);
    });

    test('one that keeps nothing is warned of', async () => {
      await admin.config('SET', 'appendonly', 'no');
      expect(await ledger.examine()).toEqual([{ severity: 'warn', text: expect.stringContaining('appendonly yes') }]);
      expect(await (await user('-config')).examine()).toEqual([
        { severity: 'warn', text: expect.stringContaining('does not say whether it saves') },
      ]);
    });

    test('missing permissions are named', async () => {
      const limited = await user('-hset', '-zmscore');
      expect(await limited.examine()).toEqual([{ severity: 'refuse', text: expect.stringMatching(/HSET, ZMSCORE/) }]);
      const scripts = await user('-eval', '-evalsha');
      expect(await scripts.examine()).toEqual([{ severity: 'refuse', text: expect.stringContaining('EVAL') }]);
    });

    test('a user who may not ask is told what stays unknown, and can work', async () => {
      const blind = await user('-info', '-config');
      expect(await blind.examine()).toEqual([{ severity: 'warn', text: expect.stringContaining('+info') }]);
      await blind.claim(IDENTITY);
      await add(blind, 0, a, { x: [1, 1] });
    });
  });

  test('closing leaves nothing behind, connected or not', async () => {
    const file = join(import.meta.dirname, 'open-and-close.ts');
    const nobody = `redis://127.0.0.1:${await freePort()}`;
    const child = spawn(process.execPath, [file, server.url, nobody], { stdio: ['ignore', 'inherit', 'inherit'] });
    const [code] = await once(child, 'exit', { signal: AbortSignal.timeout(20_000) });
    expect(code).toBe(0);
  }, 30_000);
});

test('a node of a cluster that is taken for a single server is asked about each shard apart', async () => {
  const node = await startRedis({ flavour: 'redis', config: { 'cluster-enabled': 'yes' } });
  const admin = new Redis(node.url);
  const ledger = openRedisLedger({ url: node.url, keyPrefix: 'apart' });
  try {
    await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
    const isUp = async () => String(await admin.call('CLUSTER', 'INFO')).includes('cluster_state:ok');
    await waitUntil(isUp, { ...soon, what: 'the cluster of one' });
    await ledger.claim(IDENTITY);
    const shards = [1, 2, 3];
    for (const shard of shards) {
      await begin(ledger, shard);
      await ledger.take(shard, 'r', `t${shard}`, 60_000);
    }
    for (let i = 0; i < 2; i++) {
      const changes = await Promise.all([0, ...shards].map((shard) => ledger.changes(shard, 0)));
      expect(changes.map((answer) => answer?.view.markers.get(field(0)))).toEqual([undefined, 0, 0, 0]);
      const renewed = shards.map((shard) => ledger.renew(shard, shard === 2 ? 'not mine' : `t${shard}`, 60_000));
      expect(await Promise.all(renewed)).toEqual([true, false, true]);
    }
  } finally {
    admin.disconnect();
    await ledger.close();
    await node.stop();
  }
}, 60_000);

test('a server that is not there is not available, and says why', async () => {
  const ledger = openRedisLedger({ url: `redis://127.0.0.1:${await freePort()}`, keyPrefix: 'x' });
  const ups: boolean[] = [];
  ledger.onUp((isUp) => ups.push(isUp));
  await expect(ledger.view(SHARD)).rejects.toThrow(LedgerUnavailable);
  await expect(ledger.examine()).rejects.toThrow(LedgerUnavailable);
  expect(ups).toEqual([]);
  await ledger.close();
}, 20_000);

test('behind Sentinels the ledger follows the master', async () => {
  const master = await startRedis({ flavour: 'redis' });
  const replica = await startRedis({ flavour: 'redis', replicaOf: master });
  await untilInSync(replica);
  const sentinels = await startSentinels(master, [replica]);
  const nodes = sentinels.nodes.map(({ host, port }) => `${host}:${port}`);
  const ledger = openRedisLedger({ sentinels: { nodes, master: sentinels.masterName }, keyPrefix: 'behind' });
  try {
    await ledger.claim(IDENTITY);
    await begin(ledger);
    await add(ledger, 0, a, { x: [1, 1] });
    const admin = new Redis(master.url);
    expect(await admin.call('WAIT', 1, 5_000)).toBe(1);
    admin.disconnect();
    await master.kill('SIGKILL');
    const next = call([a], [section(0, 1, 2, [entry(0, { x: [1, 1] })])]);
    await waitUntil(async () => (await ledger.commit(next)).kind === 'answered', {
      timeoutMs: 40_000,
      what: 'the new master',
    });
    expect(await valuesOf(ledger, a, 'x')).toEqual([[2, 2]]);
  } finally {
    await ledger.close();
    await Promise.all([sentinels.stop(), master.stop(), replica.stop()]);
  }
}, 90_000);
