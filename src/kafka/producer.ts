/**
 * Writes records so that "written" is the word of the leader for this very partition, with all replicas in sync.
 * kafkajs's own producer is not used: where a leader moves during a send, it resolves without partitions that nobody
 * has taken.
 */
import { Connections } from './connections.ts';
import { asError, SourceUnavailable, Undelivered } from './errors.ts';
import { batchOf, GRACE_MS, type NewRecord, produceRequest } from './produce.ts';
import { NO_ERROR, TOPIC_AUTHORIZATION_FAILED, UNKNOWN_TOPIC_OR_PARTITION } from './requests.ts';
import type { KafkaSourceOptions } from './source.ts';
import { wayOut } from './trouble.ts';

export type ProducerOptions = {
  readonly connections: Connections;
  /** How long the leader may wait for its followers. */
  readonly timeoutMs?: number;
};

const DEFAULT_TIMEOUT_MS = 8_000;

const MESSAGE_TOO_LARGE = 10;
const RECORD_LIST_TOO_LARGE = 18;
/** Errors of Kafka, with what can be done about them. Others are named by their number: waiting mends most of them. */
const TEXTS: ReadonlyMap<number, (topic: string) => string> = new Map([
  [UNKNOWN_TOPIC_OR_PARTITION, (topic) => `there is no topic ${topic}, or not this partition of it`],
  [5, (topic) => `a partition of ${topic} has no leader`],
  [6, (topic) => `the leader of a partition of ${topic} has moved`],
  [7, (topic) => `the replicas of ${topic} do not answer their leader in time`],
  [MESSAGE_TOO_LARGE, (topic) => `${topic} takes no record as large: raise its max.message.bytes`],
  [RECORD_LIST_TOO_LARGE, (topic) => `a segment of ${topic} takes no batch as large: raise its segment.bytes`],
  [19, (topic) => `${topic} has fewer replicas in sync than its min.insync.replicas`],
  [20, (topic) => `${topic} has fewer replicas in sync than its min.insync.replicas, and only some have the records`],
  [TOPIC_AUTHORIZATION_FAILED, (topic) => `not authorized to write to the topic ${topic}: it needs Write`],
]);

/** What it takes to write. */
export type Sending = Pick<Producer, 'send' | 'partitions'>;

export class Producer {
  readonly #connections: Connections;
  readonly #timeoutMs: number;
  /** By topic: of each partition its leader, -1 for none. */
  readonly #leaders = new Map<string, readonly number[]>();

  constructor({ connections, timeoutMs = DEFAULT_TIMEOUT_MS }: ProducerOptions) {
    this.#connections = connections;
    this.#timeoutMs = timeoutMs;
  }

  /** Rejects with `Undelivered` where the topic is not there, or nobody says. */
  async partitions(topic: string): Promise<number> {
    return (await this.#topic(topic)).length;
  }

  /**
   * Writes records to one partition in one batch, and answers the offset of the first. Asks once: rejects with
   * `Undelivered` for everything but the leader's word. What was sent may have been written all the same.
   */
  async send(topic: string, partition: number, records: readonly NewRecord[]): Promise<number> {
    const leader = (await this.#topic(topic))[partition] ?? -1;
    try {
      if (leader < 0) throw new Undelivered(`${topic}/${partition} has no leader, or does not exist`);
      const request = produceRequest(topic, partition, batchOf(records, Date.now()), this.#timeoutMs);
      const answer = await this.#connections.on(leader, (broker) => broker.connectionPool.send(request));
      if (answer === null || answer.topic !== topic || answer.partition !== partition)
        throw new Undelivered(`the answer of a broker does not name ${topic}/${partition}`);
      if (answer.error !== NO_ERROR) throw refused(topic, answer.error);
      return answer.baseOffset;
    } catch (error) {
      this.#leaders.delete(topic);
      throw error instanceof Undelivered ? error : undelivered(error);
    }
  }

  close(): Promise<void> {
    return this.#connections.close();
  }

  async #topic(name: string): Promise<readonly number[]> {
    const known = this.#leaders.get(name);
    if (known !== undefined) return known;
    const leaders: number[] = [];
    try {
      const { topics } = await this.#connections.metadata([name]);
      const found = topics.find((topic) => topic.name === name);
      if (found === undefined) throw new Undelivered(`no broker says anything of the topic ${name}`);
      if (found.error !== NO_ERROR) throw refused(name, found.error);
      for (const { partition, leader } of found.partitions) leaders[partition] = leader;
    } catch (error) {
      throw error instanceof Undelivered ? error : undelivered(error);
    }
    this.#leaders.set(name, leaders);
    return leaders;
  }
}

/** On connections of its own. Nothing connects before the first call. */
export const openProducer = (
  options: Pick<KafkaSourceOptions, 'brokers' | 'clientId' | 'tls' | 'sasl' | 'logger'>,
): Producer => {
  const { brokers, clientId, tls = null, sasl = null, logger } = options;
  const requestTimeoutMs = DEFAULT_TIMEOUT_MS + 2 * GRACE_MS;
  return new Producer({
    connections: new Connections({ brokers, clientId, tls, sasl, requestTimeoutMs, logger }),
  });
};

const refused = (topic: string, error: number): Undelivered => {
  const isTooLarge = error === MESSAGE_TOO_LARGE || error === RECORD_LIST_TOO_LARGE;
  return new Undelivered(TEXTS.get(error)?.(topic) ?? `${topic}: Kafka's error ${error}`, { isTooLarge });
};

const undelivered = (cause: unknown): Undelivered => {
  const said = cause instanceof SourceUnavailable ? cause.message : (wayOut(cause) ?? asError(cause).message);
  return new Undelivered(said, { cause });
};
