/** The Redis of a seed, in one of its forms: its servers, how a replica finds it, how a third party does. */
import { spawnSync } from 'node:child_process';
import type { RedisConnectionOptions } from '../../src/ledger/redis-connection.ts';
import type { Random } from '../support/random.ts';
import { freePort } from '../support/services/ports.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { FORCED_EACH_SECOND, type RedisServer, startRedis } from '../support/services/redis.ts';
import {
  type RedisCluster,
  type Sentinels,
  startRedisCluster,
  startSentinels,
  untilInSync,
} from '../support/services/redis-cluster.ts';
import type { Plan } from './plan.ts';
import { FaultyProxy } from './proxy.ts';

/** A file system of its own, so that a disk can be full without harm to others. Undefined where this machine does not let us. */
export type SmallDisk = { readonly path: string; release(): void };

export type RedisSide = {
  /** The section `redis` of a replica's configuration, by the replica's number. */
  config(replica: number): Promise<Readonly<Record<string, unknown>>>;
  /** For whoever looks on: not through a proxy. */
  readonly direct: RedisConnectionOptions;
  /** Servers that hold data, to be told to all. */
  readonly servers: readonly RedisServer[];
  /** Between each replica and Redis; none where Redis itself says where its servers are. */
  readonly proxies: readonly FaultyProxy[];
  readonly disk: SmallDisk | undefined;
  readonly sentinels: Sentinels | undefined;
  readonly cluster: RedisCluster | undefined;
  stop(): Promise<void>;
};

const DISK_BYTES = 96 * 1024 * 1024;
/** An answer of a proxied Redis that is later than that is not waited for: the same as in production, only sooner. */
const PATIENT = { commandTimeoutMs: 5_000 } as const;

export function startRedisSide(plan: Plan, random: Random): Promise<RedisSide> {
  if (plan.form === 'single') return startSingle(plan, random);
  return plan.form === 'sentinel' ? startBehindSentinels(plan) : startCluster(plan);
}

async function startSingle(plan: Plan, random: Random): Promise<RedisSide> {
  const disk = mountSmallDisk();
  const proxies: FaultyProxy[] = [];
  let server: RedisServer | undefined;
  const stop = async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await server?.stop();
    disk?.release();
  };
  try {
    const made = await startRedis({
      flavour: plan.flavour,
      config: FORCED_EACH_SECOND,
      ...(disk === undefined ? {} : { dataDir: disk.path }),
    });
    server = made;
    const config = async () => {
      const port = await freePort();
      proxies.push(await FaultyProxy.listen(port, made.port, random));
      return { url: `redis://127.0.0.1:${port}` };
    };
    const nothing = { sentinels: undefined, cluster: undefined };
    return { config, direct: { url: made.url, ...PATIENT }, servers: [made], proxies, disk, ...nothing, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startBehindSentinels(plan: Plan): Promise<RedisSide> {
  const servers: RedisServer[] = [];
  let sentinels: Sentinels | undefined;
  const stop = async () => {
    await sentinels?.stop();
    await Promise.all(servers.map((server) => server.stop()));
  };
  try {
    servers.push(await startRedis({ flavour: plan.flavour, config: FORCED_EACH_SECOND }));
    servers.push(await startRedis({ flavour: plan.flavour, config: FORCED_EACH_SECOND, replicaOf: servers[0]! }));
    await untilInSync(servers[1]!);
    sentinels = await startSentinels(servers[0]!, [servers[1]!]);
    const nodes = sentinels.nodes.map(({ host, port }) => `${host}:${port}`);
    const { masterName } = sentinels;
    return {
      config: async () => ({ sentinels: nodes, sentinel_master: masterName }),
      direct: { sentinels: { nodes, master: masterName }, ...PATIENT },
      servers,
      proxies: [],
      disk: undefined,
      sentinels,
      cluster: undefined,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startCluster(plan: Plan): Promise<RedisSide> {
  const cluster = await startRedisCluster({ flavour: plan.flavour, config: FORCED_EACH_SECOND });
  const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
  return {
    config: async () => ({ cluster: nodes }),
    direct: { cluster: nodes, ...PATIENT },
    servers: cluster.masters,
    proxies: [],
    disk: undefined,
    sentinels: undefined,
    cluster,
    stop: cluster.stop,
  };
}

function mountSmallDisk(): SmallDisk | undefined {
  const path = scratchDirectory('small-disk');
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tracetally-chaos', path]);
  if (mounted.status !== 0) {
    removeScratch(path);
    return undefined;
  }
  const unmount = () => void spawnSync('umount', ['-l', path]);
  process.prependOnceListener('exit', unmount);
  return {
    path,
    release: () => {
      process.off('exit', unmount);
      unmount();
      removeScratch(path);
    },
  };
}
