/** Looks whether a server can be trusted with a ledger. */
import type { Redis } from 'ioredis';
import type { LedgerKeys } from './keys.ts';
import type { Finding } from './port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { SCRIPTS } from './redis-scripts.ts';

const MIN_REDIS = 7;
const MIN_VALKEY = 8;

const refuse = (text: string): Finding => ({ severity: 'refuse', text });
const warn = (text: string): Finding => ({ severity: 'warn', text });

/** Each master is asked about itself, the whole about its commands. Rejects with `LedgerUnavailable`. */
export const examineServers = async (
  redis: RedisConnection,
  keys: LedgerKeys,
  usesDocuments: boolean,
): Promise<Finding[]> => {
  const findings: Finding[] = [];
  const masters = await redis.masters();
  for (const master of masters) findings.push(...(await examineServer(redis, master)));
  // A server that is too old, or a node of a cluster, would not run the probe for reasons that were said.
  if (findings.some(({ severity }) => severity === 'refuse')) return findings;
  const beside = [keys.ledger, keys.replicas, ...(usesDocuments ? [keys.overrides] : [])];
  return [...findings, ...(await examineCommands(redis, keys, beside))];
};

type Info = ReadonlyMap<string, string>;

const examineServer = async (redis: RedisConnection, server: Redis): Promise<Finding[]> => {
  const name = `Redis at ${server.options.host}:${server.options.port}`;
  const info = await infoOf(redis, server);
  if (info === null)
    return [
      warn(`${name} does not let us ask INFO: its version, eviction policy and persistence are unknown. Allow +info`),
    ];
  return [
    ...examineKind(name, info, redis.isCluster),
    ...examineVersion(name, info),
    ...examineEviction(name, info),
    ...(await examinePersistence(name, info, () => settingOf(redis, server, 'save'))),
  ];
};

const examineKind = (name: string, info: Info, isCluster: boolean): Finding[] => {
  if (info.get('redis_mode') === 'cluster' && !isCluster)
    return [refuse(`${name} is a node of a cluster. Name some of its nodes in redis.cluster, instead of redis.url`)];
  if (info.get('role') === 'slave')
    return [warn(`${name} is a read-only replica: nothing is counted until redis.url leads to the master`)];
  return [];
};

const examineVersion = (name: string, info: Info): Finding[] => {
  const valkey = info.get('valkey_version');
  const version = valkey ?? info.get('redis_version') ?? '0';
  const needed = valkey === undefined ? MIN_REDIS : MIN_VALKEY;
  if (Number.parseInt(version, 10) >= needed) return [];
  const product = valkey === undefined ? 'Redis' : 'Valkey';
  return [refuse(`${name} is ${product} ${version}. Use Redis ${MIN_REDIS}.0 or Valkey ${MIN_VALKEY}, or newer`)];
};

const examineEviction = (name: string, info: Info): Finding[] => {
  const policy = info.get('maxmemory_policy') ?? 'noeviction';
  if (policy === 'noeviction') return [];
  return [
    refuse(
      `${name} has maxmemory-policy ${policy}: it would throw totals away without a word. ` +
        'Set maxmemory-policy noeviction, or use a Redis that is not a cache',
    ),
  ];
};

const examinePersistence = async (
  name: string,
  info: Info,
  askSave: () => Promise<string | null>,
): Promise<Finding[]> => {
  if (info.get('aof_enabled') === '1' || Number(info.get('connected_slaves') ?? 0) > 0) return [];
  const save = await askSave();
  if (save === null)
    return [
      warn(`${name} has no append-only file and no replica, and does not say whether it saves. Set appendonly yes`),
    ];
  if (save !== '') return [];
  return [
    warn(
      `${name} has no append-only file, no snapshots and no replica: a restart loses the ledger, and all that Kafka ` +
        'does not hold any more. Set appendonly yes',
    ),
  ];
};

/** Null where the user may not, or where the service does not offer it. */
const infoOf = async (redis: RedisConnection, server: Redis): Promise<Info | null> => {
  const text = await unlessForbidden(redis, () => server.info());
  if (text === null) return null;
  const lines = text.split('\r\n').filter((line) => line.includes(':'));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]));
};

const settingOf = async (redis: RedisConnection, server: Redis, setting: string): Promise<string | null> => {
  const pair = (await unlessForbidden(redis, () => server.config('GET', setting))) as string[] | null;
  return pair?.[1] ?? null;
};

const unlessForbidden = async <T>(redis: RedisConnection, ask: () => Promise<T>): Promise<T | null> => {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof Error && /^(NOPERM|ERR)/.test(error.message)) return null;
    throw redis.asLedgerError(error);
  }
};

/** Out of memory, read-only and the like pass; a command or a key that this user never may use does not. */
const examineCommands = async (
  redis: RedisConnection,
  keys: LedgerKeys,
  beside: readonly string[],
): Promise<Finding[]> => {
  const missing = new Set<string>();
  for (const [command, error] of await probe(redis, keys)) if (FORBIDDEN.test(error)) missing.add(command);
  if (missing.size > 0) return [refuse(`Redis does not let us use ${[...missing].join(', ')}. ${WAY_OUT}`)];
  const closed: string[] = [];
  for (const key of beside) if (!(await mayRead(redis, key))) closed.push(key);
  return closed.length === 0 ? [] : [refuse(`Redis does not let us use the key ${closed.join(', ')}. ${WAY_OUT}`)];
};

const FORBIDDEN = /NOPERM|no permissions|can't run this command|unknown (redis )?command/i;
const WAY_OUT =
  'Allow it to the user of redis.username, on the keys that redis.key_prefix begins: docs/security.md has the list';

const mayRead = async (redis: RedisConnection, key: string): Promise<boolean> => {
  try {
    await redis.call('exists', key);
    return true;
  } catch (error) {
    if (error instanceof Error && error.message.includes('NOPERM')) return false;
    throw error;
  }
};

const probe = async (redis: RedisConnection, keys: LedgerKeys): Promise<[command: string, error: string][]> => {
  try {
    // A server that knows the script would not be asked to take it, and a restart makes it forget.
    await redis.call('eval', SCRIPTS.probe.text, keys.probes.length, ...keys.probes);
    const failed = (await redis.run(SCRIPTS.probe, keys.probes, [])) as Buffer[];
    return Array.from({ length: failed.length / 2 }, (_, i) => [String(failed[2 * i]), String(failed[2 * i + 1])]);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.includes('NOPERM')) throw error;
    const command = /'(eval|evalsha)'/i.exec(error.message)?.[1];
    return [[command === undefined ? `the keys {${keys.prefix}:...}:*` : command.toUpperCase(), error.message]];
  }
};
