/** Every metric about the service itself, in the order of docs/metrics.md, which is made from this file. */
import { collectDefaultMetrics, Registry } from 'prom-client';
import { DISCARD_REASONS, DROP_CAUSES, HOLD_CAUSES, LOOKUP_OUTCOMES, SOURCE_TROUBLES } from '../words/reasons.ts';
import { type Facade, facade } from './declared.ts';
import { NEVER_MS, observeLoopLag } from './loop-lag.ts';

const PREFIX = 'tracetally_';

const counter = (name: string, help: string) => ({ type: 'counter', name: PREFIX + name, help }) as const;
const gauge = (name: string, help: string) => ({ type: 'gauge', name: PREFIX + name, help }) as const;
const partitionGauge = (name: string, help: string) =>
  ({ type: 'partition-gauge', name: PREFIX + name, help }) as const;
const counterBy = <const V extends readonly string[]>(name: string, help: string, label: string, values: V) =>
  ({ type: 'counter-by', name: PREFIX + name, help, label, values }) as const;
const gaugeBy = <const V extends readonly string[]>(name: string, help: string, label: string, values: V) =>
  ({ type: 'gauge-by', name: PREFIX + name, help, label, values }) as const;
const histogram = (name: string, help: string, buckets: readonly number[]) =>
  ({ type: 'histogram', name: PREFIX + name, help, buckets }) as const;
