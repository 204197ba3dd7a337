/**
 * Reads the partitions of one generation and hands them to the handler, until it is stopped. One loop for each broker
 * that leads any of them; a loop fetches, hands over all that came, and fetches again.
 *
 * What was fetched is delivered only while nothing has been said to the contrary: the generation lasts, the partition
 * was not sought and is not paused. One partition's trouble (out of range, undecodable, unknown) leaves the others alone.
 */
import type { Connections } from './connections.ts';
import { asError, Rebalancing, SourceBroken, SourceUnavailable, Undecodable } from './errors.ts';
import { type HeldPartition, type HeldPartitions, partitionKey } from './held.ts';
import { rateLimit, type SourceLogger } from './log-bridge.ts';
import type { BatchControl, SourceHandler, SourceRecord, TopicPartition } from './port.ts';
import { abortedFilter, cutBatches, decodeRecords } from './record-batch.ts';
import {
  type FetchAnswer,
  type FetchedPartition,
  type FetchLimits,
  fetchRequest,
  NO_ERROR,
  OFFSET_OUT_OF_RANGE,
  TOPIC_AUTHORIZATION_FAILED,
  UNKNOWN_TOPIC_OR_PARTITION,
} from './requests.ts';
import { Signal } from './signal.ts';
import type { SourceTrouble } from './trouble.ts';

export type ReaderOptions = {
  readonly connections: Connections;
  readonly held: HeldPartitions;
  readonly handler: Pick<SourceHandler, 'batch' | 'outOfRange'>;
  readonly limits: FetchLimits;
  /** What one record batch may unfold into. */
  readonly maxBatchBytes: number;
  readonly logger: SourceLogger;
  readonly watch: (trouble: SourceTrouble) => void;
  /** Sends a heartbeat if one is due. Never rejects. */
  readonly heartbeat: () => Promise<void>;
  /** False where the membership is known, or must be feared, to be over. */
  readonly isMember: () => boolean;
  /** The handler has thrown, or this code has a fault: reading has stopped for good. */
  readonly fault: (error: SourceBroken) => void;
  /** A topic is not what it was when the group was joined. */
  readonly topicsChanged: () => void;
  /** Calls of the handler that have not settled, by partition; outlives the generation. */
  readonly running: Map<string, Promise<unknown>>;
};

type Request = { readonly held: HeldPartition; readonly stamp: number; readonly offset: number };

/** Bytes of records, packed or not, after which what was decoded is handed over. */
const HAND_OVER_BYTES = 4 << 20;
const DECODED_AT_ONCE = 4;
const IDLE_MS = 1_000;
/** Between two fetches of a partition whose batch was not taken, and that was neither paused nor sought. */
const NOT_TAKEN_MS = 100;
const NO_LEADER_MS = 250;
const BROKER_AWAY_MS = 500;
const DENIED_MS = 5_000;
/** A batch that cannot be decoded is fetched again at this pace: a broker may mend it, an operator may step over it. */
const UNDECODABLE_MS = 10_000;
const SAY_AGAIN_MS = 30_000;

export class Reader {
  readonly #options: ReaderOptions;
  readonly #signal = new Signal();
  readonly #leaders = new Map<string, number>();
  readonly #loops = new Map<number, Promise<void>>();
  readonly #say = rateLimit(SAY_AGAIN_MS, () => performance.now());
  #isStopped = false;
  #lookForLeaders = true;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  /** Delivers nothing more; what the handler has in hand is no longer current. */
  stop(): void {
    this.#isStopped = true;
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
    while (!this.#isStopped) {
      const led = this.#options.held.all.filter((held) => this.#leaders.get(partitionKey(held)) === nodeId);
      if (led.length === 0) return;
      const now = performance.now();
      const wanted = led.filter((held) => isWanted(held, now));
      if (wanted.length === 0) {
        const soonest = Math.min(...led.filter((held) => !held.isPaused).map((held) => held.blockedUntilMs));
        await this.#signal.wait(Math.max(1, Math.min(IDLE_MS, soonest > now ? soonest - now : IDLE_MS)));
        continue;
      }
      const requests = wanted.map((held) => ({ held, stamp: held.stamp, offset: held.position! }));
      for (const { held } of requests) held.isBusy = true;
      try {
        await this.#fetch(nodeId, requests);
      } finally {
        for (const { held } of requests) held.isBusy = false;
      }
    }
  }

