/** What happens to Redis, in each of its forms, and to the lines to it. */
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { ledgerKeys, shardOf } from '../../src/ledger/keys.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import type { RedisServer } from '../support/services/redis.ts';
import { SlotMigration } from '../support/services/redis-migration.ts';
import { TENANTS } from '../support/traffic-world.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';
import type { RedisFault } from './plan.ts';
import type { Line } from './proxy.ts';
import { PREFIX, type Stage } from './stage.ts';
import { describeLine } from './trouble-brokers.ts';
import type { Trouble } from './trouble-replicas.ts';

/** Migrations of one fault: slots of shards that traffic goes to, and some others. */
const MOVED_SHARDS = 6;

export const REDIS_TROUBLES: Readonly<Record<RedisFault, Trouble>> = {
  'redis-killed': async ({ redis }, { holdMs }) => {
    const [server] = redis.servers;
    await server!.kill('SIGKILL');
    await sleep(holdMs);
    await server!.start();
    return 'back with its append-only file';
  },
  'redis-asleep': async (stage, { holdMs }) => {
    const server = await masterOf(stage);
    await server.kill('SIGSTOP');
    await sleep(holdMs);
    await server.kill('SIGCONT');
    if (stage.redis.sentinels === undefined) return `for ${(holdMs / 1000).toFixed(1)} s`;
    await untilFollowed(stage);
    return `for ${(holdMs / 1000).toFixed(1)} s, so that the Sentinels promote the other one`;
  },
  'redis-forgets': async ({ redis }, { holdMs }) => {
    const [server] = redis.servers;
    const before = await server!.snapshot();
    await sleep(holdMs);
    await comeBackOlder(server!, before);
    return `the last ${(holdMs / 1000).toFixed(1)} s`;
  },
  'redis-full-disk': async (stage, { holdMs }) => fillDisk(stage, holdMs),
  'redis-slow': (stage, { dice, holdMs }) =>
    onLines(stage, { latencyMs: 30 + (dice % 600), bytesPerSecond: 0 }, dice, holdMs),
  'redis-thin': (stage, { dice, holdMs }) =>
    onLines(stage, { latencyMs: 0, bytesPerSecond: 5_000 + (dice % 60_000) }, dice, holdMs),
  'redis-cut': async ({ redis }, { dice, holdMs }) => {
    const times = 2 + (dice % 4);
    for (let i = 0; i < times; i += 1) {
      for (const proxy of redis.proxies) proxy.cut(0.7);
      await sleep(holdMs / times);
    }
    return `70 % of the replicas, ${times} times, in the middle of what they carry`;
  },
  'redis-half-open': async ({ redis }, { dice, holdMs }) => {
    redis.proxies.forEach((proxy, i) => {
      if (i === dice % redis.proxies.length || dice % 3 === 0) proxy.halfOpen(1);
    });
    await sleep(holdMs);
    return dice % 3 === 0 ? 'all replicas' : 'one replica';
  },
  'failover-losing-writes': async (stage, { holdMs }) => failOver(stage, holdMs),
  'failover-asked': async (stage) => {
    const before = (await masterOf(stage)).port;
    const [sentinel] = stage.redis.sentinels!.nodes;
    await asAdmin(sentinel!.port, (admin) => admin.call('SENTINEL', 'FAILOVER', stage.redis.sentinels!.masterName));
    await untilMasterIsNot(stage, before);
    await untilFollowed(stage);
    return 'by SENTINEL FAILOVER';
  },
  'slot-migration': async (stage, { dice, holdMs }) => {
    const named = TENANTS.map(({ tenant }) => shardOf(tenant));
    const others = Array.from({ length: MOVED_SHARDS }, (_, i) => (dice + 11 * i) % SHARDS);
    const shards = [...new Set([...named, ...others])].slice(0, MOVED_SHARDS);
    for (const shard of shards) await migrate(stage, shard, holdMs / shards.length);
    return `shards ${shards.join(', ')}`;
  },
  'node-comes-back-older': async ({ redis }, { dice, holdMs }) => {
    const server = redis.servers[dice % redis.servers.length]!;
    const before = await server.snapshot();
    await sleep(holdMs);
    await comeBackOlder(server, before);
    return `node ${dice % redis.servers.length}, without its last ${(holdMs / 1000).toFixed(1)} s`;
  },
  'node-killed': async ({ redis }, { dice, holdMs }) => {
    const server = redis.servers[dice % redis.servers.length]!;
    await server.kill('SIGKILL');
    await sleep(holdMs);
    await server.start();
    return `node ${dice % redis.servers.length}`;
  },
};

async function comeBackOlder(server: RedisServer, snapshot: string): Promise<void> {
  await server.kill('SIGKILL');
  await server.restore(snapshot);
  await server.start();
}

async function onLines(stage: Stage, line: Line, dice: number, holdMs: number): Promise<string> {
  const hit = stage.redis.proxies.filter((_, i) => dice % 2 === 0 || i === dice % stage.redis.proxies.length);
  for (const proxy of hit) proxy.trouble(line, 1);
  try {
    await sleep(holdMs);
  } finally {
    for (const proxy of hit) proxy.heal();
  }
  return `${describeLine(line, 1)} of ${hit.length === 1 ? 'one replica' : 'all replicas'}`;
}

