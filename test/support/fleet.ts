/**
 * A fleet for tests of trouble: real replica processes on a Redis of their own and a topic of their own, with short
 * times, traffic whose truth is known, and one question: is the ledger exact?
 */

import { consumerLag } from './consumer-lag.ts';
import { ledgerProblems, openFleetLedger, readTotals } from './fleet-ledger.ts';
import { logLines, selfMetrics } from './fleet-metrics.ts';
import { type RedisServer, startRedis } from './services/redis.ts';
import { type Replica, type ReplicaConfig, startReplica } from './services/replica.ts';
import { connectProducer, createTopic, type HonestProducer, uniqueName } from './topics.ts';
import { confirmTruth, feed, Traffic, type TrafficRecord, Truth } from './traffic.ts';
import { DIMENSIONS } from './traffic-world.ts';
import { waitFor } from './wait-for.ts';

export const PREFIX = 'tracetally';

export type FleetOptions = {
  readonly name: string;
  readonly brokers: readonly string[];
  /** Replicas to begin with; 2 where it is not said. */
  readonly replicas?: number;
  readonly partitions?: number;
  /** Copies of the topic; 1 where it is not said. */
  readonly topicReplicas?: number;
  /** False: the test makes it. */
  readonly createTopic?: boolean;
  /** Settings of the topic. */
  readonly topicConfig?: Readonly<Record<string, string>>;
  /** Put over the settings of every replica, section by section. */
  readonly config?: ReplicaConfig;
  /** Settings of the Redis, as in redis.conf. */
  readonly redis?: Readonly<Record<string, string>>;
};

/** Traffic under way. */
export type Flow = { end(): Promise<void> };

export type Fleet = {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly group: string;
  /** Set it where the topic was given more of them. */
  partitions: number;
  readonly redis: RedisServer;
  /** In the order in which they were added; also those that are down. */
  readonly replicas: readonly Replica[];
  /** What the ledger must hold. */
  readonly truth: Truth;
  readonly traffic: Traffic;
  /** A new, empty truth: what was written so far will not be in the ledger any more. */
  forgetTruth(): void;
  /** Everything that was written belongs into the ledger again. */
  recallTruth(): void;
  /** The topic was made again: what was written so far is counted, and no longer in the log. */
  forgetLog(): void;
  /** Writes so many records of traffic that will be taken away before they are read. Answers the records by partition. */
  writeInVain(records: number): Promise<number[]>;
  producer(): Promise<HonestProducer>;
  /** One more replica; does not wait until it is ready. */
  add(config?: ReplicaConfig): Promise<Replica>;
  ready(): Promise<void>;
  /** Begins traffic; an error of it comes out of `end`. */
  flow(recordsPerSecond?: number): Promise<Flow>;
  /** Writes so many records of traffic, and answers when the brokers have them. */
  write(records: number): Promise<void>;
  /** Writes one record of the test's own. */
  send(record: TrafficRecord, partition?: number): Promise<void>;
  /** Waits until the ledger holds exactly the truth, tenant by tenant, and the group has committed all of it. */
  settle(timeoutMs?: number): Promise<void>;
  /** Sum over the replicas that run of a self-metric, over its labels too unless they are given. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Lines of that name in the logs of all replicas, of their present processes. */
  lines(event: string): readonly Record<string, unknown>[];
  stop(): Promise<void>;
};

const SHORT_TIMES = {
  ledger: { flush_interval: '500ms' },
  publish: { lease: '3s', birth_hold: '0s' },
  log: { level: 'info', format: 'json' },
} as const;

