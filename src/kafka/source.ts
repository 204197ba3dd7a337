import type { ConnectionOptions } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import { ClusterCalls } from './cluster-calls.ts';
import { Connections } from './connections.ts';
import type { SourceLogger } from './log-bridge.ts';
import { Membership } from './membership.ts';
import type { RecordSource, TopicInfo } from './port.ts';
import { Session } from './session.ts';
import type { SourceTrouble } from './trouble.ts';

export type KafkaSourceOptions = {
  /** `host:port`; tried in turn. */
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly groupId: string;
  readonly topics: readonly string[];
  /** Null or left out: plain. */
  readonly tls?: ConnectionOptions | null;
  readonly sasl?: SASLOptions | null;
  /** Without a heartbeat for so long the group takes this member for dead. Default 30,000. */
  readonly sessionTimeoutMs?: number;
  /** Bytes of one partition in one fetch. Default 16 MiB. A single larger batch comes whole. */
  readonly maxBytesPerPartition?: number;
  /** How often the topics are looked at for new partitions and new ids. Default 10,000. */
  readonly topicsEveryMs?: number;
  /** How long a fetch waits for records. Default 500; also the longest that a resume takes to be felt. */
  readonly maxWaitMs?: number;
  /** Deadline of a call to the cluster. Default 10,000. */
  readonly callTimeoutMs?: number;
  readonly logger: SourceLogger;
  /** Hears each time that something cannot be read, also where the log has said so already. Must not throw. */
  readonly watch?: (trouble: SourceTrouble) => void;
};

/** `members`: how many the group has, this one among them. */
export type KafkaSource = RecordSource & { members(): Promise<number> };

const MIB = 1 << 20;
const DEFAULT_SESSION_MS = 30_000;
const DEFAULT_BYTES_PER_PARTITION = 16 * MIB;
const DEFAULT_TOPICS_EVERY_MS = 10_000;
const DEFAULT_WAIT_MS = 500;
const DEFAULT_CALL_MS = 10_000;
/** The group waits so long for a member to come back to a join; members that are dead are known by their session. */
const REBALANCE_MS = 60_000;
/** What a packed batch may unfold into: OTLP seldom reaches a tenth of this per byte. */
const UNFOLDING = 16;
const LEAST_UNFOLDED = 64 * MIB;

/**
 * A member of a consumer group, on kafkajs's connections. Nothing connects before `start`. Throws a `TypeError` for
 * addresses that are none.
 */
export const createKafkaSource = (options: KafkaSourceOptions): KafkaSource => {
  const { groupId, logger } = options;
  const maxBytesPerPartition = options.maxBytesPerPartition ?? DEFAULT_BYTES_PER_PARTITION;
  const callTimeoutMs = options.callTimeoutMs ?? DEFAULT_CALL_MS;
  const dial = {
    brokers: options.brokers,
    clientId: options.clientId,
    tls: options.tls ?? null,
    sasl: options.sasl ?? null,
    requestTimeoutMs: callTimeoutMs,
    logger,
  };
  const reading = new Connections(dial);
  const asking = new Connections(dial);
  const calls = new ClusterCalls({ connections: asking, groupId, timeoutMs: callTimeoutMs });
  const sessionTimeoutMs = options.sessionTimeoutMs ?? DEFAULT_SESSION_MS;
  const membership = new Membership({
    connections: reading,
    groupId,
    sessionTimeoutMs,
    rebalanceTimeoutMs: Math.max(REBALANCE_MS, sessionTimeoutMs),
    topics: (names) => calls.topics(names),
  });
  const session = new Session({
    reading,
    asking,
    calls,
    membership,
    groupId,
    topics: options.topics,
    sessionTimeoutMs,
    topicsEveryMs: options.topicsEveryMs ?? DEFAULT_TOPICS_EVERY_MS,
    limits: { maxBytesPerPartition, maxBytes: maxBytesPerPartition, maxWaitMs: options.maxWaitMs ?? DEFAULT_WAIT_MS },
    maxBatchBytes: Math.max(LEAST_UNFOLDED, UNFOLDING * maxBytesPerPartition),
    callTimeoutMs,
    logger,
    watch: options.watch ?? (() => {}),
  });
  return {
    start: async (handler) => session.start(handler),
    quiesce: () => session.quiesce(),
    stop: () => session.stop(),
    seek: (where, offset) => session.seek(where, offset),
    pause: (partitions) => session.pause(partitions, true),
    resume: (partitions) => session.pause(partitions, false),
    commits: (partitions) => calls.commits(partitions),
    commit: (generation, requests) => session.commit(generation, requests),
    topics: (names): Promise<readonly TopicInfo[]> => calls.topics(names),
    ranges: (partitions) => calls.ranges(partitions),
    clusterId: () => calls.clusterId(),
    members: () => calls.members(),
  };
};