async function asAdmin<T>(port: number, work: (admin: Redis) => Promise<T>): Promise<T> {
  const admin = new Redis(port, { maxRetriesPerRequest: 1, commandTimeout: 5_000 });
  admin.on('error', () => {});
  try {
    return await work(admin);
  } finally {
    admin.disconnect();
  }
}

/** On a disk that is full until the filler is gone; where there is none of our own, in a memory that is. */
async function fillDisk({ redis }: Stage, holdMs: number): Promise<string> {
  const [server] = redis.servers;
  if (redis.disk === undefined) {
    await asAdmin(server!.port, (admin) => admin.config('SET', 'maxmemory', '1'));
    await sleep(holdMs);
    await asAdmin(server!.port, (admin) => admin.config('SET', 'maxmemory', '0'));
    return 'no small disk can be mounted here: maxmemory instead';
  }
  const filler = join(redis.disk.path, 'filler');
  try {
    for (let i = 0; i < 4; i += 1) {
      fillUp(`${filler}-${i}`);
      await sleep(holdMs / 4);
    }
    await waitUntil(() => asAdmin(server!.port, refusesWrites), {
      timeoutMs: 20_000,
      what: 'Redis to say MISCONF',
      everyMs: 200,
    });
  } finally {
    for (let i = 0; i < 4; i += 1) rmSync(`${filler}-${i}`, { force: true });
  }
  return 'the append-only file cannot be written: MISCONF';
}

/** Writes into a file until there is no space. */
function fillUp(file: string): void {
  for (const size of [1 << 20, 1 << 12, 1 << 6]) {
    try {
      for (;;) writeFileSync(file, Buffer.alloc(size), { flag: 'a' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }
  if (!existsSync(file) || statSync(file).size < 0) throw new Error(`${file} was not written`);
}

async function refusesWrites(admin: Redis): Promise<boolean> {
  return admin.set('chaos:probe', '1').then(
    () => false,
    (error: unknown) => String(error).includes('MISCONF'),
  );
}

/** The server that takes writes. */
async function masterOf({ redis }: Stage): Promise<RedisServer> {
  if (redis.sentinels === undefined) return redis.servers[0]!;
  const port = await redis.sentinels.masterPort();
  return redis.servers.find((server) => server.port === port)!;
}

/**
 * The replica stands still and its link is cut, so that what the master takes from now on is on the master alone; then
 * the master dies and the Sentinels promote the replica. The old master comes back with what was lost, and must give it up.
 */
async function failOver(stage: Stage, holdMs: number): Promise<string> {
  const master = await masterOf(stage);
  const replica = stage.redis.servers.find((server) => server !== master)!;
  await replica.kill('SIGSTOP');
  try {
    await asAdmin(master.port, (admin) => admin.call('CLIENT', 'KILL', 'TYPE', 'replica'));
    await sleep(holdMs);
    await master.kill('SIGKILL');
  } finally {
    await replica.kill('SIGCONT');
  }
  await untilMasterIsNot(stage, master.port);
  await master.start();
  await untilFollowed(stage);
  return `${replica.port} promoted without the last ${(holdMs / 1000).toFixed(1)} s`;
}

async function untilMasterIsNot({ redis }: Stage, port: number): Promise<void> {
  await waitFor(
    async () => {
      const now = await redis.sentinels!.masterPort();
      const role = now === port ? 'the old one' : await asAdmin(now, (admin) => admin.info('replication'));
      return role.includes('role:master') ? { done: true, value: undefined } : { done: false, seen: role };
    },
    { timeoutMs: 60_000, what: 'the Sentinels to promote the other server', everyMs: 200 },
  );
}

/** One is master, the other one its replica, in sync: ready for the next fail-over. The Sentinels may change their minds meanwhile. */
async function untilFollowed(stage: Stage): Promise<void> {
  await waitUntil(
    async () => {
      const master = await masterOf(stage);
      const replica = stage.redis.servers.find((server) => server !== master)!;
      const roles = await Promise.all([master, replica].map(({ port }) => asAdmin(port, (a) => a.info('replication'))));
      return (
        roles[0]!.includes('role:master') &&
        roles[0]!.includes('connected_slaves:1') &&
        roles[1]!.includes('role:slave') &&
        roles[1]!.includes('master_link_status:up')
      );
    },
    { timeoutMs: 60_000, what: 'the old master to follow the new one', everyMs: 200 },
  );
}

/** In pieces, while the traffic goes on. */
async function migrate({ redis }: Stage, shard: number, withinMs: number): Promise<void> {
  const migration = await SlotMigration.begin(redis.cluster!.nodes, ledgerKeys(PREFIX).shard(shard).meta);
  try {
    const first = await migration.rest(2);
    if (first.length > 0) await migration.move(first);
    await sleep(withinMs);
    await migration.end();
  } finally {
    migration.close();
  }
}
