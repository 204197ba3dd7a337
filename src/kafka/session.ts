/**
 * The life of a source: wait for the topics, join, read, and begin again after every disturbance, until stopped. Only
 * this loop decides what comes next; timers and answers of brokers set flags and wake it.
 */
import type { ClusterCalls } from './cluster-calls.ts';
import { withDeadline } from './cluster-calls.ts';
import type { Connections } from './connections.ts';
import { asError, protocolError, SourceBroken } from './errors.ts';
import { Generation } from './generation.ts';
import { rateLimit, type SourceLogger } from './log-bridge.ts';
import type { Membership } from './membership.ts';
import type { CommitRequest, SourceHandler, TopicInfo, TopicPartition } from './port.ts';
import type { FetchLimits } from './requests.ts';
import { Signal, settled } from './signal.ts';
import { unmatched } from './topic-names.ts';
import { adviceFor, isBeyondRepair, type SourceTrouble, troubleOf } from './trouble.ts';

export type SessionOptions = {
  readonly reading: Connections;
  readonly asking: Connections;
  readonly calls: ClusterCalls;
  readonly membership: Membership;
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly sessionTimeoutMs: number;
  readonly topicsEveryMs: number;
  readonly limits: FetchLimits;
  readonly maxBatchBytes: number;
  readonly callTimeoutMs: number;
  readonly logger: SourceLogger;
  readonly watch: (trouble: SourceTrouble) => void;
};

/** After an answer that only says: join again. */
const REJOIN_MS = 20;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 5_000;
const TOPIC_RETRY_MS = 1_000;
const SAY_AGAIN_MS = 30_000;
/** How long a rebalance waits for handlers to come back; those that do not are not listened to any more. */
const HANDLERS_BACK_MS = 5_000;
const LEAVE_WITHIN_MS = 2_000;

export class Session {
  readonly #options: SessionOptions;
  readonly #signal = new Signal();
  readonly #running = new Map<string, Promise<unknown>>();
  readonly #say = rateLimit(SAY_AGAIN_MS, () => performance.now());
  #handler: SourceHandler | null = null;
  #generation: Generation | null = null;
  #loop: Promise<void> = Promise.resolve();
  #isQuiet = false;
  #isStopped = false;
  /** The handler believes to be a member. */
  #isAnnounced = false;
  #failures = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  start(handler: SourceHandler): void {
    if (this.#handler !== null) throw new SourceBroken('the source was started before');
    this.#handler = handler;
    this.#loop = this.#run();
  }

