/**
 * Hands what was fetched of a partition to the handler, as long as it is still wanted: batch by batch, so that a fetch
 * that unfolds to gigabytes is never in memory as a whole. A batch that cannot be decoded stops its partition alone.
 */
import { release } from './codecs.ts';
import { Rebalancing, Undecodable } from './errors.ts';
import { type HeldPartition, partitionKey } from './held.ts';
import { rateLimit, type SourceLogger } from './log-bridge.ts';
import type { BatchControl, SourceHandler, SourceRecord, TopicPartition } from './port.ts';
import { abortedFilter, type BatchFrame, cutBatches, type Unpacked, unpackRecords } from './record-batch.ts';
import type { FetchedPartition } from './requests.ts';
import type { SourceTrouble } from './trouble.ts';
import { UnfoldAhead } from './unfold-ahead.ts';

export type HandOverOptions = {
  readonly handler: Pick<SourceHandler, 'batch'>;
  /** What one record batch may unfold into. */
  readonly maxBatchBytes: number;
  readonly logger: SourceLogger;
  readonly watch: (trouble: SourceTrouble) => void;
  /** Sends a heartbeat if one is due. Never rejects. */
  readonly heartbeat: () => Promise<void>;
  /** False where the membership is known, or must be feared, to be over. */
  readonly isMember: () => boolean;
  /** Calls of the handler that have not settled, by partition; outlives the generation. */
  readonly running: Map<string, Promise<unknown>>;
};

/** What was asked of a partition, under the stamp of that moment. */
export type Request = { readonly held: HeldPartition; readonly stamp: number; readonly offset: number };

/** Bytes of records after which what was decoded is handed over: little enough to be still in the processor's cache. */
const HAND_OVER_BYTES = 1 << 20;
/** Between two fetches of a partition whose batch was not taken, and that was neither paused nor sought. */
const NOT_TAKEN_MS = 100;
/** A batch that cannot be decoded is fetched again at this pace: a broker may mend it, an operator may step over it. */
const UNDECODABLE_MS = 10_000;
const SAY_AGAIN_MS = 30_000;

export class HandOver {
  readonly #options: HandOverOptions;
  readonly #fail: (error: unknown) => void;
  readonly #ahead: UnfoldAhead;
  readonly #say = rateLimit(SAY_AGAIN_MS, () => performance.now());
  #isStopped = false;

  /** `fail` hears what the handler throws, which is never its way to say no. */
  constructor(options: HandOverOptions, fail: (error: unknown) => void) {
    this.#options = options;
    this.#fail = fail;
    this.#ahead = new UnfoldAhead(options.maxBatchBytes);
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** What was asked for ahead is of use only if all that lay before it was taken. */
  isDeliverable({ held, stamp, offset }: Request): boolean {
    return !this.#isStopped && held.stamp === stamp && held.position! >= offset && !held.isPaused;
  }

  /** Resolves when the handler has come back from all of it. */
  async take(request: Request, fetched: FetchedPartition): Promise<void> {
    try {
      await this.#handOver(request, fetched);
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error;
      this.#undecodable(request, error);
    }
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

  async #handOver(request: Request, fetched: FetchedPartition): Promise<void> {
    const frames = cutBatches(fetched.records);
    try {
      await this.#handOverAll(request, fetched, frames);
    } finally {
      await this.#ahead.drop(frames);
    }
  }

  async #handOverAll(request: Request, fetched: FetchedPartition, frames: readonly BatchFrame[]): Promise<void> {
    const isVoid = abortedFilter(fetched.aborted);
    let from = request.offset;
    let next = from;
    let bytes = 0;
    let records: SourceRecord[] = [];
    let unpacked: Buffer[] = [];
    const deliver = async (): Promise<boolean> => {
      if (next === from) return true;
      const part = { ...where(request.held), fetchedFrom: from, next, highWatermark: endOf(fetched), records };
      const memory = unpacked;
      from = next;
      bytes = 0;
      records = [];
      unpacked = [];
      const taken = await this.#deliver(request, part);
      // Had the handler thrown, it could still be reading.
      if (!this.#isStopped) for (const plain of memory) release(plain);
      // Others have their turn; and the addons take memory back only then.
      await new Promise((resolve) => setImmediate(resolve));
      return taken;
    };
    for (const [i, frame] of frames.entries()) {
      const isOutOfSight = isVoid(frame);
      const unfolding = this.#ahead.take(frame);
      if (frame.lastOffset < from || isOutOfSight) await unfolding?.then(release, () => {});
      if (frame.lastOffset < from) continue;
      if (!isOutOfSight) {
        let decoded: Unpacked;
        try {
          decoded = await unpackRecords(frame, from, this.#options.maxBatchBytes, unfolding);
        } catch (error) {
          // What lies before it is good; only then is it the next thing to fetch.
          if (await deliver()) throw error;
          return;
        }
        if (decoded.memory !== null) unpacked.push(decoded.memory);
        for (const record of decoded.records) {
          records.push(record);
          bytes += record.value?.length ?? 0;
        }
      }
      next = frame.lastOffset + 1;
      this.#ahead.begin(frames[i + 1]);
      const isWorthWhile = bytes >= HAND_OVER_BYTES || this.#ahead.has(frames[i + 1]);
      if (isWorthWhile && !(await deliver())) return;
    }
    await deliver();
  }

  async #deliver(request: Request, batch: Parameters<SourceHandler['batch']>[0]): Promise<boolean> {
    const { running, handler } = this.#options;
    const { held } = request;
    const key = partitionKey(held);
    // A call from before a rebalance may not have come back yet.
    for (let before = running.get(key); before !== undefined; before = running.get(key)) await before;
    if (!this.isDeliverable(request)) return false;
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
