/** What the parts tell -> metrics and log lines. Each event once; nothing here waits or fails. */
import type { DiscardReason } from './attribution/discard.ts';
import type { SourceRecord, TopicPartition } from './kafka/port.ts';
import type { WatchWorker, WorkerEvent } from './ledger/worker-events.ts';
import type { WatchOverrides } from './overrides/current.ts';
import type { WatchRecords } from './pipeline.ts';
import type { Logger } from './telemetry/logger.ts';
import type { SelfMetrics } from './telemetry/self-metrics.ts';

/** What readiness is made of. Changed by what the parts tell, read by `/ready`. */
export type Health = {
  ledgerUp: boolean;
  /** Events of the source: joined at least once, and not thrown out since. */
  joined: boolean;
  /** The last question to Kafka was answered. */
  kafkaUp: boolean;
  /** What the start is waiting for; empty when it is over. */
  waitingFor: string;
  stopping: boolean;
};

const HEX_BYTES = 16;

export const watchRecords = (metrics: SelfMetrics, logger: Logger): WatchRecords => ({
  accepted: (_bytes, spans, clamped, recordBytes) => {
    metrics.recordsConsumed.add();
    metrics.bytesConsumed.add(recordBytes);
    metrics.spansCounted.add(spans);
    metrics.sharesClamped.add(clamped);
  },
  discarded: (reason: DiscardReason, record: SourceRecord, where: TopicPartition, detail: string) => {
    const bytes = record.value?.length ?? 0;
    metrics.recordsConsumed.add();
    metrics.bytesConsumed.add(bytes);
    metrics.recordsDiscarded.add(reason);
    metrics.bytesDiscarded.add(reason, bytes);
    const begins = record.value?.subarray(0, HEX_BYTES).toString('hex') ?? '';
    const { topic, partition } = where;
    logger
      .limited(`discarded_${reason}`)
      .warn({ reason, detail, topic, partition, offset: record.offset, bytes, begins }, 'record_discarded');
  },
  regionDiscarded: (reason, bytes, record, where, detail) => {
    metrics.bytesDiscarded.add(reason, bytes);
    const { topic, partition } = where;
    logger
      .limited(`region_discarded_${reason}`)
      .warn({ reason, detail, topic, partition, offset: record.offset, bytes }, 'region_discarded');
  },
});

export const watchOverrides = (metrics: SelfMetrics, logger: Logger): WatchOverrides => ({
  looked: (problems) => {
    metrics.overridesFailed.set(problems.length === 0 ? 0 : 1);
    if (problems.length > 0) logger.limited('overrides_refused').error({ problems }, 'overrides_refused');
  },
  taken: ({ sha256, blocks }) => {
    metrics.overridesReloads.add();
    metrics.overridesInfo.set({ sha256 });
    logger.info({ sha256, tenants: blocks.size }, 'overrides_taken');
  },
  userLooked: (problems) => {
    metrics.userOverridesFailed.set(problems.length === 0 ? 0 : 1);
    if (problems.length > 0) logger.limited('user_overrides_refused').error({ problems }, 'user_overrides_refused');
  },
  userTaken: (tenants) => {
    metrics.userOverrides.set(tenants);
    logger.info({ tenants }, 'user_overrides_taken');
  },
});

export const watchWorker = (metrics: SelfMetrics, logger: Logger, health: Health, isEmbedded: boolean): WatchWorker => {
  const setLedgerUp = (isUp: boolean): void => {
    health.ledgerUp = isUp;
    metrics.ledgerUp.set(isUp ? 1 : 0);
  };
  const handlers: { [K in WorkerEvent['kind']]: (event: Extract<WorkerEvent, { kind: K }>) => void } = {
    committed: ({ series, seconds }) => {
      if (!health.ledgerUp) logger.info({}, 'ledger_available');
      setLedgerUp(true);
      metrics.ledgerCommits.add();
      metrics.ledgerSeriesCommitted.add(series);
      metrics.ledgerCommitSeconds.observe(seconds);
      metrics.ledgerLastSuccess.set(Date.now() / 1000);
    },
    keys_needed: ({ series }) => metrics.ledgerKeysNeeded.add(series),
    replayed: ({ sections }) => metrics.ledgerReplayed.add(sections),
    ledger_unavailable: ({ error }) => {
      setLedgerUp(false);
      metrics.ledgerUnavailable.add();
      logger.limited('ledger_unavailable').warn({ error }, 'ledger_unavailable');
    },
    dropped: ({ kind, ...event }) => {
      metrics.ledgerDropped.add(event.cause);
      logger.info(event, 'pending_dropped');
    },
    positioned: ({ kind, ...event }) => logger.info(event, 'partition_positioned'),
    lost_writes: ({ kind, ...event }) => {
      metrics.ledgerLostWrites.add();
      metrics.ledgerRecountedRecords.add(event.records);
      logger.warn(event, 'ledger_lost_writes');
    },
    ledger_loss: ({ kind, ...event }) => {
      if (isEmbedded) return;
      metrics.ledgerLosses.add(event.shards.length);
      logger.error({ ...event, shards: event.shards.length }, 'ledger_loss');
    },
    gap: ({ kind, ...event }) => {
      metrics.gapRecords.add(event.records);
      logger.error(event, 'gap');
    },
    truncated: ({ kind, ...event }) => {
      metrics.truncatedRecords.add(event.records);
      logger.error(event, 'log_truncated');
    },
    waiting: ({ kind, ...event }) =>
      logger.limited(`waiting_${event.topic}_${event.partition}`).warn(event, 'partition_waits'),
    source_unavailable: ({ during, error }) => {
      if (during === 'commit') metrics.kafkaCommitFailures.add();
      if (isRebalance(error)) return logger.debug({ during, error }, 'generation_over');
      // What is being positioned is waited for in any case.
      if (during !== 'positioning') health.kafkaUp = false;
      metrics.kafkaUnavailable.add();
      logger.limited(`source_${during}`).warn({ during, error }, 'kafka_unavailable');
    },
    source_available: () => {
      if (!health.kafkaUp) logger.info({}, 'kafka_available');
      health.kafkaUp = true;
    },
    kafka_committed: () => metrics.kafkaCommits.add(),
    paused: ({ partitions }) => logger.limited('paused').warn({ partitions }, 'gathering_paused'),
    resumed: () => logger.limited('resumed').info({}, 'gathering_resumed'),
  };
  return (event) => (handlers[event.kind] as (event: WorkerEvent) => void)(event);
};

/** Kafka answers; the group has gone on without this call, and positioning begins again. */
const isRebalance = (error: Error): boolean => 'code' in error && error.code === 'STALE_GENERATION';