  async #fetch(nodeId: number, requests: readonly Request[]): Promise<void> {
    const { connections, limits, logger } = this.#options;
    let answer: FetchAnswer;
    try {
      const wanted = requests.map(({ held, offset }) => ({ topic: held.topic, partition: held.partition, offset }));
      answer = await connections.on(nodeId, (broker) => broker.connectionPool.send(fetchRequest(wanted, limits)));
      if (answer.error !== NO_ERROR) throw new SourceUnavailable(`Kafka's error ${answer.error}`);
    } catch (error) {
      if (this.#isStopped) return;
      this.#options.watch('broker_silent');
      if (this.#say(`fetch ${nodeId}`) !== null)
        logger.warn(
          { broker: nodeId, error: asError(error).message },
          'a broker does not answer fetches; trying again',
        );
      this.#leadersMayHaveMoved();
      await this.#signal.wait(BROKER_AWAY_MS);
      return;
    }
    const byPartition = new Map(requests.map((request) => [partitionKey(request.held), request]));
    await atMost(DECODED_AT_ONCE, answer.partitions, async (fetched) => {
      const request = byPartition.get(partitionKey(fetched));
      if (request !== undefined && this.#isDeliverable(request)) await this.#take(request, fetched);
    });
    // Every handler has come back. Had one thrown, others could still be reading: then the memory is left alone.
    connections.giveBack(answer.memory);
  }

  #isDeliverable({ held, stamp }: Request): boolean {
    return !this.#isStopped && held.stamp === stamp && !held.isPaused;
  }

  async #take(request: Request, fetched: FetchedPartition): Promise<void> {
    if (fetched.error !== NO_ERROR) return this.#refused(request, fetched.error);
    try {
      await this.#handOver(request, fetched);
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error;
      this.#undecodable(request, error);
    }
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

  #undecodable({ held }: Request, error: Undecodable): void {
    held.blockedUntilMs = performance.now() + UNDECODABLE_MS;
    this.#options.watch('undecodable');
    if (this.#say(`undecodable ${partitionKey(held)}`) === null) return;
    this.#options.logger.error(
      {
        topic: held.topic,
        partition: held.partition,
        offset: held.position,
        reason: error.reason,
        error: error.message,
      },
      'a record batch cannot be decoded: the partition stands still, and the batch is fetched again now and then',
    );
  }

  /** Decodes batch by batch and hands over in parts, so that a fetch that unfolds to gigabytes is never in memory as a whole. */
  async #handOver(request: Request, fetched: FetchedPartition): Promise<void> {
    const frames = cutBatches(fetched.records);
    const isVoid = abortedFilter(fetched.aborted);
    let from = request.offset;
    let next = from;
    let bytes = 0;
    let records: SourceRecord[] = [];
    const deliver = async (): Promise<boolean> => {
      if (next === from) return true;
      const part = { ...where(request.held), fetchedFrom: from, next, highWatermark: endOf(fetched), records };
      from = next;
      bytes = 0;
      records = [];
      return this.#deliver(request, part);
    };
    for (const frame of frames) {
      const isOutOfSight = isVoid(frame);
      if (frame.lastOffset < from) continue;
      if (!isOutOfSight) {
        let decoded: readonly SourceRecord[];
        try {
          decoded = await decodeRecords(frame, from, this.#options.maxBatchBytes);
        } catch (error) {
          // What lies before it is good; only then is it the next thing to fetch.
          if (await deliver()) throw error;
          return;
        }
        for (const record of decoded) {
          records.push(record);
          bytes += record.value?.length ?? 0;
        }
      }
      next = frame.lastOffset + 1;
      if (bytes >= HAND_OVER_BYTES && !(await deliver())) return;
    }
    if (next > request.offset) this.#options.held.served(request.held);
    await deliver();
  }

  async #deliver(request: Request, batch: Parameters<SourceHandler['batch']>[0]): Promise<boolean> {
    const { running, handler } = this.#options;
    const { held } = request;
    const key = partitionKey(held);
    // A call from before a rebalance may not have come back yet.
    for (let before = running.get(key); before !== undefined; before = running.get(key)) await before;
    if (!this.#isDeliverable(request)) return false;
    const call = this.#call(() => handler.batch(batch, this.#control(request)));
    running.set(key, call);
    const taken = await call.finally(() => running.delete(key));
    if (this.#isStopped || held.stamp !== request.stamp) return false;
    if (taken) held.position = batch.next;
    else if (!held.isPaused) held.blockedUntilMs = performance.now() + NOT_TAKEN_MS;
    return taken;
  }

  async #call(batch: () => Promise<boolean>): Promise<boolean> {
    try {
      return await batch();
    } catch (error) {
      if (error instanceof Rebalancing) return false;
      // Not ours to judge, and not to be swallowed: the handler says what it does not take by `false`.
      this.#fail(error);
      return false;
    }
  }

  #control(request: Request): BatchControl {
    const isCurrent = () => !this.#isStopped && request.held.stamp === request.stamp && this.#options.isMember();
    return {
      isCurrent,
      heartbeat: async () => {
        await this.#options.heartbeat();
        if (this.#isStopped || !this.#options.isMember()) throw new Rebalancing('the generation is over');
      },
    };
  }
}

const where = ({ topic, partition }: HeldPartition): TopicPartition => ({ topic, partition });

const endOf = ({ highWatermark, lastStableOffset }: FetchedPartition): number =>
  lastStableOffset >= 0 ? Math.min(lastStableOffset, highWatermark) : highWatermark;

const isWanted = (held: HeldPartition, nowMs: number): boolean =>
  held.position !== null && !held.isPaused && !held.isBusy && held.blockedUntilMs <= nowMs;

/** Runs `work` for each item, `limit` of them at a time. */
const atMost = async <T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> => {
  let next = 0;
  const worker = async () => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
};
