/**
 * Between the source and the worker: records that may not simply be counted, and partitions that wait because of them.
 *
 *   skip         a bad record is counted by its reason, and nothing more
 *   dead_letter  it is also written to another topic, and no marker passes it before that is done
 *   stop         its partition stands still before it, and others go on
 */
import type { DiscardReason } from './attribution/discard.ts';
import type { Config } from './config/config.ts';
import { DeadLetters } from './kafka/dead-letters.ts';
import { Holds } from './kafka/holds.ts';
import { letterOf } from './kafka/letter.ts';
import type { RecordSource, SourceHandler, SourceRecord, TopicPartition } from './kafka/port.ts';
import type { Sending } from './kafka/producer.ts';
import type { SchemaVerdict, SetAside } from './pipeline.ts';
import type { SchemaRegistry } from './schemas/port.ts';
import { Schemas } from './schemas/schemas.ts';
import type { Logger } from './telemetry/logger.ts';
import type { SelfMetrics } from './telemetry/self-metrics.ts';
import { VERSION } from './telemetry/version.ts';

export type IntakeOptions = {
  readonly config: Pick<Config['kafka'], 'onBadRecord' | 'badRecordReasons' | 'deadLetterTopic'> &
    Pick<Config, 'schemaRegistry'>;
  readonly source: Pick<RecordSource, 'pause' | 'resume'>;
  /** Opened where dead letters are written. */
  readonly producer: () => Sending & { close(): Promise<void> };
  /** Opened where there is one. */
  readonly registry: (config: NonNullable<Config['schemaRegistry']>) => Promise<SchemaRegistry>;
  /** Gathering is paused as a whole: nothing may be resumed now. */
  readonly isPaused: () => boolean;
  readonly metrics: SelfMetrics;
  readonly logger: Logger;
};

export class Intake {
  readonly #options: IntakeOptions;
  readonly #reasons: ReadonlySet<string>;
  readonly #holds: Holds;
  readonly #letters: DeadLetters | null;
  readonly #producer: (Sending & { close(): Promise<void> }) | null;
  #schemas: Schemas | null = null;

