/** What a source tells, kept in order, and a source of a test's own that is stopped at its end. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach } from '@jest/globals';
import { asError } from '../../src/kafka/errors.ts';
import type { BatchControl, RecordSource, SourceBatch, SourceHandler, TopicPartition } from '../../src/kafka/port.ts';
import { createKafkaSource, type KafkaSourceOptions } from '../../src/kafka/source.ts';
import { uniqueName } from '../support/topics.ts';
import { waitUntil } from '../support/wait-for.ts';

export type Told =
  | { readonly kind: 'assigned'; readonly generation: number; readonly partitions: readonly TopicPartition[] }
  | { readonly kind: 'lost' }
  | {
      readonly kind: 'batch';
      readonly generation: number;
      readonly batch: SourceBatch;
      readonly values: readonly string[];
    }
  | { readonly kind: 'outOfRange'; readonly where: TopicPartition }
  | { readonly kind: 'failed'; readonly error: Error };

export type LogLine = { readonly level: string; readonly message: string; readonly fields: Record<string, unknown> };

export type Behaviour = {
  /** What happens with an assignment; the default seeks every partition to the group's commit, or the log's start. */
  readonly onAssigned?: (member: Member, partitions: readonly TopicPartition[], generation: number) => void;
  /** Answers whether the batch is taken. */
  readonly onBatch?: (member: Member, batch: SourceBatch, control: BatchControl) => Promise<boolean>;
};

const open = new Set<Member>();
afterEach(async () => {
  await Promise.all([...open].map((member) => member.stop()));
});

export class Member {
  readonly source: RecordSource;
  readonly told: Told[] = [];
  readonly log: LogLine[] = [];
  /** What the cluster's refusals were while it was asked for positions. */
  readonly asked: Error[] = [];
  generation = -1;
  held: readonly TopicPartition[] = [];
  readonly #behaviour: Behaviour;

  constructor(options: Omit<KafkaSourceOptions, 'logger' | 'clientId'>, behaviour: Behaviour = {}) {
    const line = (level: string) => (fields: object, message: string) =>
      void this.log.push({ level, message, fields: fields as Record<string, unknown> });
    const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
    this.source = createKafkaSource({
      clientId: 'test',
      sessionTimeoutMs: 3000,
      topicsEveryMs: 300,
      ...options,
      logger,
    });
    this.#behaviour = behaviour;
    open.add(this);
  }

  async start(): Promise<this> {
    await this.source.start(this.handler());
    return this;
  }

  async stop(): Promise<void> {
    open.delete(this);
    await this.source.stop();
  }

  handler(): SourceHandler {
    return {
      assigned: (generation, partitions) => {
        this.told.push({ kind: 'assigned', generation, partitions });
        this.generation = generation;
        this.held = partitions;
        if (this.#behaviour.onAssigned) this.#behaviour.onAssigned(this, partitions, generation);
        else void this.seekToCommits(partitions);
      },
      lost: () => void this.told.push({ kind: 'lost' }),
      batch: async (batch, control) => {
        const { generation } = this;
        const taken = (await this.#behaviour.onBatch?.(this, batch, control)) ?? true;
        const values = batch.records.map(({ value }) => value?.toString() ?? 'null');
        if (taken) this.told.push({ kind: 'batch', generation, batch: copyOf(batch), values });
        return taken;
      },
      outOfRange: (where) => void this.told.push({ kind: 'outOfRange', where }),
      failed: (error) => void this.told.push({ kind: 'failed', error }),
    };
  }

  /** As an owner of a source does it: asks again while the cluster does not answer, and while it is still its business. */
  async seekToCommits(partitions: readonly TopicPartition[]): Promise<void> {
    const { generation } = this;
    while (open.has(this) && generation === this.generation) {
      try {
        const commits = await this.source.commits(partitions);
        const ranges = await this.source.ranges(partitions);
        if (generation !== this.generation) return;
        for (const where of ranges) {
          const commit = commits.find((c) => c.topic === where.topic && c.partition === where.partition);
          this.source.seek(where, commit?.offset ?? where.start);
        }
        return;
      } catch (error) {
        this.asked.push(asError(error));
        await sleep(50);
      }
    }
  }

  of<K extends Told['kind']>(kind: K): Extract<Told, { kind: K }>[] {
    return this.told.filter((t): t is Extract<Told, { kind: K }> => t.kind === kind);
  }

  /** Values of all batches that were taken, in order. */
  get values(): string[] {
    return this.of('batch').flatMap(({ values }) => values);
  }

  said(message: RegExp): boolean {
    return this.log.some((line) => message.test(line.message));
  }

  async until(what: string, check: (member: this) => boolean | Promise<boolean>, timeoutMs = 15_000): Promise<void> {
    try {
      await waitUntil(() => check(this), { timeoutMs, what, everyMs: 20 });
    } catch (cause) {
      const told = this.told
        .slice(-8)
        .map((t) => JSON.stringify(t, (key, v) => (key === 'records' || key === 'values' ? v.length : v)));
      const log = this.log
        .slice(-12)
        .map(({ level, message, fields }) => `${level} ${message} ${JSON.stringify(fields)}`);
      throw new Error([String(cause), ...told, ...log].join('\n'), { cause });
    }
  }
}

/** Names that belong to one test. */
export const own = (name: string): { readonly topic: string; readonly groupId: string } => ({
  topic: uniqueName(name),
  groupId: uniqueName(`${name}-group`),
});

/** A source's memory is its own again when the handler has settled. */
const copyOf = (batch: SourceBatch): SourceBatch => ({
  ...batch,
  records: batch.records.map((record) => ({
    ...record,
    key: record.key === null ? null : Buffer.from(record.key),
    value: record.value === null ? null : Buffer.from(record.value),
    headers: record.headers.map(({ name, value }) => ({ name, value: Buffer.from(value) })),
  })),
});
