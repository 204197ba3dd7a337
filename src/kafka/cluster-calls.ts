/**
 * What is asked of the cluster beside the reading. On connections of its own: a join holds up everything else on a
 * connection for as long as the group takes. Every call has a deadline, and one kind of error.
 */
import type { Connections } from './connections.ts';
import { asError, protocolError, SourceUnavailable, StaleGeneration } from './errors.ts';
import { groupByTopic } from './membership.ts';
import type { CommitRequest, GroupCommit, LogRange, TopicInfo, TopicPartition } from './port.ts';
import {
  NO_ERROR,
  READ_COMMITTED,
  TOPIC_AUTHORIZATION_FAILED,
  type TopicMetadata,
  UNKNOWN_TOPIC_OR_PARTITION,
} from './requests.ts';
import { isPattern, matcherOf } from './topic-names.ts';
import { wayOut } from './trouble.ts';

export type ClusterCallsOptions = {
  readonly connections: Connections;
  readonly groupId: string;
  readonly timeoutMs: number;
};

type Offset = { readonly offset: number };

/** What the coordinator says to a commit from outside of a group that has members. */
const HELD = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'REBALANCE_IN_PROGRESS']);
const EARLIEST = -2;
const LATEST = -1;

export class ClusterCalls {
  readonly #options: ClusterCallsOptions;

  constructor(options: ClusterCallsOptions) {
    this.#options = options;
  }

