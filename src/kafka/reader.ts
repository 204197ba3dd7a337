/**
 * Reads the partitions of one generation and hands them to the handler, until it is stopped. One loop for each broker
 * that leads any of them: it asks for what comes next as soon as an answer is there, and hands that answer over
 * meanwhile, so that two answers are in memory at most.
 *
 * What was fetched is delivered only while nothing has been said to the contrary: the generation lasts, the partition
 * was not sought and is not paused, and all that lay before it was taken. One partition's trouble (out of range,
 * undecodable, unknown) leaves the others alone.
 */
import type { Connections } from './connections.ts';
import { asError, SourceBroken, SourceUnavailable } from './errors.ts';
import { HandOver, type HandOverOptions, type Request } from './hand-over.ts';
import { type HeldPartition, type HeldPartitions, partitionKey } from './held.ts';
import { rateLimit } from './log-bridge.ts';
import type { SourceHandler } from './port.ts';
import { behindBatches } from './record-batch.ts';
import {
  type FetchAnswer,
  type FetchLimits,
  fetchRequest,
  NO_ERROR,
  OFFSET_OUT_OF_RANGE,
  TOPIC_AUTHORIZATION_FAILED,
  UNKNOWN_TOPIC_OR_PARTITION,
} from './requests.ts';
import { Signal } from './signal.ts';

export type ReaderOptions = Omit<HandOverOptions, 'handler'> & {
  readonly connections: Connections;
  readonly held: HeldPartitions;
  readonly handler: Pick<SourceHandler, 'batch' | 'outOfRange'>;
  readonly limits: FetchLimits;
  /** The handler has thrown, or this code has a fault: reading has stopped for good. */
  readonly fault: (error: SourceBroken) => void;
  /** A topic is not what it was when the group was joined. */
  readonly topicsChanged: () => void;
};

/** A fetch on its way, or answered; the answer never rejects. */
type Round = { readonly requests: readonly Request[]; readonly answer: Promise<FetchAnswer | Error> };