const info = <const L extends readonly string[]>(name: string, help: string, labels: L) =>
  ({ type: 'info', name: PREFIX + name, help, labels }) as const;

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export const DECLARED = {
  ready: gauge(
    'ready',
    '1 while /ready answers 200: a member of the group, positioned, with a Kafka and a ledger that answer.',
  ),

  // Consumption
  recordsConsumed: counter('records_consumed_total', 'Records gathered, accepted and discarded ones.'),
  bytesConsumed: counter('bytes_consumed_total', 'Bytes of the values of these records, after decompression.'),
  spansCounted: counter('spans_counted_total', 'Spans in the accepted records.'),
  sharesClamped: counter(
    'shares_clamped_total',
    'Shares of a record that came out below zero and were counted as 0; with the accounting tempo alone.',
  ),
  recordsDiscarded: counterBy(
    'records_discarded_total',
    'Records that were set aside, by reason.',
    'reason',
    DISCARD_REASONS,
  ),
  bytesDiscarded: counterBy('bytes_discarded_total', 'Bytes of the values of these.', 'reason', DISCARD_REASONS),
  deadLetters: counter('dead_letters_total', 'Discarded records that were written to the dead-letter topic.'),
  deadLetterFailures: counter(
    'dead_letter_failures_total',
    'Times that dead letters could not be delivered; they are tried again, and their partition waits.',
  ),
  heldPartitions: gaugeBy(
    'held_partitions',
    'Partitions held by this replica that are not read while others are, by cause. Alert.',
    'cause',
    HOLD_CAUSES,
  ),
  schemaLookups: counterBy(
    'schema_lookups_total',
    'Questions to the schema registry, by how they ended.',
    'outcome',
    LOOKUP_OUTCOMES,
  ),
  lagRecords: partitionGauge('lag_records', 'Records between what is gathered and the end of the partition.'),
  lagSeconds: partitionGauge('lag_seconds', 'Age of the last gathered record, 0 at the end of the partition.'),
  assignedPartitions: gauge('assigned_partitions', 'Partitions that this replica holds.'),
  waitingPartitions: gauge('waiting_partitions', 'Of these, those whose position is not settled yet.'),
  pausedPartitions: gauge('paused_partitions', 'Of these, those paused because too much is pending.'),
  pausedSeconds: counter(
    'paused_seconds_total',
    'Time during which gathering waited for the ledger, or fetching was paused.',
  ),
  rebalances: counter('rebalances_total', 'Assignments that this replica was given.'),
  membershipsLost: counter('memberships_lost_total', 'Times that this replica fell out of its group.'),
  kafkaCommits: counter('kafka_commits_total', 'Commits of offsets that Kafka took.'),
  kafkaCommitFailures: counter('kafka_commit_failures_total', 'Commits of offsets that failed; they are repeated.'),
  kafkaUnavailable: counter('kafka_unavailable_total', 'Calls to Kafka that found no broker to answer.'),
  sourceTroubles: counterBy(
    'source_troubles_total',
    'Times that something could not be read, by what stood in the way; it is tried again for as long as it lasts.',
    'trouble',
    SOURCE_TROUBLES,
  ),
  gapRecords: counter('gap_records_total', 'Records that retention took before they were read. Data is lost: alert.'),
  truncatedRecords: counter(
    'log_truncated_records_total',
    'Records that were counted and are no longer in the log (unclean election). Alert.',
  ),

  // Ledger
  ledgerUp: gauge('ledger_up', '1 while the ledger answers.'),
  ledgerUnavailable: counter('ledger_unavailable_total', 'Calls to the ledger without an answer; they are repeated.'),
  ledgerCommits: counter('ledger_commits_total', 'Commits to a shard that the ledger answered.'),
  ledgerCommitSeconds: histogram('ledger_commit_seconds', 'From sending such a commit to its answer.', SECONDS),
  ledgerSeriesCommitted: counter('ledger_series_committed_total', 'Series in these commits.'),
  ledgerKeysNeeded: counter('ledger_keys_needed_total', 'Series that had to be sent again with their labels.'),
  ledgerLastSuccess: gauge('ledger_last_success_timestamp_seconds', 'When the ledger last answered a commit.'),
  ledgerDropped: counterBy(
    'ledger_sections_not_applied_total',
    'Times that what was gathered of a partition was dropped, to be read again, by cause.',
    'cause',
    DROP_CAUSES,
  ),
  ledgerReplayed: counter('ledger_sections_replayed_total', 'Sections sent for records below the commit of the group.'),
  ledgerLostWrites: counter(
    'ledger_lost_writes_total',
    'Times that a partition was found behind its commit: the ledger had lost writes.',
  ),
  ledgerRecountedRecords: counter('ledger_recounted_records_total', 'Records read again for that reason.'),
  ledgerLosses: counter('ledger_losses_total', 'Shards that the ledger lost as a whole. Alert.'),
  pendingSeries: gauge('pending_series', 'Series gathered and not yet in the ledger.'),
  pendingBytes: gauge('pending_bytes', 'Memory that they take, about.'),

  // Publishing
  publishedSeries: gauge('published_series', 'Series in the last answer to a scrape.'),
  scrapeSeconds: histogram('scrape_seconds', 'Time to answer a scrape of usage metrics.', SECONDS),
  ownedShards: gauge('owned_shards', 'Shards that this replica shows, of 64.'),
  waitingShards: gauge('waiting_shards', 'Shards that it owns and may not show yet.'),
  frozenShards: gauge('frozen_shards', 'Of these, those that wait for more than five minutes. Alert.'),
  publishBehindSeconds: gauge(
    'publish_behind_seconds',
    'For how long the shard that is the farthest behind has had something newer that it may not show yet.',
  ),
  leasesLost: counter('leases_lost_total', 'Leases of shards that ran out, or were taken by another replica.'),
  publishFailures: counter(
    'publish_failures_total',
    'Turns of the publisher that the ledger or Kafka ended; they are repeated.',
  ),
  auditFailures: counter(
    'audit_failures_total',
    'Tenants whose series, overflow and retired amounts do not make their total. Alert.',
  ),
  purgedSeries: counter('purged_series_total', 'Stale series that were retired.'),
  forgottenTenants: counter('forgotten_tenants_total', 'Trackers of tenants without series that were forgotten.'),

  // Configuration
  overridesFailed: gauge(
    'overrides_failed',
    '1 while the file of overrides cannot be taken; what was in force before stays so. Alert.',
  ),
  overridesReloads: counter('overrides_reloads_total', 'Times that a changed file of overrides was taken.'),
  overridesInfo: info('overrides_info', '1, with the hash of the overrides in force.', ['sha256']),
  userOverridesFailed: gauge(
    'user_overrides_failed',
    '1 while what tenants set for themselves cannot be read, or a document of theirs cannot be taken; what was in force before stays so. Alert.',
  ),
  userOverrides: gauge('user_overrides', 'Tenants who set something for themselves.'),
  serverFilesRefused: counter(
    'server_files_refused_total',
    'Looks at the files of server.tls and of the tokens that found one which cannot be used; the former ones stay.',
  ),
  certificateExpiry: gauge(
    'server_certificate_expiry_timestamp_seconds',
    'When the certificate of the HTTP server expires; 0 without one. Alert before.',
  ),
  configInfo: info('config_info', '1, with the hash of the configuration without its secrets.', ['sha256']),
  buildInfo: info('build_info', '1, with the version.', ['version', 'node_version']),
} as const;

export type SelfMetrics = Facade<typeof DECLARED> & {
  readonly contentType: string;
  /** Called before each exposition, to set what is known only by asking. Must not throw. */
  onScrape(listener: () => void): void;
  /** Prometheus text. */
  text(): Promise<string>;
};

export type SelfMetricsOptions = {
  /** Also metrics of the process and of Node.js: they watch the process and are for one registry only. */
  readonly processMetrics: boolean;
};

export const createSelfMetrics = ({ processMetrics }: SelfMetricsOptions): SelfMetrics => {
  const registry = new Registry();
  const listeners: (() => void)[] = [];
  if (processMetrics) {
    collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: NEVER_MS });
    observeLoopLag(registry);
  }
  return {
    ...facade(DECLARED, registry),
    contentType: registry.contentType,
    onScrape: (listener) => void listeners.push(listener),
    text: async () => {
      for (const listener of listeners) listener();
      return registry.metrics();
    },
  };
};
