/** From checked values, in the words of the file, to a `Config`. */
import type { Config, Encoding, HostPort, RedisServer, Sasl, TenantSource, Tls } from './config.ts';
import { parseRedisUrl } from './redis-url.ts';
import type { Values } from './schema.ts';
import { tokenIn } from './secrets.ts';

/** Contents of the files that settings name, by path of the setting. */
export type Contents = ReadonlyMap<string, string>;

/** As long as a label value can be. */
const UNCUT_BYTES = 65_536;

const secret = (contents: Contents, path: string, given: string): string =>
  contents.get(`${path}_file`)?.replace(/\r?\n$/, '') ?? given;

const tls = (contents: Contents, path: string, enabled: boolean): Tls | null =>
  enabled
    ? {
        ca: contents.get(`${path}.ca_file`) ?? null,
        cert: contents.get(`${path}.cert_file`) ?? null,
        key: contents.get(`${path}.key_file`) ?? null,
      }
    : null;

const sasl = (values: Values['kafka']['sasl'], contents: Contents): Sasl | null => {
  const { mechanism, username } = values;
  if (mechanism === '') return null;
  return { mechanism, username, password: secret(contents, 'kafka.sasl.password', values.password) };
};

const hostPort = (text: string): HostPort => {
  const colon = text.lastIndexOf(':');
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port: Number(text.slice(colon + 1)) };
};

const redis = (values: Values['redis'], contents: Contents): Config['redis'] => {
  const url = values.url === '' ? null : parseRedisUrl(values.url);
  const server = (): RedisServer => {
    if (url !== null) return { kind: 'single', host: url.host, port: url.port, database: url.database };
    if (values.cluster.length > 0) return { kind: 'cluster', nodes: values.cluster.map(hostPort) };
    if (values.sentinels.length === 0) return { kind: 'embedded' };
    return { kind: 'sentinel', sentinels: values.sentinels.map(hostPort), master: values.sentinel_master };
  };
  return {
    server: server(),
    username: values.username || (url?.username ?? ''),
    password: secret(contents, 'redis.password', values.password) || (url?.password ?? ''),
    tls: tls(contents, 'redis.tls', values.tls.enabled || url?.tls === true),
    keyPrefix: values.key_prefix,
  };
};

const kafka = (values: Values['kafka'], contents: Contents): Config['kafka'] => ({
  brokers: values.brokers,
  clientId: values.client_id,
  groupId: values.group_id,
  topics: values.topics,
  encoding: values.encoding,
  topicEncodings: values.topic_encodings as readonly (readonly [string, Encoding])[],
  onBadRecord: values.on_bad_record,
  badRecordReasons: values.bad_record_reasons,
  deadLetterTopic: values.dead_letter_topic,
  fromBeginning: values.from_beginning,
  tls: tls(contents, 'kafka.tls', values.tls.enabled),
  sasl: sasl(values.sasl, contents),
  sessionTimeoutMs: values.session_timeout,
  maxBytesPerPartition: values.max_bytes_per_partition,
});

const schemaRegistry = (values: Values['schema_registry'], contents: Contents): Config['schemaRegistry'] =>
  values.url === ''
    ? null
    : {
        url: values.url,
        username: values.username,
        password: secret(contents, 'schema_registry.password', values.password),
        ca: contents.get('schema_registry.ca_file') ?? null,
        onUnknownSchema: values.on_unknown_schema,
        timeoutMs: values.timeout,
        attempts: values.attempts,
        maxRequestsPerSecond: values.max_requests_per_second,
      };

const tenantSource = (text: string): TenantSource => {
  const colon = text.indexOf(':');
  const rest = text.slice(colon + 1);
  switch (text.slice(0, Math.max(0, colon))) {
    case 'header':
      return { kind: 'header', name: rest };
    case 'topic':
      return { kind: 'topic', pattern: rest };
    case 'resource':
      return { kind: 'resource', attribute: rest };
    default:
      return { kind: 'key' };
  }
};

const numbers = ({ publish, usage }: Values): Config['publish']['numbers'] => {
  if (publish.numbers !== 'auto') return publish.numbers;
  return usage.accounting === 'tempo' ? 'go' : 'plain';
};

const server = (values: Values['server'], contents: Contents): Config['server'] => {
  const [cert, key] = [contents.get('server.tls.cert_file'), contents.get('server.tls.key_file')];
  return {
    host: values.host,
    port: values.port,
    adminToken: tokenIn(contents.get('server.admin_token_file')),
    metricsToken: tokenIn(contents.get('server.metrics_token_file')),
    tls: cert === undefined || key === undefined ? null : { cert, key },
    files: {
      adminToken: values.admin_token_file,
      metricsToken: values.metrics_token_file,
      cert: values.tls.cert_file,
      key: values.tls.key_file,
    },
    maxConnections: values.max_connections,
    maxScrapes: values.max_scrapes,
    maxHeaderBytes: values.max_header_size,
    requestTimeoutMs: values.request_timeout,
    answerTimeoutMs: values.answer_timeout,
    shutdownTimeoutMs: values.shutdown_timeout,
  };
};

export const build = (values: Values, contents: Contents): Config => ({
  server: server(values.server, contents),
  kafka: kafka(values.kafka, contents),
  schemaRegistry: schemaRegistry(values.schema_registry, contents),
  redis: redis(values.redis, contents),
  ledger: {
    flushIntervalMs: values.ledger.flush_interval,
    maxPendingBytes: values.ledger.max_pending_bytes,
    onLoss: values.ledger.on_loss,
    maxTenants: values.ledger.max_tenants,
    tenantRetentionMs: values.ledger.tenant_retention,
  },
  tenants: { from: values.tenants.from.map(tenantSource), default: values.tenants.default },
  usage: {
    accounting: values.usage.accounting,
    costAttribution: {
      enabled: values.usage.cost_attribution.enabled,
      maxCardinality: values.usage.cost_attribution.max_cardinality,
      staleDurationMs: values.usage.cost_attribution.stale_duration,
      withoutDimensions: values.usage.cost_attribution.without_dimensions,
    },
    trackers: values.usage.trackers,
    maxLabelValueLengthBytes: values.usage.accounting === 'tempo' ? UNCUT_BYTES : values.usage.max_label_value_length,
  },
  overrides: {
    defaults: {
      costAttribution: {
        dimensions: values.overrides.defaults.cost_attribution.dimensions,
        maxCardinality: values.overrides.defaults.cost_attribution.max_cardinality,
      },
      trackers: values.overrides.defaults.trackers,
    },
    perTenantOverrideConfig: values.overrides.per_tenant_override_config,
    perTenantOverridePeriodMs: values.overrides.per_tenant_override_period,
    userConfigurable: {
      enabled: values.overrides.user_configurable_overrides.enabled,
      pollIntervalMs: values.overrides.user_configurable_overrides.poll_interval,
      checkConflicts: values.overrides.user_configurable_overrides.api.check_for_conflicting_runtime_overrides,
    },
    merge: values.overrides.merge,
  },
  publish: {
    metricPrefix: values.publish.metric_prefix,
    numbers: numbers(values),
    birthHoldMs: values.publish.birth_hold,
    leaseMs: values.publish.lease,
  },
  log: values.log,
});
