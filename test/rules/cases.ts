/** For each alert: what makes it fire, beside what must not, and a time at which it is silent. */
import type { AlertCase } from '../support/rules.ts';

const SELF = 'namespace="n",job="tt"';
const REPLICA = { namespace: 'n', job: 'tt', instance: 'a' };
const GROUP = { namespace: 'n', job: 'tt' };
const TENANT = { namespace: 'n', tenant: 'acme', tracker: 'cost-attribution' };

/** A self-metric of replica a (which goes wrong) and of replica b (which does not). */
const onReplicas = (name: string, bad: string, good: string, labels = ''): Record<string, string> => ({
  [`tracetally_${name}{${SELF},instance="a"${labels}}`]: bad,
  [`tracetally_${name}{${SELF},instance="b"${labels}}`]: good,
});
/** A self-metric of an installation that goes wrong and of one that does not. */
const onJobs = (name: string, bad: string, good: string, labels = ''): Record<string, string> => ({
  [`tracetally_${name}{${SELF},instance="a"${labels}}`]: bad,
  [`tracetally_${name}{namespace="n",job="other",instance="a"${labels}}`]: good,
});
const usage = (name: string, tenant: string, values: string, labels = ''): Record<string, string> => ({
  [`tempo_usage_tracker_${name}{namespace="n",job="u",tenant="${tenant}",tracker="cost-attribution"${labels}}`]: values,
});