  async quiesce(): Promise<void> {
    this.#isQuiet = true;
    this.#generation?.reader.stop();
    this.#signal.fire();
    await Promise.allSettled(this.#running.values());
  }

  async stop(): Promise<void> {
    const { membership, asking, reading } = this.#options;
    this.#isQuiet = true;
    this.#isStopped = true;
    this.#generation?.end('stopped');
    this.#signal.fire();
    // By connections of their own: those of the reading may be waiting for a join, which this ends.
    await settled(membership.leave(asking), LEAVE_WITHIN_MS);
    await Promise.all([reading.close(), asking.close()]);
    await settled(this.#loop, HANDLERS_BACK_MS);
  }

  seek(where: TopicPartition, offset: number): void {
    this.#generation?.held.seek(where, offset);
    this.#generation?.reader.wake();
  }

  pause(partitions: readonly TopicPartition[], isPaused: boolean): void {
    this.#generation?.held.pause(partitions, isPaused);
    if (!isPaused) this.#generation?.reader.wake();
  }

  commit(generation: number, requests: readonly CommitRequest[]): Promise<void> {
    return withDeadline('commit', this.#options.callTimeoutMs, () =>
      this.#options.membership.commit(generation, requests),
    );
  }

  async #run(): Promise<void> {
    while (!this.#isQuiet) {
      try {
        const topics = await this.#existingTopics();
        if (this.#isQuiet) return;
        await this.#readOneGeneration(topics);
      } catch (error) {
        if (this.#isStopped) return;
        if (error instanceof SourceBroken || isBeyondRepair(error)) return this.#fail(asError(error));
        await this.#recover(error);
      }
    }
  }

  /** Waits until there is at least one. Those that are missing are joined later: the group is watched for them. */
  async #existingTopics(): Promise<readonly TopicInfo[]> {
    const { calls, topics, logger, watch } = this.#options;
    while (!this.#isQuiet) {
      const found = await calls.topics(topics);
      const missing = unmatched(topics, found);
      if (missing.length > 0) watch('topic_missing');
      if (missing.length > 0 && this.#say(`missing ${missing.join()}`) !== null) {
        logger.warn(
          { topics: missing },
          'waiting for topics that do not exist: they are read from their first record once they are there',
        );
      }
      if (found.length > 0) return found;
      this.#announceLost();
      await this.#signal.wait(TOPIC_RETRY_MS);
    }
    return [];
  }

  async #readOneGeneration(topics: readonly TopicInfo[]): Promise<void> {
    const { membership, logger, groupId } = this.#options;
    const joined = await membership.join(topics.map(({ name }) => name));
    this.#failures = 0;
    if (this.#isQuiet) return;
    const generation = new Generation({
      ...this.#options,
      joined,
      known: joined.planned ?? topics,
      handler: this.#handler!,
      running: this.#running,
    });
    this.#generation = generation;
    const { partitions, members, isLeader } = joined;
    logger.info(
      { groupId, generation: joined.generation, partitions: partitions.length, ...(isLeader ? { members } : {}) },
      'joined the group',
    );
    this.#announceAssigned(joined.generation, partitions);
    const end = await generation.run();
    if (!this.#isStopped && end.kind !== 'fault') {
      logger.info({ groupId, generation: joined.generation, why: end.kind }, 'the generation is over');
      await settled(Promise.all(this.#running.values()), HANDLERS_BACK_MS);
    }
    generation.close();
    if (end.kind === 'fault') throw end.error;
    if (end.kind === 'evicted') this.#announceLost();
  }

  #announceAssigned(generation: number, partitions: readonly TopicPartition[]): void {
    this.#isAnnounced = true;
    this.#tell((handler) => handler.assigned(generation, partitions));
  }

  #announceLost(): void {
    if (!this.#isAnnounced) return;
    this.#isAnnounced = false;
    this.#tell((handler) => handler.lost());
  }

  #tell(say: (handler: SourceHandler) => void): void {
    if (this.#isQuiet) return;
    try {
      say(this.#handler!);
    } catch (cause) {
      throw new SourceBroken(`a fault in what listens to the source: ${asError(cause).message}`, { cause });
    }
  }

  async #recover(error: unknown): Promise<void> {
    const type = protocolError(error);
    if (type === 'REBALANCE_IN_PROGRESS' || type === 'UNKNOWN_MEMBER_ID' || type === 'ILLEGAL_GENERATION')
      return this.#signal.wait(REJOIN_MS);
    const { logger, groupId, topics } = this.#options;
    const { message } = asError(error);
    this.#options.watch(troubleOf(error));
    const held = this.#say(`${type} ${message}`);
    if (held !== null)
      logger.warn({ groupId, topics, error: message, ...(held > 0 ? { heldBack: held } : {}) }, adviceFor(error));
    try {
      this.#announceLost();
    } catch (fault) {
      return this.#fail(asError(fault));
    }
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures++);
    await this.#signal.wait(wait * (0.5 + Math.random() / 2));
  }

  #fail(error: Error): void {
    const { logger, groupId, membership, asking } = this.#options;
    if (this.#isQuiet) return;
    this.#isQuiet = true;
    logger.error({ groupId, error: error.message }, 'reading has stopped for good');
    void membership.leave(asking).catch(() => {});
    this.#handler?.failed(error instanceof SourceBroken ? error : new SourceBroken(adviceFor(error), { cause: error }));
  }
}
