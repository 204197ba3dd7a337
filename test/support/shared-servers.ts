/**
 * The servers that a whole jest run shares: one Kafka, one Redis, one Valkey. The global set-ups start them, the
 * global tear-down stops them, tests read their addresses. A test that may break its server starts one of its own.
 */

import type { RedisFlavour } from './services/install-redis.ts';
import { type KafkaCluster, startKafka } from './services/kafka.ts';
import { type RedisServer, startRedis } from './services/redis.ts';

const KAFKA = 'TRACETALLY_TEST_KAFKA';
const REDIS: Record<RedisFlavour, string> = { redis: 'TRACETALLY_TEST_REDIS', valkey: 'TRACETALLY_TEST_VALKEY' };

/** `127.0.0.1:port` of the run's Kafka. */
export function sharedKafka(): readonly string[] {
  return address(KAFKA).split(',');
}

/** The URL of the run's Redis or Valkey. Other tests use it too: take a key prefix of your own, never flush it. */
export function sharedRedis(flavour: RedisFlavour = 'redis'): string {
  return address(REDIS[flavour]);
}

function address(variable: string): string {
  const value = process.env[variable];
  if (value === undefined || value === '') {
    throw new Error(`${variable} is not set: this test needs a server that the jest project's globalSetup starts`);
  }
  return value;
}

type Running = { kafka?: Promise<KafkaCluster>; redis: Map<RedisFlavour, Promise<RedisServer>> };

/** Several set-ups run in one process, each with its own copy of this module. */
const REGISTRY = Symbol.for('tracetally.shared-servers');

function running(): Running {
  const holder = globalThis as { [REGISTRY]?: Running };
  holder[REGISTRY] ??= { redis: new Map() };
  return holder[REGISTRY];
}

export async function startSharedKafka(): Promise<void> {
  running().kafka ??= startKafka();
  process.env[KAFKA] = (await running().kafka!).brokers.join(',');
}

export async function startSharedRedis(): Promise<void> {
  const { redis } = running();
  for (const flavour of ['redis', 'valkey'] as const) {
    if (!redis.has(flavour)) redis.set(flavour, startRedis({ flavour }));
  }
  for (const [flavour, server] of redis) process.env[REDIS[flavour]] = (await server).url;
}

export async function stopSharedServers(): Promise<void> {
  const { kafka, redis } = running();
  await Promise.allSettled([kafka, ...redis.values()].map(async (server) => (await server)?.stop()));
  redis.clear();
  delete running().kafka;
}