export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { brokers } = options;
  let partitions = options.partitions ?? 4;
  const name = uniqueName(options.name);
  const redis = await startRedis(options.redis === undefined ? {} : { config: options.redis });
  let truth = new Truth();
  const everything = new Truth();
  const written = (record: TrafficRecord): void => {
    truth.add(record);
    everything.add(record);
  };
  /** Records of the log that are not in the truth; negative: the other way round. */
  let beside = 0;
  const traffic = new Traffic(20_260_821);
  const replicas: Replica[] = [];
  let made: Promise<HonestProducer> | undefined;
  const producer = () => (made ??= connectProducer(brokers));

  const add = async (config: ReplicaConfig = {}) => {
    const base = {
      kafka: { brokers, topics: [name], group_id: name, session_timeout: '6s' },
      redis: { url: redis.url, key_prefix: PREFIX },
      overrides: { defaults: { cost_attribution: { dimensions: DIMENSIONS } } },
      ...SHORT_TIMES,
    };
    const layered = overlay(overlay(base, options.config ?? {}), config);
    const replica = await startReplica({ name: `replica-${replicas.length}`, config: layered });
    replicas.push(replica);
    return replica;
  };
  const running = () => replicas.filter((replica) => replica.running());
  const ready = async () => {
    await Promise.all(running().map((replica) => replica.waitReady(40_000)));
  };
  const send = async (record: TrafficRecord, partition = 0) => {
    const { value, headers } = record;
    await (await producer()).send(name, partition, [{ value, headers }]);
    written(record);
  };
  const write = async (records: number, tell: (record: TrafficRecord) => void) => {
    const writer = await producer();
    const counts: number[] = new Array(partitions).fill(0);
    for (let left = records, partition = 0; left > 0; left -= 5, partition = (partition + 1) % partitions) {
      const some = Array.from({ length: Math.min(5, left) }, () => traffic.next(Date.now()));
      const messages = some.map(({ value, headers }) => ({ value, headers }));
      await writer.send(name, partition, messages);
      for (const record of some) tell(record);
      counts[partition]! += some.length;
    }
    return counts;
  };
  const flows = new Set<AbortController>();
  const stop = async () => {
    for (const flow of flows) flow.abort();
    for (const replica of replicas) replica.signal('SIGKILL');
    await Promise.all(replicas.map((replica) => replica.stop(0)));
    await (await made)?.disconnect().catch(() => {});
    await redis.stop();
  };
  try {
    if (options.createTopic !== false)
      await createTopic(brokers, name, {
        partitions,
        replicas: options.topicReplicas ?? 1,
        config: options.topicConfig ?? {},
      });
    for (let i = 0; i < (options.replicas ?? 2); i += 1) await add();
    await ready();
  } catch (error) {
    for (const replica of replicas) process.stderr.write(`--- ${replica.name}\n${replica.log().slice(-3000)}\n`);
    await stop();
    throw error;
  }
  return {
    brokers,
    topic: name,
    group: name,
    get partitions() {
      return partitions;
    },
    set partitions(count) {
      partitions = count;
      // kafkajs's producer learns of new partitions only after minutes.
      void made?.then((old) => old.disconnect()).catch(() => {});
      made = undefined;
    },
    redis,
    replicas,
    get truth() {
      return truth;
    },
    traffic,
    forgetTruth: () => {
      beside += truth.records;
      truth = new Truth();
    },
    recallTruth: () => {
      truth = everything;
      beside = 0;
    },
    forgetLog: () => {
      beside = -truth.records;
    },
    writeInVain: async (records) => {
      beside += records;
      return write(records, () => {});
    },
    producer,
    add,
    ready,
    send,
    flow: async (recordsPerSecond = 40) => {
      const until = new AbortController();
      flows.add(until);
      const flowing = feed({
        producer: await producer(),
        topic: name,
        partitions,
        traffic,
        truth: { add: written },
        recordsPerSecond,
        until: until.signal,
      });
      flowing.catch(() => {});
      return {
        end: async () => {
          until.abort();
          await flowing;
        },
      };
    },
    write: async (records) => {
      await write(records, written);
    },
    settle: async (timeoutMs = 30_000) => {
      await confirmTruth(brokers, name, { records: truth.records + beside });
      await untilExact(redis.url, truth, timeoutMs, replicas);
      await untilNoLag({ brokers, group: name, topic: name }, timeoutMs);
      await untilExact(redis.url, truth, 0, replicas);
    },
    metric: async (metric, labels = {}) => {
      const all = await Promise.all(running().map((replica) => selfMetrics(replica)));
      return all.reduce((sum, metrics) => sum + metrics(metric, labels), 0);
    },
    lines: (event) => replicas.flatMap((replica) => logLines(replica, event)),
    stop,
  };
}

/** Rejects with what is not exact, in words, and the ends of the logs. */
async function untilExact(url: string, truth: Truth, timeoutMs: number, replicas: readonly Replica[]): Promise<void> {
  const ledger = openFleetLedger(url, PREFIX);
  try {
    await waitFor(
      async () => {
        const problems = await readTotals(ledger).then(
          (totals) => ledgerProblems(totals, truth),
          (error: unknown) => [String(error)],
        );
        return problems.length === 0 ? { done: true, value: undefined } : { done: false, seen: problems.slice(0, 8) };
      },
      { timeoutMs, what: 'the ledger to hold exactly the truth', everyMs: 200 },
    );
  } catch (error) {
    for (const replica of replicas) process.stderr.write(`--- ${replica.name}\n${replica.log().slice(-2500)}\n`);
    throw error;
  } finally {
    await ledger.close();
  }
}

type Group = { readonly brokers: readonly string[]; readonly group: string; readonly topic: string };

export async function untilNoLag({ brokers, group, topic }: Group, timeoutMs = 20_000): Promise<void> {
  await waitFor(
    async () => {
      const lag = await consumerLag(brokers, group, topic);
      return lag === 0 ? { done: true, value: undefined } : { done: false, seen: `${lag} records` };
    },
    { timeoutMs, what: 'lag 0', everyMs: 200 },
  );
}

/** SIGKILL, and the end of the process. */
export async function killReplica(replica: Replica): Promise<void> {
  replica.signal('SIGKILL');
  await replica.exit();
}

/** Answers what `/ready` says. A replica that only just starts may not listen yet. */
export async function untilUnready(replica: Replica, timeoutMs: number): Promise<string> {
  return waitFor(
    async () => {
      try {
        const answer = await fetch(`${replica.url}/ready`);
        const text = await answer.text();
        return answer.status === 503 ? { done: true, value: text } : { done: false, seen: text };
      } catch (error) {
        return { done: false, seen: error };
      }
    },
    { timeoutMs, what: `${replica.name} to say that it is not ready` },
  );
}

export async function untilLine(replica: Replica, event: string, timeoutMs: number): Promise<Record<string, unknown>> {
  return waitFor(
    () => {
      const [line] = logLines(replica, event);
      return line === undefined ? { done: false, seen: replica.log().slice(-1500) } : { done: true, value: line };
    },
    { timeoutMs, what: `${event} in the log of ${replica.name}` },
  );
}

function overlay(base: ReplicaConfig, over: ReplicaConfig): ReplicaConfig {
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isSection(below) && isSection(value) && key !== 'dimensions' ? overlay(below, value) : value;
  }
  return merged;
}

function isSection(value: unknown): value is ReplicaConfig {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
