/** What the state commands work with: the ledger of the configuration, the log, and the group; and how they end. */
import type { Config } from '../config/config.ts';
import { LogReader } from '../kafka/log-reader.ts';
import type { TopicInfo, TopicPartition } from '../kafka/port.ts';
import { markerField } from '../ledger/keys.ts';
import { readCommitMetadata } from '../ledger/partition.ts';
import type { Identity, MarkerField, ShardCut } from '../ledger/port.ts';
import { SHARDS } from '../ledger/port.ts';
import { openRedisLedger, type RedisLedger } from '../ledger/redis-ledger.ts';
import { createLogger } from '../telemetry/logger.ts';
import { CONFIG_OPTION, checkedConfig, type Io, refuse, UsageError, type Values } from './command.ts';
import { kafkaOptions, ledgerOptions } from './reach.ts';

export const STATE_OPTIONS = {
  ...CONFIG_OPTION,
  output: { type: 'string', value: 'HOW', doc: 'table or json (default table)' },
} as const;

/** Of commands that change something: without it they say what they would do. */
export const EXECUTE_OPTION = {
  execute: { type: 'boolean', doc: 'do it; without it nothing is changed' },
} as const;

const SILENT = createLogger({ level: 'silent', format: 'json' });
const TIMEOUT_MS = 10_000;

/** What stands in the way of a command, with the way out. It is printed without a stack trace; the exit code is 1. */
export class Obstacle extends Error {
  override readonly name = 'Obstacle';
}

/** A partition of a topic that is consumed now. */
export type KnownPartition = TopicPartition & {
  readonly field: MarkerField;
  /** Of the readable log. */
  readonly log: { readonly start: number; readonly end: number };
  readonly commit: { readonly offset: number; readonly metadata: string } | null;
  /** First offset that was counted; null where nobody knows any more. */
  readonly start: number | null;
};

export type State = {
  readonly config: Config;
  readonly identity: Identity;
  readonly ledger: RedisLedger;
  readonly log: LogReader;
  readonly io: Io;
};

/**
 * Runs a command on the ledger that the configuration names, after it was made sure that it is this installation's.
 * Answers the exit code.
 */
export const withState = async (values: Values, io: Io, run: (state: State) => Promise<number>): Promise<number> => {
  const checked = checkedConfig(values, io);
  if ('problems' in checked) return refuse(checked.problems, io);
  const { config } = checked;
  const options = ledgerOptions(config);
  if (options === null) {
    io.err('no Redis is configured, and an embedded ledger lives inside of its service');
    return 1;
  }
  const ledger = openRedisLedger({ ...options, commandTimeoutMs: TIMEOUT_MS });
  const { topics: _, ...source } = kafkaOptions(config);
  const log = new LogReader({ ...source, callTimeoutMs: TIMEOUT_MS, logger: SILENT });
  try {
    const identity = { clusterId: await log.calls.clusterId(), groupId: config.kafka.groupId };
    await ledger.join(identity);
    return await run({ config, identity, ledger, log, io });
  } catch (error) {
    if (!isExpected(error)) throw error;
    io.progress?.('');
    io.err(error.message);
    return 1;
  } finally {
    await Promise.all([ledger.close(), log.close()]);
  }
};

/** Errors whose message says all that a person needs. */
const isExpected = (error: unknown): error is Error =>
  error instanceof Obstacle ||
  (error instanceof Error && !(error instanceof UsageError) && typeof (error as { code?: unknown }).code === 'string');

/** Every partition of the topics of the configuration that exist. */
export const knownPartitions = async ({ config, log }: State): Promise<readonly KnownPartition[]> => {
  const topics = await log.calls.topics(config.kafka.topics);
  const all = topics.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
  );
  const key = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;
  const commits = new Map((await log.calls.commits(all)).map((commit) => [key(commit), commit]));
  const ranges = new Map((await log.calls.ranges(all)).map((range) => [key(range), range]));
  const ids = new Map(topics.map((topic: TopicInfo) => [topic.name, topic.id]));
  return all.map((where): KnownPartition => {
    const id = ids.get(where.topic)!;
    const commit = commits.get(key(where));
    const note = readCommitMetadata(commit?.metadata ?? '');
    const isOurs = commit?.offset != null && (note === null || note.topicId === id);
    const { start, end } = ranges.get(key(where))!;
    return {
      ...where,
      field: markerField(id, where.partition),
      log: { start, end },
      commit: isOurs ? { offset: commit.offset!, metadata: commit.metadata } : null,
      start: isOurs ? (note?.start ?? null) : null,
    };
  });
};

/** Of every shard, each of one instant; null for one without state. */
export const cutAll = ({ ledger }: Pick<State, 'ledger'>): Promise<readonly (ShardCut | null)[]> =>
  Promise.all(Array.from({ length: SHARDS }, (_, shard) => ledger.cut(shard)));