  constructor(options: IntakeOptions) {
    this.#options = options;
    const { config, source, isPaused } = options;
    this.#reasons = new Set(config.badRecordReasons);
    this.#holds = new Holds({
      pause: (where) => source.pause([where]),
      resume: (where) => {
        if (!isPaused()) source.resume([where]);
      },
    });
    this.#producer = config.onBadRecord === 'dead_letter' ? options.producer() : null;
    this.#letters = this.#producer === null ? null : this.#openLetters(this.#producer);
  }

  /** Call it before the first record comes. */
  async open(): Promise<void> {
    const { schemaRegistry } = this.#options.config;
    if (schemaRegistry === null) return;
    this.#schemas = this.#openSchemas(schemaRegistry, await this.#options.registry(schemaRegistry));
  }

  /** Undefined where there is no registry to ask. */
  get schemaOf(): ((record: SourceRecord, where: TopicPartition) => SchemaVerdict) | undefined {
    return this.#options.config.schemaRegistry === null ? undefined : (...named) => this.#schemaOf(...named);
  }

  /** Undefined where nothing is done about bad records but counting them. */
  get setAside(): SetAside | undefined {
    if (this.#letters !== null) return (...bad) => this.#writeLetter(this.#letters!, ...bad);
    return this.#options.config.onBadRecord === 'stop' ? (...bad) => this.#stopAt(...bad) : undefined;
  }

  /** Of a partition: what the ledger must not pass yet. */
  readonly unsettled = (where: TopicPartition): number => this.#letters?.floor(where) ?? Number.POSITIVE_INFINITY;

  /** Puts the holds before what the worker hears of the source. */
  guard(handler: SourceHandler): SourceHandler {
    const holds = this.#holds;
    return {
      ...handler,
      assigned: (generation, partitions) => {
        handler.assigned(generation, partitions);
        holds.keep(partitions);
        this.#letters?.keep(partitions);
        this.#schemas?.forget();
      },
      batch: async (batch, control) => {
        // Held while it was on its way, or resumed with all others.
        if (holds.isHeld(batch)) {
          this.#options.source.pause([batch]);
          return false;
        }
        return handler.batch(batch, control);
      },
    };
  }

  /** The worker goes on from another place: what stood in the way there will say so again. */
  positioned(where: TopicPartition): void {
    this.#holds.clear(where);
  }

  /** Sets what is known only by asking. */
  observe(): void {
    const { metrics } = this.#options;
    metrics.heldPartitions.set('dead_letter', this.#holds.count('dead_letter'));
    metrics.heldPartitions.set('bad_record', this.#holds.count('bad_record'));
    metrics.heldPartitions.set('schema', this.#holds.count('schema'));
  }

  /** Resolves when all letters are delivered. */
  async idle(): Promise<void> {
    await this.#letters?.idle();
  }

  /** Gives up what is not delivered: its records are read again. */
  async stop(): Promise<void> {
    this.#letters?.stop();
    this.#schemas?.stop();
    await this.#producer?.close();
  }

  #openLetters(producer: Sending): DeadLetters {
    const { config, metrics, logger } = this.#options;
    return new DeadLetters({
      producer,
      topic: config.deadLetterTopic,
      watch: {
        delivered: (letters) => metrics.deadLetters.add(letters),
        failed: ({ topic, partition }, offset, error) => {
          metrics.deadLetterFailures.add();
          const to = config.deadLetterTopic;
          logger
            .limited(`dead_letter_failed_${partition}/${topic}`)
            .error({ topic, partition, offset, to, error }, 'dead_letter_failed');
        },
        full: (where) => this.#hold(where),
        free: (where) => this.#free(where),
      },
    });
  }

  #openSchemas(config: NonNullable<Config['schemaRegistry']>, registry: SchemaRegistry): Schemas {
    const { metrics, logger } = this.#options;
    return new Schemas({
      registry,
      onUnknown: config.onUnknownSchema,
      attempts: config.attempts,
      requestsPerSecond: config.maxRequestsPerSecond,
      changed: () => this.#holds.releaseAll('schema'),
      watch: (outcome, schema, error) => {
        metrics.schemaLookups.add(outcome);
        if (outcome === 'unknown') logger.limited('schema_unknown').warn({ schema }, 'schema_unknown');
        if (error !== null)
          logger.limited('schema_registry_unavailable').warn({ schema, error }, 'schema_registry_unavailable');
      },
    });
  }

  #schemaOf(record: SourceRecord, where: TopicPartition): SchemaVerdict {
    const judgement = this.#schemas?.judge(record) ?? null;
    if (judgement === null || judgement.kind === 'traces') return 'good';
    if (judgement.kind === 'wait') {
      this.#holds.hold(where, 'schema');
      return 'wait';
    }
    return { reason: judgement.kind === 'foreign' ? 'foreign_schema' : 'unknown_schema', detail: judgement.detail };
  }

  #hold({ topic, partition }: TopicPartition): void {
    if (!this.#holds.hold({ topic, partition }, 'dead_letter')) return;
    const { logger } = this.#options;
    logger
      .limited(`held_${partition}/${topic}`)
      .warn({ topic, partition, why: 'its dead letters are not delivered yet' }, 'partition_held');
  }

  #free({ topic, partition }: TopicPartition): void {
    if (!this.#holds.release({ topic, partition }, 'dead_letter')) return;
    this.#options.logger.limited(`freed_${partition}/${topic}`).info({ topic, partition }, 'partition_goes_on');
  }

  #writeLetter(
    letters: DeadLetters,
    reason: DiscardReason,
    record: SourceRecord,
    where: TopicPartition,
    detail: string,
  ): boolean {
    if (!this.#reasons.has(reason)) return true;
    return letters.offer(where, letterOf(record, where, { reason, detail, version: VERSION }));
  }

  #stopAt(reason: DiscardReason, record: SourceRecord, where: TopicPartition, detail: string): boolean {
    if (!this.#reasons.has(reason)) return true;
    const { topic, partition } = where;
    if (!this.#holds.hold({ topic, partition }, 'bad_record')) return false;
    const { offset } = record;
    const record_ = `${topic}/${partition}/${offset}`;
    this.#options.logger.error(
      {
        ...{ topic, partition, offset, reason, detail },
        way_out: `look at it (tracetally explain --record ${record_}), then set kafka.on_bad_record to skip or dead_letter, or leave ${reason} out of kafka.bad_record_reasons, and restart; or stop all replicas and step over it with tracetally state seek --topic ${topic} --partition ${partition} --to ${offset + 1} --execute`,
      },
      'partition_stopped',
    );
    return false;
  }
}
