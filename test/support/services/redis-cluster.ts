/** A Redis Cluster and Sentinels, made of the servers in redis.ts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { waitFor, waitUntil } from '../wait-for.ts';
import type { RedisFlavour } from './install-redis.ts';
import { freePort } from './ports.ts';
import { removeScratch, scratchDirectory } from './process.ts';
import { type RedisServer, startRedis } from './redis.ts';

const SLOTS = 16_384;
const READY_TIMEOUT_MS = 30_000;

export type RedisClusterOptions = {
  readonly flavour?: RedisFlavour;
  /** 3 where it is not said. */
  readonly masters?: number;
  /** One replica for each master. */
  readonly withReplicas?: boolean;
  readonly config?: Readonly<Record<string, string>>;
};

export type RedisCluster = {
  readonly masters: readonly RedisServer[];
  /** `replicas[i]` follows `masters[i]` at first; after a fail-over it may be the other way round. */
  readonly replicas: readonly RedisServer[];
  /** For a client's start: host and port of each master. */
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  stop(): Promise<void>;
};

/** Resolves when every node says that the cluster is whole (and every replica is in sync). */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const servers: RedisServer[] = [];
  const stop = async () => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    const count = options.masters ?? 3;
    const masters = await startMembers(count, options, servers);
    const replicas = options.withReplicas === true ? await startMembers(count, options, servers) : [];
    await formCluster(masters);
    await addReplicas(masters, replicas);
    const nodes = masters.map(({ port }) => ({ host: '127.0.0.1', port }));
    return { masters, replicas, nodes, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startMembers(count: number, options: RedisClusterOptions, all: RedisServer[]): Promise<RedisServer[]> {
  const started: RedisServer[] = [];
  for (let i = 0; i < count; i += 1) {
    const config = {
      'cluster-enabled': 'yes',
      'cluster-config-file': 'nodes.conf',
      'cluster-node-timeout': '2000',
      'cluster-port': String(await freePort()),
      ...options.config,
    };
    const server = await startRedis({ ...(options.flavour === undefined ? {} : { flavour: options.flavour }), config });
    all.push(server);
    started.push(server);
  }
  return started;
}

async function formCluster(masters: readonly RedisServer[]): Promise<void> {
  for (const [i, master] of masters.entries()) {
    const first = Math.floor((i * SLOTS) / masters.length);
    const last = Math.floor(((i + 1) * SLOTS) / masters.length) - 1;
    await withClient(master, async (client) => {
      await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
      await client.call('CLUSTER', 'ADDSLOTSRANGE', first, last);
    });
  }
  for (const master of masters.slice(1)) await meet(masters[0]!, master);
  for (const master of masters) await untilWhole(master, masters.length);
}

async function addReplicas(masters: readonly RedisServer[], replicas: readonly RedisServer[]): Promise<void> {
  for (const replica of replicas) await meet(masters[0]!, replica);
  const all = masters.length + replicas.length;
  for (const server of [...masters, ...replicas]) await untilWhole(server, all);
  for (const [i, replica] of replicas.entries()) {
    const id = await withClient(masters[i]!, async (client) => String(await client.call('CLUSTER', 'MYID')));
    await withClient(replica, (client) => client.call('CLUSTER', 'REPLICATE', id));
  }
  for (const replica of replicas) await untilInSync(replica);
}

async function meet(one: RedisServer, other: RedisServer): Promise<void> {
  const bus = await withClient(other, async (client) => (await client.config('GET', 'cluster-port')) as string[]);
  await withClient(one, (client) => client.call('CLUSTER', 'MEET', '127.0.0.1', other.port, bus[1]!));
}

async function untilWhole(server: RedisServer, members: number): Promise<void> {
  await withClient(server, (client) =>
    waitFor(
      async () => {
        const info = String(await client.call('CLUSTER', 'INFO'));
        const whole = info.includes('cluster_state:ok') && info.includes(`cluster_known_nodes:${members}\r`);
        return whole ? { done: true, value: undefined } : { done: false, seen: info };
      },
      { timeoutMs: READY_TIMEOUT_MS, what: `the cluster as ${server.port} sees it` },
    ),
  );
}

/** Resolves when a replica has its master's data and follows it. */
export async function untilInSync(replica: RedisServer): Promise<void> {
  await withClient(replica, (client) =>
    waitUntil(async () => (await client.info('replication')).includes('master_link_status:up'), {
      timeoutMs: READY_TIMEOUT_MS,
      what: `replica ${replica.port} to follow its master`,
    }),
  );
}

export type Sentinels = {
  readonly masterName: string;
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  /** The port of the server that the Sentinels call master. */
  masterPort(): Promise<number>;
  stop(): Promise<void>;
};

/** Three Sentinels that promote a replica about a second after its master is gone. Resolves when they know each other and the replicas. */
export async function startSentinels(master: RedisServer, replicas: readonly RedisServer[]): Promise<Sentinels> {
  const masterName = 'tracetally';
  const sentinels: RedisServer[] = [];
  const dirs: string[] = [];
  const stop = async () => {
    await Promise.all(sentinels.map((sentinel) => sentinel.stop()));
    for (const dir of dirs) removeScratch(dir);
  };
  try {
    for (let i = 0; i < 3; i += 1) {
      const dir = scratchDirectory('sentinel');
      dirs.push(dir);
      const configFile = join(dir, 'sentinel.conf');
      writeFileSync(configFile, sentinelConfig(masterName, master.port));
      sentinels.push(await startRedis({ flavour: master.flavour, configFile }));
    }
    for (const sentinel of sentinels) await untilWatching(sentinel, masterName, replicas.length);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    masterName,
    nodes: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
    masterPort: () =>
      withClient(sentinels[0]!, async (client) => {
        const address = (await client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', masterName)) as string[];
        return Number(address[1]);
      }),
    stop,
  };
}

function sentinelConfig(masterName: string, port: number): string {
  return [
    'bind 127.0.0.1',
    `sentinel monitor ${masterName} 127.0.0.1 ${port} 2`,
    `sentinel down-after-milliseconds ${masterName} 1000`,
    `sentinel failover-timeout ${masterName} 5000`,
    '',
  ].join('\n');
}

async function untilWatching(sentinel: RedisServer, masterName: string, replicas: number): Promise<void> {
  const wanted = `name=${masterName},status=ok,address=`;
  await withClient(sentinel, (client) =>
    waitFor(
      async () => {
        const info = await client.info('sentinel');
        const whole = info.includes(wanted) && info.includes(`slaves=${replicas},sentinels=3`);
        return whole ? { done: true, value: undefined } : { done: false, seen: info };
      },
      { timeoutMs: READY_TIMEOUT_MS, what: `sentinel ${sentinel.port} to know everyone` },
    ),
  );
}

async function withClient<T>(server: RedisServer, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(server.url, { maxRetriesPerRequest: 1 });
  client.on('error', () => {});
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
}
