/** What the demo runs: a broker, a Redis, three replicas, and a Prometheus where one can be had. */
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { type Prometheus, startPrometheus } from '../support/services/prometheus.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import { type Replica, startReplica } from '../support/services/replica.ts';
import { shippedScrapeConfig } from '../support/shipped-scrape.ts';
import { createTopic } from '../support/topics.ts';
import { DIMENSIONS } from '../support/traffic-world.ts';

export const TOPIC = 'otlp_spans';
export const GROUP = 'tracetally';
export const PARTITIONS = 6;
export const SERIES_LIMIT = 250;

export type Fleet = {
  readonly kafka: KafkaCluster;
  readonly redis: RedisServer;
  readonly replicas: readonly Replica[];
  /** Undefined where none can be had. */
  readonly prometheus: Prometheus | undefined;
  stop(): Promise<void>;
};

/** Starts everything but traffic. `tell` hears what happens. */
export async function startFleet(tell: (text: string) => void): Promise<Fleet> {
  const [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  tell(
    `Kafka at ${kafka.brokers[0]}, ${redis.flavour === 'redis' ? 'Redis' : 'Valkey'} at ${redis.url} (append-only file on)`,
  );
  await createTopic(kafka.brokers, TOPIC, { partitions: PARTITIONS });
  const replicas: Replica[] = [];
  for (const name of ['tracetally-0', 'tracetally-1', 'tracetally-2']) {
    replicas.push(await startReplica({ name, config: configuration(kafka, redis) }));
    tell(`${name} at ${replicas.at(-1)!.url}`);
  }
  await Promise.all(replicas.map((replica) => replica.waitReady()));
  tell('all replicas are ready');
  const prometheus = await prometheusIfAny(replicas, tell);
  const stop = async () => {
    const ends = await Promise.all(replicas.map((replica) => replica.stop()));
    for (const [i, { code, signal }] of ends.entries()) {
      if (code !== 0) tell(`${replicas[i]!.name} did not end well at SIGTERM: ${signal ?? `exit code ${code}`}`);
    }
    await Promise.all([prometheus?.stop(), kafka.stop(), redis.stop()]);
  };
  return { kafka, redis, replicas, prometheus, stop };
}

/** Short times, so that two minutes show what an hour would: a kill is noticed in seconds, hand-overs take seconds. */
function configuration(kafka: KafkaCluster, redis: RedisServer): Record<string, unknown> {
  return {
    kafka: { brokers: kafka.brokers, topics: [TOPIC], group_id: GROUP, session_timeout: '6s' },
    redis: { url: redis.url },
    ledger: { flush_interval: '2s' },
    usage: { cost_attribution: { max_cardinality: SERIES_LIMIT } },
    overrides: { defaults: { cost_attribution: { dimensions: DIMENSIONS } } },
    publish: { lease: '5s', birth_hold: '25s' },
    log: { level: 'info', format: 'logfmt' },
  };
}

async function prometheusIfAny(
  replicas: readonly Replica[],
  tell: (text: string) => void,
): Promise<Prometheus | undefined> {
  try {
    const targets = replicas.map(({ port }) => `127.0.0.1:${port}`);
    const prometheus = await startPrometheus({ configYaml: shippedScrapeConfig(targets, '2s') });
    tell(`Prometheus at ${prometheus.url}, with deploy/prometheus.yml`);
    return prometheus;
  } catch (error) {
    tell(`no Prometheus on this machine, going on without: ${error instanceof Error ? error.message : String(error)}`);
    return undefined;
  }
}
