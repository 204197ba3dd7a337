/** From the configuration to what the clients of Kafka and Redis want to be told. */
import type { ConnectionOptions } from 'node:tls';
import type { Config, HostPort, Tls } from '../config/config.ts';
import type { KafkaSourceOptions } from '../kafka/source.ts';
import type { RedisLedgerOptions } from '../ledger/redis-ledger.ts';

const tlsOptions = ({ ca, cert, key }: Tls): ConnectionOptions => ({
  ...(ca === null ? {} : { ca }),
  ...(cert === null ? {} : { cert }),
  ...(key === null ? {} : { key }),
});

export const kafkaOptions = ({ kafka }: Config): Omit<KafkaSourceOptions, 'logger'> => ({
  brokers: kafka.brokers,
  clientId: kafka.clientId,
  groupId: kafka.groupId,
  topics: kafka.topics,
  tls: kafka.tls === null ? null : tlsOptions(kafka.tls),
  sasl: kafka.sasl,
  sessionTimeoutMs: kafka.sessionTimeoutMs,
  maxBytesPerPartition: kafka.maxBytesPerPartition,
});

const address = ({ host, port }: HostPort): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;

const serverOptions = (
  server: Config['redis']['server'],
): Pick<RedisLedgerOptions, 'url' | 'cluster' | 'sentinels'> => {
  switch (server.kind) {
    case 'single':
      return { url: `redis://${address(server)}/${server.database}` };
    case 'cluster':
      return { cluster: server.nodes.map(address) };
    case 'sentinel':
      return { sentinels: { nodes: server.sentinels.map(address), master: server.master } };
    default:
      throw new TypeError('the ledger is embedded');
  }
};

/** Null where the ledger is embedded. */
export const ledgerOptions = ({ redis, overrides }: Config): RedisLedgerOptions | null => {
  if (redis.server.kind === 'embedded') return null;
  return {
    ...serverOptions(redis.server),
    ...(redis.username === '' ? {} : { username: redis.username }),
    ...(redis.password === '' ? {} : { password: redis.password }),
    ...(redis.tls === null ? {} : { tls: tlsOptions(redis.tls) }),
    keyPrefix: redis.keyPrefix,
    ...(overrides.userConfigurable.enabled ? { usesDocuments: true } : {}),
  };
};
