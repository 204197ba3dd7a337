/**
 * Reads parts of the log, and asks the cluster, without being a member of the group: for commands of an operator.
 * Nothing that it reads is committed.
 */
import { ClusterCalls } from './cluster-calls.ts';
import { Connections } from './connections.ts';
import { asError, SourceUnavailable, Undecodable } from './errors.ts';
import type { SourceRecord, TopicPartition } from './port.ts';
import { abortedFilter, cutBatches, decodeRecords } from './record-batch.ts';
import { type FetchedPartition, type FetchLimits, fetchRequest, NO_ERROR, OFFSET_OUT_OF_RANGE } from './requests.ts';
import type { KafkaSourceOptions } from './source.ts';

/** Records of one partition, in order. Their buffers may be read until the next part is asked for. */
export type LogPart = { readonly records: readonly SourceRecord[]; readonly next: number };

/** The part of the log that was asked for is not there: retention, or a log that became shorter. */
export class LogGone extends Error {
  readonly code = 'LOG_GONE';
  override readonly name = 'LogGone';
}

const DEFAULT_BYTES = 16 << 20;
const UNFOLDING = 16;
const LEAST_UNFOLDED = 64 << 20;
const WAIT_MS = 500;
const RETRY_MS = 250;
/** Without an answer that leads on for so long, reading gives up. */
const PATIENCE_MS = 60_000;

export type LogReaderOptions = Omit<KafkaSourceOptions, 'topics' | 'watch'>;

export class LogReader {
  readonly calls: ClusterCalls;
  readonly #connections: Connections;
  readonly #limits: FetchLimits;
  readonly #maxBatchBytes: number;
  readonly #leaders = new Map<string, number>();
  #isClosed = false;

  constructor(options: LogReaderOptions) {
    const { brokers, clientId, tls = null, sasl = null, logger } = options;
    const timeoutMs = options.callTimeoutMs ?? 10_000;
    this.#connections = new Connections({ brokers, clientId, tls, sasl, requestTimeoutMs: timeoutMs, logger });
    this.calls = new ClusterCalls({ connections: this.#connections, groupId: options.groupId, timeoutMs });
    const bytes = options.maxBytesPerPartition ?? DEFAULT_BYTES;
    this.#limits = { maxBytesPerPartition: bytes, maxBytes: bytes, maxWaitMs: WAIT_MS };
    this.#maxBatchBytes = Math.max(LEAST_UNFOLDED, UNFOLDING * bytes);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#connections.close();
  }

  /**
   * The records in [from, to), in parts; the last part's `next` is `to` or beyond. Rejects with `LogGone`, with
   * `Undecodable` for a batch that cannot be unpacked, with `SourceUnavailable` where no broker answers for a minute.
   */
  async *read(where: TopicPartition, from: number, to: number): AsyncGenerator<LogPart> {
    let next = from;
    let fetching = next < to ? this.#fetch(where, next) : null;
    while (fetching !== null) {
      const fetched = await fetching;
      const isVoid = abortedFilter(fetched.aborted);
      const frames = cutBatches(fetched.records).filter(({ lastOffset }) => lastOffset >= next);
      const end = frames.at(-1)?.lastOffset;
      const goOn = end === undefined ? next : end + 1;
      // The next fetch is under way while this one's records are looked at.
      const ahead: Promise<FetchedPartition> | null = goOn < to ? this.#fetch(where, goOn) : null;
      ahead?.catch(() => {});
      for (const frame of frames) {
        if (next >= to) break;
        const decoded = isVoid(frame) ? [] : await this.#decode(where, frame, next);
        next = frame.lastOffset + 1;
        yield { records: decoded.filter(({ offset }) => offset < to), next };
      }
      fetching = ahead;
    }
  }

  async #decode(
    { topic, partition }: TopicPartition,
    frame: Parameters<typeof decodeRecords>[0],
    from: number,
  ): Promise<SourceRecord[]> {
    try {
      return await decodeRecords(frame, from, this.#maxBatchBytes);
    } catch (error) {
      if (!(error instanceof Undecodable)) throw error;
      throw new Undecodable(error.reason, `${topic}/${partition} at offset ${from}: ${error.message}`, {
        cause: error,
      });
    }
  }

  /** Asks until there is an answer with records. */
  async #fetch(where: TopicPartition, offset: number): Promise<FetchedPartition> {
    const { topic, partition } = where;
    const endMs = performance.now() + PATIENCE_MS;
    let trouble = 'it has no more records';
    while (!this.#isClosed && performance.now() < endMs) {
      try {
        const leader = await this.#leader(where);
        const request = fetchRequest([{ ...where, offset }], this.#limits);
        const answer = await this.#connections.on(leader, (broker) => broker.connectionPool.send(request));
        const [fetched] = answer.partitions;
        if (fetched?.error === OFFSET_OUT_OF_RANGE)
          throw new LogGone(`${topic}/${partition} does not hold the offset ${offset} any more`);
        if (fetched?.error === NO_ERROR && fetched.records.length > 0) return fetched;
        if (fetched !== undefined && fetched.error !== NO_ERROR) trouble = `Kafka's error ${fetched.error}`;
        else continue;
      } catch (error) {
        if (error instanceof LogGone) throw error;
        trouble = asError(error).message;
      }
      this.#leaders.delete(`${partition}/${topic}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    throw new SourceUnavailable(`${topic}/${partition} cannot be read at offset ${offset}: ${trouble}`);
  }

  async #leader({ topic, partition }: TopicPartition): Promise<number> {
    const key = `${partition}/${topic}`;
    const known = this.#leaders.get(key);
    if (known !== undefined) return known;
    const { topics } = await this.#connections.metadata([topic]);
    const leader = topics[0]?.partitions.find((one) => one.partition === partition)?.leader ?? -1;
    if (leader < 0) throw new SourceUnavailable(`${topic}/${partition} has no leader, or does not exist`);
    this.#leaders.set(key, leader);
    return leader;
  }
}
