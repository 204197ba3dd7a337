/** A configuration as it may be printed. */
import { createHash } from 'node:crypto';
import type { Config, Tls } from './config.ts';

export const MASK = '********';
const hidden = (secret: string): string => (secret === '' ? '' : MASK);
const hiddenTls = (tls: Tls | null): Tls | null =>
  tls === null ? null : { ...tls, key: tls.key === null ? null : MASK };

/** The same with every secret replaced: passwords, tokens and private keys. (Those of a Redis URL are in `redis.password`.) */
export const maskedConfig = (config: Config): Config => ({
  ...config,
  server: {
    ...config.server,
    adminToken: hidden(config.server.adminToken),
    metricsToken: hidden(config.server.metricsToken),
    tls: config.server.tls === null ? null : { ...config.server.tls, key: MASK },
  },
  kafka: {
    ...config.kafka,
    tls: hiddenTls(config.kafka.tls),
    sasl: config.kafka.sasl === null ? null : { ...config.kafka.sasl, password: hidden(config.kafka.sasl.password) },
  },
  schemaRegistry:
    config.schemaRegistry === null
      ? null
      : { ...config.schemaRegistry, password: hidden(config.schemaRegistry.password) },
  redis: {
    ...config.redis,
    password: hidden(config.redis.password),
    tls: hiddenTls(config.redis.tls),
  },
});

/** Hex; equal for configurations that differ in secrets alone, so that it may be published. */
export const configHash = (config: Config): string =>
  createHash('sha256')
    .update(JSON.stringify(maskedConfig(config)))
    .digest('hex');