const CONSUMPTION: readonly AlertCase[] = [
  {
    alert: 'TracetallyAbsent',
    series: { [`tracetally_build_info{${SELF},instance="a"}`]: '1x10 _x40' },
    silentAt: '15m',
    firesAt: '30m',
    firing: [{}],
  },
  {
    alert: 'TracetallyCrashLooping',
    series: {
      ...onReplicas('build_info', '1x60', '1x60'),
      [`process_start_time_seconds{${SELF},instance="a"}`]: '100x10 200x4 300x4 400x4 500x40',
      [`process_start_time_seconds{${SELF},instance="b"}`]: '100x20 200x40',
      'process_start_time_seconds{namespace="n",job="else",instance="a"}': '1+1x60',
    },
    silentAt: '20m',
    firesAt: '35m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyLagging',
    series: {
      ...onJobs('lag_seconds', '0x10 300x40', '0x5 300x5 20x40', ',topic="t",partition="0"'),
      ...onJobs('lag_seconds', '0x60', '0x60', ',topic="t",partition="1"'),
    },
    silentAt: '15m',
    firesAt: '25m',
    firing: [{ ...GROUP, topic: 't' }],
  },
  {
    alert: 'TracetallyLaggingFarBehind',
    series: onJobs('lag_seconds', '0x10 2000x40', '1700x60', ',topic="t",partition="0"'),
    silentAt: '20m',
    firesAt: '30m',
    firing: [{ ...GROUP, topic: 't' }],
  },
  {
    alert: 'TracetallyNoProgress',
    series: {
      ...onReplicas('lag_records', '0x10 5+10x40', '500x60', ',topic="t",partition="0"'),
      ...onReplicas('records_consumed_total', '0+100x10 1000x40', '0+100x60'),
      // Idle: nothing to read is no reason to wake anybody.
      [`tracetally_lag_records{${SELF},instance="c",topic="t",partition="2"}`]: '0x60',
      [`tracetally_records_consumed_total{${SELF},instance="c"}`]: '7x60',
    },
    silentAt: '20m',
    firesAt: '35m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyNotReady',
    // Beside it one that starts, and one that waits for a broker for a while.
    series: onReplicas('ready', '1x10 0x50', '0x4 1x10 0x8 1x40'),
    silentAt: '20m',
    firesAt: '32m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyNoPartitions',
    series: {
      ...onJobs('assigned_partitions', '3x10 0x40', '0x60'),
      'tracetally_assigned_partitions{namespace="n",job="other",instance="b"}': '3x60',
    },
    silentAt: '15m',
    firesAt: '30m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyPartitionsWaiting',
    series: onReplicas('waiting_partitions', '0x10 2x40', '0x10 2x5 0x40'),
    silentAt: '18m',
    firesAt: '30m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyPaused',
    series: {
      ...onReplicas('paused_seconds_total', '0x60', '0x10 0+5x40'),
      ...onReplicas('paused_partitions', '0x10 4x40', '0x10 4x2 0x40'),
    },
    silentAt: '12m',
    firesAt: '30m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyKafkaUnavailable',
    series: onJobs('kafka_unavailable_total', '0x10 0+1x40', '0x10 3x40'),
    silentAt: '15m',
    firesAt: '30m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyKafkaCommitsFailing',
    series: {
      ...onReplicas('kafka_commit_failures_total', '0x10 0+1x50', '0x10 0+1x50'),
      ...onReplicas('kafka_commits_total', '0+12x10 120x50', '0+12x60'),
    },
    silentAt: '15m',
    firesAt: '40m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyRebalancing',
    series: onJobs('memberships_lost_total', '0x10 0+1x50', '0x10 3x50'),
    silentAt: '15m',
    firesAt: '45m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyPartitionHeld',
    series: {
      ...onJobs('held_partitions', '0x10 1x50', '0x10 1x3 0x47', ',cause="dead_letter"'),
      ...onJobs('held_partitions', '0x60', '0x60', ',cause="bad_record"'),
    },
    silentAt: '12m',
    firesAt: '20m',
    firing: [{ ...GROUP, cause: 'dead_letter' }],
  },
  {
    alert: 'TracetallySchemaRegistryUnavailable',
    series: {
      ...onJobs('schema_lookups_total', '0x10 0+1x40', '0x10 3x40', ',outcome="failed"'),
      ...onJobs('schema_lookups_total', '0+1x50', '0+1x50', ',outcome="unknown"'),
    },
    silentAt: '15m',
    firesAt: '30m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyDiscards',
    series: {
      ...onJobs('records_discarded_total', '0x20 0+10x60', '0+1x80', ',reason="malformed"'),
      ...onJobs('records_discarded_total', '0x80', '0x80', ',reason="no_tenant"'),
      ...onJobs('records_consumed_total', '0+1000x80', '0+10000x80'),
    },
    silentAt: '25m',
    firesAt: '50m',
    firing: [{ ...GROUP, reason: 'malformed' }],
  },
  {
    alert: 'TracetallySourceTrouble',
    series: {
      ...onJobs('source_troubles_total', '0x10 0+1x40', '0x10 3x40', ',trouble="no_leader"'),
      ...onJobs('source_troubles_total', '0+1x50', '0+1x50', ',trouble="broker_silent"'),
    },
    silentAt: '15m',
    firesAt: '30m',
    firing: [{ ...GROUP, trouble: 'no_leader' }],
  },
  {
    alert: 'TracetallyOverridesRefused',
    // First the file, then a document of a tenant: one after the other they last long enough.
    series: {
      ...onJobs('overrides_failed', '0x10 1x20 0x40', '0x70'),
      ...onJobs('user_overrides_failed', '0x28 1x40', '0x70'),
    },
    silentAt: '20m',
    firesAt: '50m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyServerFilesRefused',
    series: onJobs('server_files_refused_total', '0x10 0+1x50', '0x60'),
    silentAt: '20m',
    firesAt: '50m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyCertificateExpires',
    series: {
      // The clock of these tests begins at 0.
      ...onReplicas('server_certificate_expiry_timestamp_seconds', '600000x90', '2000000x90'),
      [`tracetally_server_certificate_expiry_timestamp_seconds{${SELF},instance="c"}`]: '0x90',
    },
    silentAt: '30m',
    firesAt: '80m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyConfigDiffers',
    series: {
      ...onJobs('config_info', '1x80', '1x80', ',sha256="one"'),
      [`tracetally_config_info{${SELF},instance="b",sha256="two"}`]: '1x80',
      'tracetally_config_info{namespace="n",job="other",instance="b",sha256="one"}': '1x80',
    },
    silentAt: '20m',
    firesAt: '40m',
    firing: [GROUP],
  },
];

