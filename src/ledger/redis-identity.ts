/** Whose ledger lies under a prefix, and what is kept of it as a whole: `<prefix>:ledger`, made again from the shards where it is lost. */
import { installationOf, ledgerKeys, partitionsAmong } from './keys.ts';
import type { Identity, MarkerField } from './port.ts';
import { LEDGER_FORMAT, SHARDS } from './port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { SCRIPTS } from './redis-scripts.ts';
import { noLedger, otherFormat, otherInstallation } from './refusals.ts';

/** Binds the prefix to an installation, and answers its stamp. Rejects with `LedgerRefused`: another one's, or another format. */
export const claimLedger = async (redis: RedisConnection, prefix: string, identity: Identity): Promise<string> => {
  const keys = ledgerKeys(prefix);
  const stored = (await redis.call('hmget', keys.ledger, 'format')) as (Buffer | null)[];
  // The record may be lost where shards are not: what they say comes first.
  if (stored[0] === null) await hasShards(redis, prefix, identity);
  const answer = await redis.run(SCRIPTS.claim, [keys.ledger], [LEDGER_FORMAT, identity.clusterId, identity.groupId]);
  const [format, clusterId, groupId] = (answer as Buffer[]).map(String);
  checkRecord(prefix, identity, { format: format!, clusterId: clusterId!, groupId: groupId! });
  return installationOf(identity, prefix);
};

/** The same, but binds nothing: rejects where there is no ledger, too. */
export const joinLedger = async (redis: RedisConnection, prefix: string, identity: Identity): Promise<string> => {
  const stored = await redis.call('hmget', ledgerKeys(prefix).ledger, 'format', 'cluster', 'group');
  const [format, clusterId, groupId] = (stored as (Buffer | null)[]).map((field) => field?.toString());
  if (format !== undefined) checkRecord(prefix, identity, { format, clusterId: clusterId!, groupId: groupId! });
  else if (!(await hasShards(redis, prefix, identity))) throw noLedger(prefix);
  return installationOf(identity, prefix);
};

/** Partitions of the topic when it was first seen; `partitions` where nobody has said one before. */
export const firstSightOf = async (
  redis: RedisConnection,
  prefix: string,
  topicId: string,
  partitions: number,
): Promise<number> => {
  const field = `topic:${topicId}`;
  const keys = ledgerKeys(prefix);
  const stored = (await redis.call('hget', keys.ledger, field)) as Buffer | null;
  if (stored !== null) return Number(stored);
  const markers = await ofAllShards((shard) => redis.call('hkeys', keys.shard(shard).markers));
  const fields = (markers as Buffer[][]).flat().map((name) => String(name) as MarkerField);
  await redis.call('hsetnx', keys.ledger, field, partitionsAmong(fields, topicId) ?? partitions);
  return Number(await redis.call('hget', keys.ledger, field));
};

const checkRecord = (
  prefix: string,
  identity: Identity,
  { format, clusterId, groupId }: Identity & { readonly format: string },
): void => {
  if (format !== String(LEDGER_FORMAT)) throw otherFormat(prefix, format, LEDGER_FORMAT);
  if (clusterId !== identity.clusterId || groupId !== identity.groupId)
    throw otherInstallation(prefix, { clusterId, groupId }, identity);
};

/** Whether there is any shard; rejects where one is another's. */
const hasShards = async (redis: RedisConnection, prefix: string, identity: Identity): Promise<boolean> => {
  const keys = ledgerKeys(prefix);
  let found = false;
  const stamps = await ofAllShards((shard) => redis.call('hmget', keys.shard(shard).meta, 'format', 'installation'));
  for (const stamp of stamps as (Buffer | null)[][]) {
    const [format, of] = stamp.map((field) => field?.toString());
    if (format === undefined) continue;
    if (format !== String(LEDGER_FORMAT)) throw otherFormat(prefix, format, LEDGER_FORMAT);
    if (of !== installationOf(identity, prefix)) throw otherInstallation(prefix, null, identity);
    found = true;
  }
  return found;
};

const ofAllShards = (ask: (shard: number) => Promise<unknown>): Promise<unknown[]> =>
  Promise.all(Array.from({ length: SHARDS }, (_, shard) => ask(shard)));