  /** `names`: also patterns. */
  topics(names: readonly string[]): Promise<readonly TopicInfo[]> {
    return this.#within('topics', async () => {
      const topics = await this.#metadata(names);
      return topics.map(({ name, id, partitions }) => ({ name, id: id || name, partitions: partitions.length }));
    });
  }

  clusterId(): Promise<string> {
    return this.#within('cluster id', async () => (await this.#options.connections.metadata([])).clusterId);
  }

  /** `end` is the last stable offset: what a reader of committed records can reach. */
  ranges(partitions: readonly TopicPartition[]): Promise<readonly LogRange[]> {
    return this.#within('log ranges', async () => {
      return this.#byLeader(partitions, (leader, held) => this.#rangesAt(leader, held));
    });
  }

  async #byLeader<T>(
    partitions: readonly TopicPartition[],
    ask: (leader: number, held: readonly TopicPartition[]) => Promise<readonly T[]>,
  ): Promise<readonly T[]> {
    if (partitions.length === 0) return [];
    const leaders = leadersOf(await this.#metadata([...new Set(partitions.map(({ topic }) => topic))]));
    const byLeader = new Map<number, TopicPartition[]>();
    for (const where of partitions) {
      const leader = leaders.get(`${where.partition}/${where.topic}`);
      if (leader === undefined)
        throw new SourceUnavailable(`${where.topic}/${where.partition} has no leader, or does not exist`);
      byLeader.set(leader, [...(byLeader.get(leader) ?? []), where]);
    }
    return (await Promise.all([...byLeader].map(([leader, held]) => ask(leader, held)))).flat();
  }

  commits(partitions: readonly TopicPartition[]): Promise<readonly GroupCommit[]> {
    return this.#within('commits', async () => {
      if (partitions.length === 0) return [];
      const { connections, groupId } = this.#options;
      const topics = groupByTopic(partitions, ({ partition }) => ({ partition }));
      const { responses } = await connections.onCoordinator(groupId, (broker) =>
        broker.offsetFetch({ groupId, topics }),
      );
      return responses.flatMap(({ topic, partitions: found }) =>
        found.map(({ partition, offset, metadata }) => {
          const at = Number(offset);
          return at < 0
            ? { topic, partition, offset: null, metadata: '' }
            : { topic, partition, offset: at, metadata: metadata ?? '' };
        }),
      );
    });
  }

  /** The first offset of each whose record is of that time or later; the end where there is none. */
  offsetsAt(partitions: readonly TopicPartition[], timestampMs: number): Promise<readonly (TopicPartition & Offset)[]> {
    return this.#within('offsets by time', async () => {
      const found = await this.#byLeader(partitions, (leader, held) => this.#listAt(leader, held, timestampMs));
      const ends = await this.#byLeader(partitions, (leader, held) => this.#listAt(leader, held, LATEST));
      const last = new Map(ends.map(({ topic, partition, offset }) => [`${partition}/${topic}`, offset]));
      return found.map((one) => ({
        ...one,
        offset: one.offset < 0 ? last.get(`${one.partition}/${one.topic}`)! : one.offset,
      }));
    });
  }

  /**
   * Writes commits of a group that has no member; the coordinator refuses them while there is one. All or nothing.
   * Rejects with `StaleGeneration` where the group is not empty.
   */
  commitUnheld(requests: readonly CommitRequest[]): Promise<void> {
    return this.#within('commit', async () => {
      if (requests.length === 0) return;
      const { connections, groupId } = this.#options;
      const topics = groupByTopic(requests, ({ partition, offset, metadata }) => ({
        partition,
        offset: String(offset),
        metadata,
      }));
      try {
        await connections.onCoordinator(groupId, (broker) =>
          broker.offsetCommit({ groupId, groupGenerationId: -1, memberId: '', topics }),
        );
      } catch (error) {
        if (!HELD.has(protocolError(error))) throw error;
        throw new StaleGeneration(`the group ${groupId} has members`, { cause: error });
      }
    });
  }

  /** How many members the group has, this one among them. */
  members(): Promise<number> {
    return this.#within('members of the group', async () => {
      const { connections, groupId } = this.#options;
      const { groups } = await connections.onCoordinator(groupId, (broker) =>
        broker.describeGroups({ groupIds: [groupId] }),
      );
      return groups.reduce((sum, { members }) => sum + members.length, 0);
    });
  }

  async #metadata(names: readonly string[]): Promise<TopicMetadata[]> {
    const { topics } = await this.#options.connections.metadata(names.some(isPattern) ? null : names);
    const isWanted = matcherOf(names);
    const found: TopicMetadata[] = [];
    for (const topic of topics) {
      if (!isWanted(topic.name)) continue;
      if (topic.error === UNKNOWN_TOPIC_OR_PARTITION) continue;
      if (topic.error === TOPIC_AUTHORIZATION_FAILED) {
        throw new SourceUnavailable(`not authorized to describe the topic ${topic.name}: it needs Read and Describe`);
      }
      // An error of the topic itself, such as one just made, whose leaders are not elected: its partitions are not complete.
      if (topic.error !== NO_ERROR)
        throw new SourceUnavailable(`the topic ${topic.name} cannot be described: Kafka's error ${topic.error}`);
      found.push(topic);
    }
    return found;
  }

  async #rangesAt(leader: number, partitions: readonly TopicPartition[]): Promise<LogRange[]> {
    const ask = async (timestamp: number) =>
      new Map(
        (await this.#listAt(leader, partitions, timestamp)).map(({ topic, partition, offset }) => [
          `${partition}/${topic}`,
          offset,
        ]),
      );
    // The start first: asked the other way round, a log that is cut in between would seem to end before it starts.
    const starts = await ask(EARLIEST);
    const ends = await ask(LATEST);
    return partitions.map(({ topic, partition }) => {
      const start = starts.get(`${partition}/${topic}`);
      const end = ends.get(`${partition}/${topic}`);
      if (start === undefined || end === undefined) throw new SourceUnavailable(`no offsets for ${topic}/${partition}`);
      return { topic, partition, start, end };
    });
  }

  async #listAt(
    leader: number,
    partitions: readonly TopicPartition[],
    timestamp: number,
  ): Promise<(TopicPartition & Offset)[]> {
    const topics = groupByTopic(partitions, ({ partition }) => ({ partition, timestamp }));
    const { responses } = await this.#options.connections.on(leader, (broker) =>
      broker.listOffsets({ isolationLevel: READ_COMMITTED, topics }),
    );
    return responses.flatMap(({ topic, partitions: found }) =>
      found.map(({ partition, offset }) => ({ topic, partition, offset: Number(offset) })),
    );
  }

  async #within<T>(what: string, work: () => Promise<T>): Promise<T> {
    return withDeadline(what, this.#options.timeoutMs, work);
  }
}

/** Rejects with `SourceUnavailable` for everything that went wrong on the way. What is late may still take effect. */
export const withDeadline = async <T>(what: string, timeoutMs: number, work: () => Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new SourceUnavailable(`${what}: no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work(), late]);
  } catch (error) {
    throw error instanceof StaleGeneration || error instanceof RangeError ? error : unavailable(what, error);
  } finally {
    clearTimeout(timer);
  }
};

const unavailable = (what: string, cause: unknown): SourceUnavailable =>
  cause instanceof SourceUnavailable ? cause : new SourceUnavailable(`${what}: ${explained(cause)}`, { cause });

/** OpenSSL tells of itself, too: `<id>:error:<code>:<library>:<function>:<reason>:<file>:<line>:<more>`. */
const OPENSSL = /[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):[\s\S]*$/;

const explained = (cause: unknown): string => {
  const advice = wayOut(cause);
  const said = asError(cause).message.replace(OPENSSL, '$1');
  return advice === null ? said : `${said} (${advice})`;
};

const leadersOf = (topics: readonly TopicMetadata[]): Map<string, number> =>
  new Map(
    topics.flatMap(({ name, partitions }) =>
      partitions.filter(({ leader }) => leader >= 0).map(({ partition, leader }) => [`${partition}/${name}`, leader]),
    ),
  );