const LOSS: readonly AlertCase[] = [
  ['TracetallyGap', 'gap_records_total'],
  ['TracetallyLogTruncated', 'log_truncated_records_total'],
  ['TracetallyLedgerLostWrites', 'ledger_lost_writes_total'],
  ['TracetallyLedgerLoss', 'ledger_losses_total'],
  ['TracetallyAuditFailed', 'audit_failures_total'],
].map(([alert, name]) => ({
  alert: alert!,
  series: onJobs(name!, '0x10 5x120', '3x130'),
  silentAt: '9m',
  firesAt: '20m',
  firing: [GROUP],
}));

const LEDGER: readonly AlertCase[] = [
  {
    alert: 'TracetallyLedgerDown',
    series: onReplicas('ledger_up', '1x10 0x40', '1x10 0x1 1x40'),
    silentAt: '12m',
    firesAt: '20m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyLedgerSilent',
    series: {
      // The clock of these tests begins at 0.
      ...onReplicas('ledger_last_success_timestamp_seconds', '0+60x10 600x40', '0+60x60'),
      [`tracetally_ledger_last_success_timestamp_seconds{${SELF},instance="c"}`]: '0x60',
      ...onReplicas('assigned_partitions', '3x60', '3x60'),
      [`tracetally_assigned_partitions{${SELF},instance="c"}`]: '0x60',
    },
    silentAt: '15m',
    firesAt: '25m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyLedgerSlow',
    series: {
      ...onJobs('ledger_commit_seconds_bucket', '0x60', '0+100x60', ',le="1"'),
      ...onJobs('ledger_commit_seconds_bucket', '0x10 0+100x50', '0+100x60', ',le="2.5"'),
      ...onJobs('ledger_commit_seconds_bucket', '0x10 0+100x50', '0+100x60', ',le="+Inf"'),
    },
    silentAt: '20m',
    firesAt: '40m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyLedgerUnsteady',
    series: onJobs('ledger_unavailable_total', '0x10 0+3x60', '0x10 10x60'),
    silentAt: '20m',
    firesAt: '50m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallySectionsNotApplied',
    series: onJobs('ledger_sections_not_applied_total', '0x10 0+10x60', '0x10 48x60', ',cause="marker_moved"'),
    silentAt: '20m',
    firesAt: '50m',
    firing: [{ ...GROUP, cause: 'marker_moved' }],
  },
];

const PUBLISHING: readonly AlertCase[] = [
  {
    alert: 'TracetallyShardsFrozen',
    series: onReplicas('frozen_shards', '0x10 1x40', '0x10 1x2 0x40'),
    silentAt: '12m',
    firesAt: '25m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyPublishBehind',
    series: onReplicas('publish_behind_seconds', '0x10 60+60x40', '90x1 0x2 100x1 0x40'),
    silentAt: '12m',
    firesAt: '25m',
    firing: [REPLICA],
  },
  {
    alert: 'TracetallyPublishUnsteady',
    // Beside it a Redis that was restarted: some failures at once.
    series: onJobs('publish_failures_total', '0x10 0+4x60', '0x20 15x50'),
    silentAt: '20m',
    firesAt: '45m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyShardsNotShown',
    series: {
      ...onJobs('owned_shards', '32x60', '32x60'),
      [`tracetally_owned_shards{${SELF},instance="b"}`]: '32x10 31x50',
      // A hand-over: away for two scrapes.
      'tracetally_owned_shards{namespace="n",job="other",instance="b"}': '32x20 0x1 32x40',
    },
    silentAt: '15m',
    firesAt: '30m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyShardsShownTwice',
    series: {
      ...onJobs('owned_shards', '32x60', '32x60'),
      [`tracetally_owned_shards{${SELF},instance="b"}`]: '32x10 33x50',
      'tracetally_owned_shards{namespace="n",job="other",instance="b"}': '32x20 33x1 32x40',
    },
    silentAt: '12m',
    firesAt: '30m',
    firing: [GROUP],
  },
  {
    alert: 'TracetallyScrapesSlow',
    series: {
      ...onJobs('scrape_seconds_bucket', '0+4x10 40x50', '0+4x60', ',le="5"'),
      ...onJobs('scrape_seconds_bucket', '0+4x60', '0+4x60', ',le="10"'),
      ...onJobs('scrape_seconds_bucket', '0+4x60', '0+4x60', ',le="+Inf"'),
    },
    silentAt: '10m',
    firesAt: '45m',
    firing: [GROUP],
  },
];

