/** One seed's stage: Redis, topics, four replicas, a Prometheus, traffic, the book, and a third party that looks on. */
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { RedisConnection } from '../../src/ledger/redis-connection.ts';
import { RedisLedger } from '../../src/ledger/redis-ledger.ts';
import { selfMetrics } from '../support/fleet-metrics.ts';
import { type Random, seeded } from '../support/random.ts';
import type { Prometheus } from '../support/services/prometheus.ts';
import { type Replica, type ReplicaConfig, startReplica } from '../support/services/replica.ts';
import { createTopic, deleteTopic, uniqueName } from '../support/topics.ts';
import { DIMENSIONS } from '../support/traffic-world.ts';
import { Book, type Field } from './book.ts';
import { COMPACTING, prepareCompacted } from './compacted.ts';
import { type Ground, NODES, topicId } from './ground.ts';
import type { Plan } from './plan.ts';
import { type Excuses, excusesOf, startTruthPrometheus } from './prometheus-truth.ts';
import { type RedisSide, startRedisSide } from './redis-side.ts';
import { Watch } from './watch.ts';
import { type Target, Writer } from './writer.ts';

export const PREFIX = 'tracetally';
const REPLICAS = 4;
const PARTITIONS = 6;
const RECORDS_PER_SECOND = 15;
/** Longer than the holes of a plan, so that no birth misses its zero but for lost writes; a busy machine makes them long. */
const BIRTH_HOLD_S = 40;
/** Scrapes after the last hold is over. */
const PROMETHEUS_PATIENCE_MS = (BIRTH_HOLD_S + 60) * 1000;
const FIRST_LIMIT = 250;

/** What all replicas are given, beside what is their own. Changed by rolling restarts. */
export type Accounting = { limit: number; dimensions: Readonly<Record<string, string>> };

export type TopicNow = { readonly name: string; id: string; partitions: number; readonly weight: number };

export type Stage = {
  readonly plan: Plan;
  readonly ground: Ground;
  readonly random: Random;
  readonly redis: RedisSide;
  readonly ledger: RedisLedger;
  readonly replicas: readonly Replica[];
  readonly prometheus: Prometheus;
  readonly topics: readonly TopicNow[];
  /** The topic of an unclean election, on the first and the second node alone; undefined where the plan has none. */
  readonly frail: TopicNow | undefined;
  readonly group: string;
  readonly book: Book;
  readonly writer: Writer;
  readonly watch: Watch;
  readonly accounting: Accounting;
  /** How the truth in Prometheus may differ, and since when it counts. */
  readonly judging: { readonly excuses: Excuses; readonly startedS: number; readonly timeoutMs: number };
  flow(): void;
  /** Sum over the replicas that answer of a self-metric. */
  metric(name: string): Promise<number>;
  ready(timeoutMs?: number): Promise<void>;
  /** Writes the configuration of a replica anew, from `accounting`; it is read at its next start. */
  configure(replica: number): Promise<void>;
  /** Keeps the logs of everyone. Answers where. */
  keepLogs(directory: string): string;
  stop(): Promise<void>;
};

export function fieldsOf({ id, partitions }: TopicNow): Field[] {
  return Array.from({ length: partitions }, (_, partition) => `${id}/${partition}`);
}

