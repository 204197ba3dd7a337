/**
 * One membership in a consumer group (the classic protocol): join, heartbeat, commit, leave. kafkajs's own tells
 * nobody its generation, commits nothing for a while after a join, and commits -1 on an offset out of range.
 */
import {
  ASSIGNOR_NAME,
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './assignor.ts';
import type { Connections } from './connections.ts';
import { protocolError, StaleGeneration } from './errors.ts';
import { type JoinAnswer, joinGroup, type KafkajsBroker, MEMBER_ID_REQUIRED } from './kafkajs-internals.ts';
import type { CommitRequest, TopicInfo, TopicPartition } from './port.ts';

export type MembershipOptions = {
  readonly connections: Connections;
  readonly groupId: string;
  readonly sessionTimeoutMs: number;
  /** How long the group waits for a member to come back to a join. */
  readonly rebalanceTimeoutMs: number;
  /** Asked by the group's leader, for every topic that any member reads. */
  readonly topics: (names: readonly string[]) => Promise<readonly TopicInfo[]>;
};

export type Joined = {
  readonly generation: number;
  readonly isLeader: boolean;
  readonly members: number;
  readonly partitions: readonly TopicPartition[];
  /** The topics of the whole group as the assignment was made from them; null where another member made it. */
  readonly planned: readonly TopicInfo[] | null;
};

/** The coordinator's way to say that this membership is over, or that this generation is. */
const MEMBERSHIP_OVER = new Set(['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION', 'FENCED_INSTANCE_ID']);
const STALE = new Set([...MEMBERSHIP_OVER, 'REBALANCE_IN_PROGRESS']);

export type Pulse = 'alive' | 'rebalancing' | 'evicted';

export class Membership {
  readonly #options: MembershipOptions;
  #memberId = '';
  #generation: number | null = null;
  #owned: readonly TopicPartition[] = [];
  #ownedSince = -1;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  /** Null while there is none. */
  get generation(): number | null {
    return this.#generation;
  }

  /** Joins, waits for the others, and answers this member's part. Rejects where the join must be begun again. */
  async join(topics: readonly string[]): Promise<Joined> {
    this.#generation = null;
    const answer = await this.#join(topics);
    try {
      const isLeader = answer.memberId === answer.leaderId;
      const plan = isLeader ? await this.#plan(answer) : { planned: null, assignments: [] };
      const { memberAssignment } = await this.#ask((broker) =>
        broker.syncGroup({
          groupId: this.#options.groupId,
          generationId: answer.generationId,
          memberId: answer.memberId,
          groupAssignment: plan.assignments,
        }),
      );
      const wanted = new Set(topics);
      const partitions = decodeAssignment(memberAssignment).filter(({ topic }) => wanted.has(topic));
      this.#generation = answer.generationId;
      this.#owned = partitions;
      this.#ownedSince = answer.generationId;
      return {
        generation: answer.generationId,
        isLeader,
        members: answer.members.length,
        partitions,
        planned: plan.planned,
      };
    } catch (error) {
      if (MEMBERSHIP_OVER.has(protocolError(error))) this.#memberId = '';
      throw error;
    }
  }

  /** Rejects when nothing is known (the coordinator cannot be reached). */
  async heartbeat(): Promise<Pulse> {
    const groupGenerationId = this.#generation;
    if (groupGenerationId === null) return 'evicted';
    try {
      await this.#ask((broker) =>
        broker.heartbeat({ groupId: this.#options.groupId, groupGenerationId, memberId: this.#memberId }),
      );
      return 'alive';
    } catch (error) {
      const type = protocolError(error);
      if (type === 'REBALANCE_IN_PROGRESS') return 'rebalancing';
      if (!MEMBERSHIP_OVER.has(type)) throw error;
      // An answer to an earlier life says nothing of this one.
      if (this.#generation === groupGenerationId) this.forget();
      return 'evicted';
    }
  }

  /** As `RecordSource.commit`: goes out with exactly this generation, or not at all. */
  async commit(generation: number, requests: readonly CommitRequest[]): Promise<void> {
    if (generation !== this.#generation) throw this.#stale(generation);
    if (requests.length === 0) return;
    for (const { topic, partition, offset } of requests) {
      if (!Number.isSafeInteger(offset) || offset < 0)
        throw new RangeError(`commit of ${topic}/${partition} at ${offset}`);
    }
    const memberId = this.#memberId;
    try {
      await this.#ask((broker) =>
        broker.offsetCommit({
          groupId: this.#options.groupId,
          groupGenerationId: generation,
          memberId,
          topics: groupByTopic(requests, ({ partition, offset, metadata }) => ({
            partition,
            offset: `${offset}`,
            metadata,
          })),
        }),
      );
    } catch (error) {
      if (STALE.has(protocolError(error))) throw this.#stale(generation, error);
      throw error;
    }
  }

  /** Gives the partitions up for the others at once. After a failure the session's end does the same. */
  async leave(via: Connections): Promise<void> {
    const memberId = this.#memberId;
    this.forget();
    if (memberId === '') return;
    await via.onCoordinator(this.#options.groupId, (broker) =>
      broker.leaveGroup({ groupId: this.#options.groupId, memberId }),
    );
  }

  /** The membership is gone; what was held is remembered, so that it can come back. */
  forget(): void {
    this.#generation = null;
    this.#memberId = '';
  }

  async #join(topics: readonly string[]): Promise<JoinAnswer> {
    const { groupId, sessionTimeoutMs, rebalanceTimeoutMs } = this.#options;
    const metadata = encodeSubscription(topics, { owned: this.#owned, generation: this.#ownedSince });
    for (;;) {
      const memberId = this.#memberId;
      try {
        const answer = await this.#ask((broker) =>
          joinGroup(broker, {
            groupId,
            sessionTimeout: sessionTimeoutMs,
            rebalanceTimeout: rebalanceTimeoutMs,
            memberId,
            groupProtocols: [{ name: ASSIGNOR_NAME, metadata }],
          }),
        );
        this.#memberId = answer.memberId;
        if (answer.errorCode !== MEMBER_ID_REQUIRED) return answer;
      } catch (error) {
        if (!MEMBERSHIP_OVER.has(protocolError(error)) || memberId === '') throw error;
        this.#memberId = '';
      }
    }
  }

  async #plan(answer: JoinAnswer) {
    const members = answer.members.map(({ memberId, memberMetadata }) => ({
      id: memberId,
      ...decodeSubscription(memberMetadata),
    }));
    const planned = await this.#options.topics([...new Set(members.flatMap(({ topics }) => topics))]);
    const partitions = planned.flatMap(({ name, partitions: count }) =>
      Array.from({ length: count }, (_, partition) => ({ topic: name, partition })),
    );
    const assignments = [...assign(members, partitions)].map(([memberId, share]) => ({
      memberId,
      memberAssignment: encodeAssignment(share),
    }));
    return { planned, assignments };
  }

  #ask<T>(run: (broker: KafkajsBroker) => Promise<T>): Promise<T> {
    return this.#options.connections.onCoordinator(this.#options.groupId, run);
  }

  #stale(generation: number, cause?: unknown): StaleGeneration {
    const now = this.#generation === null ? 'no generation is held' : `the generation is ${this.#generation}`;
    return new StaleGeneration(`generation ${generation} is over: ${now}`, { cause });
  }
}

export const groupByTopic = <T extends TopicPartition, U>(
  items: readonly T[],
  make: (item: T) => U,
): { topic: string; partitions: U[] }[] => {
  const topics = new Map<string, U[]>();
  for (const item of items) {
    const list = topics.get(item.topic);
    if (list === undefined) topics.set(item.topic, [make(item)]);
    else list.push(make(item));
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }));
};