const USAGE: readonly AlertCase[] = [
  {
    alert: 'TracetallyOverflow',
    series: {
      ...usage('overflow_bytes_total', 'acme', '0x10 0+5x60'),
      ...usage('overflow_bytes_total', 'quiet', '0x10 0+5x5 25x60'),
    },
    silentAt: '30m',
    firesAt: '50m',
    firing: [TENANT],
  },
  {
    alert: 'TracetallySeriesNearLimit',
    series: {
      // It moves to another replica on the way: away for a minute.
      ...usage('active_series', 'acme', '50x10 90x30 _x1 90x30'),
      ...usage('series_limit', 'acme', '100x40 _x1 100x30'),
      ...usage('active_series', 'quiet', '80x80'),
      ...usage('series_limit', 'quiet', '100x80'),
      ...usage('active_series', 'none', '0x80'),
      ...usage('series_limit', 'none', '0x80'),
    },
    silentAt: '30m',
    firesAt: '50m',
    firing: [TENANT],
  },
  {
    alert: 'TracetallyDemandAboveLimit',
    series: {
      ...usage('series_demand_estimate', 'acme', '50x10 5000x30 _x1 5000x30'),
      ...usage('series_limit', 'acme', '100x40 _x1 100x30'),
      // At its limit, with nothing beyond.
      ...usage('series_demand_estimate', 'full', '100x80'),
      ...usage('series_limit', 'full', '100x80'),
    },
    silentAt: '30m',
    firesAt: '50m',
    firing: [TENANT],
  },
  {
    alert: 'TracetallyTenantsOverflow',
    series: {
      ...usage('tenant_bytes_total', '__overflow_17__', '0x10 0+100x60'),
      ...usage('tenant_bytes_total', 'overflow_17', '0+100x70'),
    },
    silentAt: '30m',
    firesAt: '50m',
    firing: [{ namespace: 'n' }],
  },
  {
    alert: 'TracetallyDoesNotReconcile',
    series: {
      ...usage('tenant_bytes_total', 'acme', '0+800000x200'),
      ...usage('tenant_bytes_total', 'b', '0+200000x10 2000000+100000x190'),
      'tempo_usage_tracker_accepted_bytes_total{namespace="n",job="u"}': '0+1000000x200',
      'tempo_usage_tracker_accepted_bytes_total{namespace="m",job="u"}': '0+1000000x200',
      'tempo_usage_tracker_tenant_bytes_total{namespace="m",job="u",tenant="acme",tracker="cost-attribution"}':
        '0+990000x200',
      'tempo_usage_tracker_tenant_bytes_total{namespace="m",job="u",tenant="acme",tracker="teams"}': '0+90000x200',
    },
    silentAt: '60m',
    firesAt: '180m',
    firing: [{ namespace: 'n', tracker: 'cost-attribution' }],
  },
  {
    alert: 'TracetallySeriesIncomplete',
    series: {
      ...usage('tenant_bytes_total', 'acme', '0+1000000x200'),
      ...usage('bytes_received_total', 'acme', '0+500000x200', ',service="shop"'),
      ...usage('bytes_received_total', 'acme', '0+500000x20 10000000x180', ',service="web"'),
      ...usage('tenant_bytes_total', 'quiet', '0+1000000x200'),
      ...usage('bytes_received_total', 'quiet', '0+1000000x200', ',service="shop"'),
    },
    silentAt: '60m',
    firesAt: '180m',
    firing: [TENANT],
  },
  {
    alert: 'TracetallySeriesTwice',
    series: {
      ...usage('tenant_bytes_total', 'acme', '0+10x80', ',instance="a"'),
      ...usage('tenant_bytes_total', 'acme', '_x10 100+10x70', ',instance="b"'),
      ...usage('tenant_bytes_total', 'moved', '0+10x20 stale', ',instance="a"'),
      ...usage('tenant_bytes_total', 'moved', '_x20 200+10x60', ',instance="b"'),
    },
    silentAt: '20m',
    firesAt: '45m',
    firing: [TENANT],
  },
];