export async function startStage(plan: Plan, ground: Ground, tell: (text: string) => void): Promise<Stage> {
  const random = seeded(plan.seed * 104_729);
  const group = uniqueName('chaos');
  const book = new Book();
  const ends: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of ends.toReversed()) await end().catch((error: unknown) => tell(`while stopping: ${error}`));
  };
  try {
    const redis = await startRedisSide(plan, random);
    ends.push(redis.stop);
    const topics = await makeTopics(plan, ground, group);
    ends.push(() => Promise.all(topics.map(({ name }) => deleteTopic(ground.kafka.brokers, name))));
    const targets = (): Target[] =>
      topics.map((topic) => ({ topic: topic.name, fields: fieldsOf(topic), weight: topic.weight }));
    const writer = new Writer(ground.kafka.brokers, book, random, targets);
    ends.push(() => writer.stop());
    const compacted = topics.find(({ name }) => name.endsWith('-compacted'));
    if (compacted !== undefined) tell(await prepareCompacted(ground, compacted, book));
    const ledger = new RedisLedger(new RedisConnection(redis.direct), PREFIX);
    ends.push(() => ledger.close());
    const accounting: Accounting = { limit: FIRST_LIMIT, dimensions: DIMENSIONS };
    const configs: ReplicaConfig[] = [];
    for (let i = 0; i < REPLICAS; i += 1) configs.push(await ownConfig(i, ground, redis, topics, group));
    const layered = (i: number): ReplicaConfig => ({ ...configs[i]!, ...accountingConfig(accounting) });
    const replicas: Replica[] = [];
    ends.push(() => endAll(replicas));
    for (let i = 0; i < REPLICAS; i += 1) {
      const env = plan.conditions.includes('clocks-askew') ? skewOf(random) : {};
      replicas.push(await startReplica({ name: `replica-${i}`, config: layered(i), env }));
    }
    const ready = async (timeoutMs = 90_000) => {
      await Promise.all(replicas.filter((r) => r.running()).map((replica) => replica.waitReady(timeoutMs)));
    };
    await ready();
    const prometheus = await startTruthPrometheus(replicas);
    ends.push(() => prometheus.stop());
    const watch = new Watch(ledger, book, () => accounting.limit);
    ends.push(() => watch.end());
    return {
      plan,
      ground,
      random,
      redis,
      ledger,
      replicas,
      prometheus,
      topics,
      frail: topics.find(({ name }) => name.endsWith('-frail')),
      group,
      book,
      writer,
      watch,
      accounting,
      judging: {
        excuses: excusesOf(plan, BIRTH_HOLD_S, false),
        startedS: Date.now() / 1000,
        timeoutMs: PROMETHEUS_PATIENCE_MS,
      },
      flow: () => writer.start(RECORDS_PER_SECOND),
      metric: async (name) => {
        const all = await Promise.all(replicas.map((replica) => selfMetrics(replica).catch(() => () => 0)));
        return all.reduce((sum, metrics) => sum + metrics(name), 0);
      },
      ready,
      configure: async (i) => {
        const { port, configFile } = replicas[i]!;
        writeFileSync(configFile, stringify({ ...layered(i), server: { host: '127.0.0.1', port } }));
      },
      keepLogs: (directory) => keepLogs(directory, { replicas, redis, prometheus, ground }),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function makeTopics(plan: Plan, ground: Ground, group: string): Promise<TopicNow[]> {
  const { brokers } = ground.kafka;
  const topics: TopicNow[] = [];
  const add = async (name: string, partitions: number, weight: number) => {
    topics.push({ name, id: await topicId(ground.kafka, name), partitions, weight });
  };
  await createTopic(brokers, `${group}-main`, { partitions: PARTITIONS, replicas: NODES.length });
  await add(`${group}-main`, PARTITIONS, 10);
  if (plan.conditions.includes('compacted-topic')) {
    await createTopic(brokers, `${group}-compacted`, { partitions: 2, replicas: NODES.length, config: COMPACTING });
    await add(`${group}-compacted`, 2, 2);
  }
  if (plan.steps.some(({ faults }) => faults.some(({ name }) => name === 'unclean-election'))) {
    // On the first and the second node, whose followers may fall behind and still be elected.
    const config = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' };
    const assignment = [1, 2].map(() => [NODES[0] + 1, NODES[1] + 1]);
    await createTopic(brokers, `${group}-frail`, { assignment, config });
    await add(`${group}-frail`, 2, 2);
  }
  return topics;
}

async function ownConfig(
  replica: number,
  ground: Ground,
  redis: RedisSide,
  topics: readonly TopicNow[],
  group: string,
): Promise<ReplicaConfig> {
  return {
    kafka: {
      brokers: ground.proxied,
      topics: topics.map(({ name }) => name),
      group_id: group,
      client_id: `replica-${replica}`,
      session_timeout: '6s',
    },
    redis: { ...(await redis.config(replica)), key_prefix: PREFIX },
    ledger: { flush_interval: '500ms' },
    publish: { lease: '3s', birth_hold: `${BIRTH_HOLD_S}s` },
    log: { level: 'info', format: 'json' },
  };
}

function accountingConfig({ limit, dimensions }: Accounting): ReplicaConfig {
  return {
    usage: { cost_attribution: { max_cardinality: limit } },
    overrides: { defaults: { cost_attribution: { dimensions } } },
  };
}

/** Wall clocks up to ten minutes off, each with a jump of up to a minute, in either direction, in the middle of the run. */
function skewOf(random: Random): Record<string, string> {
  return {
    NODE_OPTIONS: `--import=${join(import.meta.dirname, 'clock-skew.ts')}`,
    CHAOS_CLOCK_OFFSET_MS: String(random.between(-600_000, 600_000)),
    CHAOS_CLOCK_JUMP_MS: String(random.between(-60_000, 60_000)),
    CHAOS_CLOCK_JUMP_AFTER_MS: String(random.between(10_000, 60_000)),
  };
}

async function endAll(replicas: readonly Replica[]): Promise<void> {
  for (const replica of replicas) replica.signal('SIGKILL');
  await Promise.all(replicas.map((replica) => replica.stop(0)));
}

function keepLogs(
  directory: string,
  { replicas, redis, prometheus, ground }: Pick<Stage, 'replicas' | 'redis' | 'prometheus' | 'ground'>,
): string {
  mkdirSync(directory, { recursive: true });
  for (const { name, logFile, configFile } of replicas) {
    cpSync(logFile, join(directory, `${name}.log`));
    cpSync(configFile, join(directory, `${name}.yaml`));
  }
  for (const { port, dir } of redis.servers) cpSync(join(dir, 'server.log'), join(directory, `redis-${port}.log`));
  for (const node of NODES)
    cpSync(join(ground.kafka.dir, `node-${node}.log`), join(directory, `kafka-${basename(`${node}`)}.log`));
  writeFileSync(join(directory, 'prometheus.log'), prometheus.log());
  return directory;
}
