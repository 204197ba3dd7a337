/** How the service stands: for probes, for people, and for the metrics that are known only by asking. */
import type { ServiceState } from './api/status-pages.ts';
import type { TopicPartition } from './kafka/port.ts';
import type { Worker } from './ledger/worker.ts';
import type { Health } from './observe.ts';
import type { TenantOverrides } from './overrides/current.ts';
import type { Publisher } from './publish/publisher.ts';
import type { SelfMetrics } from './telemetry/self-metrics.ts';

export type Parts = {
  readonly health: Health;
  readonly worker: Worker;
  readonly publisher: Publisher;
  readonly overrides: TenantOverrides;
  readonly metrics: SelfMetrics;
};

export class Standing {
  readonly #parts: Parts;
  #shownPartitions: readonly TopicPartition[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** For people, at `/status/services`. */
  services(): readonly ServiceState[] {
    const { waitingFor, joined, kafkaUp, ledgerUp, stopping } = this.#parts.health;
    const state = (name: string, isUp: boolean, failure: string): ServiceState => {
      if (stopping) return { name, status: 'Stopping', failure: '' };
      if (isUp) return { name, status: 'Running', failure: '' };
      return waitingFor === ''
        ? { name, status: 'Failed', failure }
        : { name, status: 'Starting', failure: `waiting for ${waitingFor}` };
    };
    const { problems } = this.#parts.overrides.status();
    const { frozenShards } = this.#parts.publisher.stats();
    return [
      state('http', true, ''),
      state(
        'kafka',
        waitingFor === '' && joined && kafkaUp,
        joined ? 'Kafka does not answer' : 'not a member of the consumer group',
      ),
      state('ledger', ledgerUp, 'the ledger does not answer'),
      state('overrides', problems.length === 0, problems.join('; ')),
      state('publisher', waitingFor === '' && frozenShards === 0, `${frozenShards} shards can show nothing newer`),
    ];
  }

  readiness(): { ok: boolean; reasons: string[] } {
    const { waitingFor, joined, kafkaUp, ledgerUp, stopping } = this.#parts.health;
    const reasons: string[] = [];
    if (stopping) reasons.push('stopping');
    if (waitingFor !== '') reasons.push(`waiting for ${waitingFor}`);
    else {
      if (!joined) reasons.push('not a member of the consumer group');
      else if (!kafkaUp) reasons.push('Kafka does not answer; nothing is lost, counting goes on when it does');
      if (!ledgerUp) reasons.push('the ledger does not answer; nothing is lost, counting goes on when it does');
      const waiting = [...this.#parts.worker.partitions].filter(({ phase }) => phase === 'positioning').length;
      if (waiting > 0) reasons.push(`${waiting} partitions are not positioned yet`);
    }
    return { ok: reasons.length === 0, reasons };
  }

  /** Sets what is known only by asking, before `/metrics` is answered. */
  observe(): void {
    const metrics = this.#parts.metrics;
    const partitions = [...this.#parts.worker.partitions];
    const held = new Set(partitions.map(({ topic, partition }) => `${partition}/${topic}`));
    for (const { topic, partition } of this.#shownPartitions) {
      if (held.has(`${partition}/${topic}`)) continue;
      metrics.lagRecords.remove(topic, partition);
      metrics.lagSeconds.remove(topic, partition);
    }
    this.#shownPartitions = partitions.map(({ topic, partition }) => ({ topic, partition }));
    for (const { topic, partition, phase, logEnd, next, lastTimestampMs } of partitions) {
      if (phase !== 'active') continue;
      const lag = Math.max(0, logEnd - next);
      metrics.lagRecords.set(topic, partition, lag);
      const ageMs = lag === 0 || lastTimestampMs === 0 ? 0 : Math.max(0, Date.now() - lastTimestampMs);
      metrics.lagSeconds.set(topic, partition, ageMs / 1000);
    }
    metrics.assignedPartitions.set(partitions.length);
    metrics.waitingPartitions.set(partitions.filter(({ phase }) => phase === 'positioning').length);
    metrics.pausedPartitions.set(this.#parts.worker.isPaused ? partitions.length : 0);
    metrics.pausedSeconds.reach(this.#parts.worker.pausedMs / 1000);
    metrics.ready.set(this.readiness().ok ? 1 : 0);
    metrics.pendingSeries.set(this.#parts.worker.pendingRows);
    metrics.pendingBytes.set(this.#parts.worker.pendingBytes);
    const stats = this.#parts.publisher.stats();
    metrics.publishedSeries.set(stats.series);
    metrics.ownedShards.set(stats.shownShards);
    metrics.waitingShards.set(stats.heldShards - stats.shownShards);
    metrics.frozenShards.set(stats.frozenShards);
    metrics.publishBehindSeconds.set(stats.behindS);
    metrics.leasesLost.reach(stats.leasesLost);
    metrics.publishFailures.reach(stats.failures);
    metrics.auditFailures.reach(stats.auditFailures);
    metrics.purgedSeries.reach(stats.purgedSeries);
    metrics.forgottenTenants.reach(stats.removedAccounts);
  }
}