/** Ten days in steps of ten minutes: 144 a day. */
const EVERY = '10m';
const grows = (labels: string, tenant: string, week: string, then: string): Record<string, string> => ({
  ...usage('tenant_bytes_total', tenant, `0+${week}x1152 _x0 ${Number(week) * 1152}+${then}x288`, labels),
});
const service = (name: string, tenant: string, week: string, then: string): Record<string, string> => ({
  ...usage(
    'bytes_received_total',
    tenant,
    `0+${week}x1152 _x0 ${Number(week) * 1152}+${then}x288`,
    `,service="${name}"`,
  ),
});
const LAG = 'tracetally_lag_seconds{namespace="n",job="tt",topic="t",partition="0"}';

const GROWTH: readonly AlertCase[] = [
  {
    alert: 'TracetallyTenantDoubled',
    series: {
      ...grows('', 'acme', '10000000', '30000000'),
      // Twice as much of little, and not quite twice as much of much.
      ...grows('', 'small', '1000', '3000'),
      ...grows('', 'steady', '100000000', '190000000'),
      [LAG]: '0x1500',
    },
    silentAt: '8d',
    firesAt: '9d12h',
    firing: [TENANT],
    every: EVERY,
  },
  {
    alert: 'TracetallyUsageDoubled',
    series: {
      ...service('shop', 'acme', '10000000', '30000000'),
      ...service('web', 'acme', '10000000', '15000000'),
      [LAG]: '0x1500',
    },
    silentAt: '8d',
    firesAt: '9d12h',
    firing: [{ ...TENANT, service: 'shop', dimension: 'service' }],
    every: EVERY,
  },
  {
    alert: 'TracetallyNewSpender',
    series: {
      ...service('shop', 'acme', '10000000', '10000000'),
      ...usage('bytes_received_total', 'acme', '_x1152 0+20000000x288', ',service="search"'),
      ...usage('bytes_received_total', 'acme', '_x1152 0+2000x288', ',service="small"'),
      // A tenant that is new as a whole is no surprise.
      ...usage('bytes_received_total', 'newcomer', '_x1152 0+20000000x288', ',service="search"'),
    },
    silentAt: '8d',
    firesAt: '9d12h',
    firing: [{ ...TENANT, service: 'search', dimension: 'service' }],
    every: EVERY,
  },
  {
    alert: 'TracetallyUnattributed',
    series: {
      ...usage('tenant_bytes_total', 'acme', '0+900x60 54000+1200x200'),
      ...usage('unattributed_bytes_total', 'acme', '0x60 0+300x200', ',dimension="service"'),
      ...usage('tenant_bytes_total', 'quiet', '0+1000x260'),
      ...usage('unattributed_bytes_total', 'quiet', '0+50x260', ',dimension="service"'),
      ...usage('unattributed_bytes_total', 'quiet', '0+500x260', ',dimension="feature"'),
    },
    silentAt: '10h',
    firesAt: '20h',
    firing: [{ ...TENANT, dimension: 'service' }],
    every: EVERY,
  },
];

/** What is evaluated in steps of a minute, and what takes days. */
export const CASES: readonly AlertCase[] = [...CONSUMPTION, ...LOSS, ...LEDGER, ...PUBLISHING, ...USAGE];
export const SLOW_CASES: readonly AlertCase[] = GROWTH;