const DECODED_AT_ONCE = 4;
const NOTHING_AHEAD: ReadonlyMap<HeldPartition, number> = new Map();
const IDLE_MS = 1_000;
const NO_LEADER_MS = 250;
const BROKER_AWAY_MS = 500;
const DENIED_MS = 5_000;
const SAY_AGAIN_MS = 30_000;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #handOver: HandOver;
  readonly #signal = new Signal();
  readonly #leaders = new Map<string, number>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #say = rateLimit(SAY_AGAIN_MS, () => performance.now());
  #isStopped = false;
  #lookForLeaders = true;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#handOver = new HandOver(options, (error) => this.#fail(error));
  }

  /** Delivers nothing more; what the handler has in hand is no longer current. */
  stop(): void {
    this.#isStopped = true;
    this.#handOver.stop();
    this.#signal.fire();
  }

  /** Something about the partitions has changed (sought, resumed): look at once. */
  wake(): void {
    this.#signal.fire();
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** Resolves after `stop`, when every loop has ended; never rejects. */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      if (this.#lookForLeaders) await this.#findLeaders();
      for (const nodeId of new Set(this.#leaders.values())) this.#startLoop(nodeId);
      await this.#signal.wait(this.#lookForLeaders ? NO_LEADER_MS : IDLE_MS);
    }
    await Promise.all(this.#loops.values());
  }

  #startLoop(nodeId: number): void {
    if (this.#loops.has(nodeId)) return;
    const loop = this.#loop(nodeId)
      .catch((error: unknown) => this.#fail(error))
      .finally(() => this.#loops.delete(nodeId));
    this.#loops.set(nodeId, loop);
  }

  #fail(error: unknown): void {
    this.stop();
    this.#options.fault(new SourceBroken(`a fault while reading: ${asError(error).message}`, { cause: error }));
  }

  async #findLeaders(): Promise<void> {
    const { connections, held, logger } = this.#options;
    try {
      const names = [...new Set(held.all.map(({ topic }) => topic))];
      const { topics } = await connections.metadata(names);
      this.#leaders.clear();
      for (const { name, partitions } of topics) {
        for (const { partition, leader } of partitions) {
          if (leader >= 0 && held.get({ topic: name, partition }))
            this.#leaders.set(partitionKey({ topic: name, partition }), leader);
        }
      }
      this.#lookForLeaders = held.all.some((where) => !this.#leaders.has(partitionKey(where)));
      if (this.#lookForLeaders) {
        this.#options.watch('no_leader');
        this.#options.topicsChanged();
      }
    } catch (error) {
      this.#options.watch('broker_silent');
      if (this.#say('leaders') !== null)
        logger.warn({ error: asError(error).message }, 'Kafka cannot be asked who leads the partitions; asking again');
    }
  }

  #leadersMayHaveMoved(): void {
    this.#lookForLeaders = true;
    this.#signal.fire();
  }

  async #loop(nodeId: number): Promise<void> {
    let round: Round | null = null;
    try {
      while (!this.#isStopped) {
        round ??= this.#ask(nodeId, NOTHING_AHEAD);
        if (round === null) {
          if (!(await this.#rest(nodeId))) return;
          continue;
        }
        const answer: FetchAnswer | Error = await round.answer;
        // The broker is busy with what comes next while this is worked on.
        const next: Round | null =
          this.#isStopped || answer instanceof Error ? null : this.#ask(nodeId, this.#ahead(round, answer));
        if (answer instanceof Error) await this.#noAnswer(nodeId, answer);
        else await this.#takeAll(round, answer);
        release(round, next);
        round = next;
      }
    } finally {
      if (round !== null) release(round, null);
    }
  }

  /** Waits until there may be something to ask of this broker. False where it leads nothing any more. */
  async #rest(nodeId: number): Promise<boolean> {
    const led = this.#ledBy(nodeId);
    if (led.length === 0) return false;
    const now = performance.now();
    const soonest = Math.min(...led.filter((held) => !held.isPaused).map((held) => held.blockedUntilMs));
    await this.#signal.wait(Math.max(1, Math.min(IDLE_MS, soonest > now ? soonest - now : IDLE_MS)));
    return true;
  }

  #ledBy(nodeId: number): HeldPartition[] {
    return this.#options.held.all.filter((held) => this.#leaders.get(partitionKey(held)) === nodeId);
  }

  /** Sends a fetch of all that is wanted of this broker; null where nothing is. */
  #ask(nodeId: number, ahead: ReadonlyMap<HeldPartition, number>): Round | null {
    const { connections, limits } = this.#options;
    const now = performance.now();
    const requests = this.#ledBy(nodeId)
      .filter((held) => isWanted(held, nodeId, now))
      .map((held) => ({ held, stamp: held.stamp, offset: ahead.get(held) ?? held.position! }));
    if (requests.length === 0) return null;
    for (const { held } of requests) held.busyWith = nodeId;
    const wanted = requests.map(({ held, offset }) => ({ topic: held.topic, partition: held.partition, offset }));
    const answer = connections
      .on(nodeId, (broker) => broker.connectionPool.send(fetchRequest(wanted, limits)))
      .then((found) => (found.error === NO_ERROR ? found : new SourceUnavailable(`Kafka's error ${found.error}`)))
      .catch(asError);
    return { requests, answer };
  }

  /** Where partitions will stand once all of this answer is taken. What was refused rests from here on. */
  #ahead(round: Round, answer: FetchAnswer): ReadonlyMap<HeldPartition, number> {
    const ahead = new Map<HeldPartition, number>();
    const byPartition = byKey(round);
    for (const fetched of answer.partitions) {
      const request = byPartition.get(partitionKey(fetched));
      if (request === undefined || !this.#handOver.isDeliverable(request)) continue;
      const { held, offset } = request;
      if (fetched.error !== NO_ERROR) this.#refused(request, fetched.error);
      if (fetched.error !== NO_ERROR || fetched.records.length === 0) continue;
      this.#options.held.served(held);
      ahead.set(held, behindBatches(fetched.records, offset));
    }
    return ahead;
  }

  async #noAnswer(nodeId: number, error: Error): Promise<void> {
    if (this.#isStopped) return;
    this.#options.watch('broker_silent');
    if (this.#say(`fetch ${nodeId}`) !== null)
      this.#options.logger.warn(
        { broker: nodeId, error: error.message },
        'a broker does not answer fetches; trying again',
      );
    this.#leadersMayHaveMoved();
    await this.#signal.wait(BROKER_AWAY_MS);
  }

  async #takeAll(round: Round, answer: FetchAnswer): Promise<void> {
    const byPartition = byKey(round);
    await atMost(DECODED_AT_ONCE, answer.partitions, async (fetched) => {
      const request = byPartition.get(partitionKey(fetched));
      if (request === undefined || fetched.error !== NO_ERROR || !this.#handOver.isDeliverable(request)) return;
      await this.#handOver.take(request, fetched);
    });
    // Every handler has come back. Had one thrown, others could still be reading: then the memory is left alone.
    this.#options.connections.giveBack(answer.memory);
  }

  #refused({ held }: Request, error: number): void {
    const { logger, handler, topicsChanged } = this.#options;
    if (error === OFFSET_OUT_OF_RANGE) {
      // Asked again it would be refused again: it rests until the handler has sought.
      held.blockedUntilMs = Number.POSITIVE_INFINITY;
      handler.outOfRange({ topic: held.topic, partition: held.partition });
      // The log of another topic of this name would be out of range first of all.
      topicsChanged();
      return;
    }
    const denied = error === TOPIC_AUTHORIZATION_FAILED;
    held.blockedUntilMs = performance.now() + (denied ? DENIED_MS : NO_LEADER_MS);
    if (denied) this.#options.watch('not_authorized');
    if (denied && this.#say(`denied ${held.topic}`) !== null)
      logger.error({ topic: held.topic }, 'not authorized to read the topic: it needs Read; trying again');
    if (error === UNKNOWN_TOPIC_OR_PARTITION) topicsChanged();
    if (!denied) this.#leadersMayHaveMoved();
  }
}

const isWanted = (held: HeldPartition, nodeId: number, nowMs: number): boolean =>
  held.position !== null &&
  !held.isPaused &&
  (held.busyWith === null || held.busyWith === nodeId) &&
  held.blockedUntilMs <= nowMs;

const byKey = ({ requests }: Round): ReadonlyMap<string, Request> =>
  new Map(requests.map((request) => [partitionKey(request.held), request]));

/** What the round held is free again, but for what the next one holds. */
const release = (round: Round, next: Round | null): void => {
  const kept = new Set(next?.requests.map(({ held }) => held));
  for (const { held } of round.requests) if (!kept.has(held)) held.busyWith = null;
};

/** Runs `work` for each item, `limit` of them at a time. */
const atMost = async <T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async () => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
};
