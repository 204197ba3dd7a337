/** Writes traffic over the topics of the stage and enters what the brokers have confirmed into the book. */
import { CompressionTypes } from 'kafkajs';
import { manySeriesRecord } from '../support/fleet-records.ts';
import type { Random } from '../support/random.ts';
import { type Codec, connectProducer, type HonestProducer, kafkaClient, uniqueName } from '../support/topics.ts';
import { Traffic, type TrafficRecord } from '../support/traffic.ts';
import type { Book, Field } from './book.ts';

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** A topic as it is now. */
export type Target = { readonly topic: string; readonly fields: readonly Field[]; readonly weight: number };

export type Flow = { end(): Promise<void> };

export class Writer {
  readonly #brokers: readonly string[];
  readonly #book: Book;
  readonly #random: Random;
  readonly #traffic: Traffic;
  readonly #targets: () => readonly Target[];
  #producer: Promise<HonestProducer> | undefined;
  #flow: { until: AbortController; done: Promise<void> } | undefined;
  /** Sends that failed: what became of them the log tells. */
  failures = 0;

  constructor(brokers: readonly string[], book: Book, random: Random, targets: () => readonly Target[]) {
    this.#brokers = brokers;
    this.#book = book;
    this.#random = random;
    this.#traffic = new Traffic(random.between(1, 1_000_000));
    this.#targets = targets;
  }

  /** After a topic has changed: kafkajs's producer learns of it too late, or never. */
  async renew(): Promise<void> {
    const old = this.#producer;
    this.#producer = undefined;
    await (await old?.catch(() => undefined))?.disconnect().catch(() => {});
  }

  start(recordsPerSecond: number): void {
    if (this.#flow !== undefined) throw new Error('traffic flows already');
    const until = new AbortController();
    const done = this.#run(recordsPerSecond, until.signal);
    done.catch(() => {});
    this.#flow = { until, done };
  }

  /** Ends the traffic; answers when the last send is over. */
  async end(): Promise<void> {
    const flow = this.#flow;
    this.#flow = undefined;
    flow?.until.abort();
    await flow?.done;
  }

  /** Records of the traffic, over all targets. */
  async write(records: number, targets = this.#targets()): Promise<void> {
    for (let left = records; left > 0; left -= 5) {
      const some = Array.from({ length: Math.min(5, left) }, () => this.#traffic.next(Date.now()));
      await this.#send(this.#random.weighted(targets), some);
    }
  }

  /** A tenant that makes up a new series with every span. */
  async bomb(tenant: string, records: number, spans: number): Promise<void> {
    for (let i = 0; i < records; i += 1) {
      const begin = `/${uniqueName('bomb')}`;
      const routes = Array.from({ length: spans }, (_, j) => `${begin}/${j}`);
      await this.#send(this.#random.weighted(this.#targets()), [manySeriesRecord(tenant, routes)]);
    }
  }

  /** Transactions over a few partitions; about half of them are aborted, and must not be counted. */
  async transactions(count: number): Promise<{ readonly committed: number; readonly aborted: number }> {
    const producer = kafkaClient(this.#brokers, 'transactions').producer({
      transactionalId: uniqueName('transactions'),
      maxInFlightRequests: 1,
      idempotent: true,
    });
    await producer.connect();
    const outcome = { committed: 0, aborted: 0 };
    try {
      for (let i = 0; i < count; i += 1) {
        const transaction = await producer.transaction();
        const placed: { field: Field; offset: number; number: number }[] = [];
        for (let j = this.#random.between(1, 3); j > 0; j -= 1) {
          const { topic, fields } = this.#random.weighted(this.#targets());
          const partition = this.#random.between(0, fields.length - 1);
          const record = this.#traffic.next(Date.now());
          const { number, headers } = this.#book.number(record);
          const messages = [{ value: record.value, headers, partition }];
          const [answer] = await transaction.send({ topic, compression: CompressionTypes.None, messages });
          placed.push({ field: fields[partition]!, offset: Number(answer?.baseOffset ?? -1), number });
        }
        const isKept = this.#random.chance(0.5);
        await (isKept ? transaction.commit() : transaction.abort());
        outcome[isKept ? 'committed' : 'aborted'] += 1;
        for (const { field, offset, number } of placed) {
          if (!isKept) this.#book.strike(number);
          else if (offset >= 0) this.#book.place(field, offset, number);
        }
      }
    } finally {
      await producer.disconnect();
    }
    return outcome;
  }

  async stop(): Promise<void> {
    await this.end().catch(() => {});
    await this.renew();
  }

  async #run(recordsPerSecond: number, until: AbortSignal): Promise<void> {
    const startMs = performance.now();
    let written = 0;
    while (!until.aborted) {
      const some = Array.from({ length: this.#random.between(1, 4) }, () => this.#traffic.next(Date.now()));
      await this.#send(this.#random.weighted(this.#targets()), some);
      written += some.length;
      await pause(startMs + (written * 1000) / recordsPerSecond - performance.now(), until);
    }
  }

  /** To one partition of the topic. Where nobody can say whether it was written, the log is asked later. */
  async #send({ topic, fields }: Target, records: readonly TrafficRecord[]): Promise<void> {
    const partition = this.#random.between(0, fields.length - 1);
    const numbered = records.map((record) => ({ record, ...this.#book.number(record) }));
    const messages = numbered.map(({ record, headers }) => ({ value: record.value, headers }));
    try {
      this.#producer ??= connectProducer(this.#brokers);
      const producer = await this.#producer;
      const first = await producer.send(topic, partition, messages, this.#random.pick(CODECS));
      numbered.forEach(({ number }, i) => {
        this.#book.place(fields[partition]!, first + i, number);
      });
    } catch {
      this.failures += 1;
      await this.renew();
    }
  }
}

function pause(ms: number, until: AbortSignal): Promise<void> {
  if (ms <= 0 || until.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      until.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    until.addEventListener('abort', done, { once: true });
  });
}
