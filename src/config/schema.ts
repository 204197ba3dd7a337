/**
 * Every setting, once: the source of the file's keys, of the environment's names, of `--help` and of the table in
 * README.md. A setting is here when it does something.
 */
import convict from 'convict';
import { FORMATS, type FormatName } from './formats.ts';
import type { Constraints } from './scalars.ts';

export type Setting = Constraints & {
  readonly doc: string;
  readonly format: FormatName;
  /** As it would be written in the file. */
  readonly default: string | number | boolean | readonly string[] | readonly (readonly [string, string])[];
  /** Never printed. */
  readonly sensitive?: boolean;
};

type Tree = { readonly [key: string]: Setting | Tree };

const PORT = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
const HOST_PORT = new RegExp(`^(?:[A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\]):${PORT}$`);
const MB = 1_048_576;
const HOUR_MS = 3_600_000;

/** The list of src/attribution/discard.ts, compared by a test. */
const BAD_RECORD_REASONS = [
  'null_value',
  'malformed',
  'not_otlp',
  'jaeger',
  'zipkin',
  'other_signal',
  'no_tenant',
  'invalid_tenant',
  'unknown_schema',
  'foreign_schema',
] as const;

const file = (doc: string) => ({ doc, format: 'text', default: '' }) as const satisfies Setting;
/** Its value may be the secret itself, put where a path belongs. */
const secretFile = (doc: string) => ({ ...file(doc), sensitive: true }) as const satisfies Setting;
const secret = (doc: string) => ({ doc, format: 'text', default: '', sensitive: true }) as const satisfies Setting;

const tls = (peer: string) =>
  ({
    enabled: { doc: `Speak TLS to ${peer}.`, format: 'flag', default: false },
    ca_file: file('File with the certificates (PEM) to trust instead of the system ones.'),
    cert_file: file('File with the client certificate (PEM).'),
    key_file: secretFile("File with the client certificate's key (PEM)."),
  }) as const satisfies Tree;

export const SETTINGS = {
  server: {
    host: { doc: 'Address that the HTTP server binds to.', format: 'text', default: '0.0.0.0', required: true },
    port: {
      doc: 'Port of the HTTP server; 0 takes a free one.',
      format: 'count',
      default: 3200,
      max: 65_535,
    },
    admin_token_file: secretFile(
      'File with the bearer token for everything but the health and metrics endpoints. It is read again when it changes.',
    ),
    metrics_token_file: secretFile(
      'File with the bearer token for /metrics and /usage_metrics. It is read again when it changes.',
    ),
    tls: {
      cert_file: file(
        'File with the certificate (PEM, with its chain): HTTPS is spoken then, and nothing else. It is read again when it changes.',
      ),
      key_file: secretFile("File with the certificate's key (PEM)."),
    },
    max_connections: {
      doc: 'HTTP connections at the same time; beyond them the longest idle one is closed.',
      format: 'count',
      default: 512,
      min: 8,
      max: 100_000,
    },
    max_scrapes: {
      doc: 'Answers of usage metrics at the same time; beyond them one whose client does not read is cut off, else 503 is answered.',
      format: 'count',
      default: 16,
      min: 1,
      max: 1_000,
    },
    max_header_size: {
      doc: 'Bytes of a request line with its headers; above them 431 is answered.',
      format: 'size',
      default: '16KiB',
      min: 1_024,
      max: MB,
    },
    request_timeout: {
      doc: 'A request that has not arrived whole after that long is answered 408.',
      format: 'duration',
      default: '10s',
      min: 100,
      max: 300_000,
    },
    answer_timeout: {
      doc: 'An answer that is not taken after that long is cut off; one to Prometheus already after the time-out that it names.',
      format: 'duration',
      default: '1m',
      min: 100,
      max: HOUR_MS,
    },
    shutdown_timeout: {
      doc: 'After SIGTERM: the time for the last flush, the last commits and leaving the group. Then the process ends.',
      format: 'duration',
      default: '25s',
      min: 1_000,
    },
  },
  kafka: {
    brokers: {
      doc: 'Brokers to begin with, host:port.',
      format: 'list',
      default: ['localhost:9092'],
      required: true,
      pattern: HOST_PORT,
      expected: 'host:port',
    },
    client_id: { doc: "Name in the brokers' logs and quotas.", format: 'text', default: 'tracetally', required: true },
    group_id: {
      doc: 'Consumer group. All replicas of an installation share it.',
      format: 'text',
      default: 'tracetally',
      required: true,
    },
    topics: {
      doc: 'Names of the topics to consume, or patterns: regular expressions that begin with ^. Topics that match are read as they appear.',
      format: 'list',
      default: ['otlp_spans'],
      required: true,
      pattern: /^(?:\^.*|(?!\.{1,2}$)[A-Za-z0-9._-]{1,249})$/,
      expected: 'names of topics, and patterns that begin with ^',
    },
    encoding: {
      doc: 'How the values are written: otlp_proto, otlp_json (one request, or one a line), tempo_push_bytes (the ingest topic of Tempo) or auto: told from each value. A frame of a schema registry is taken off in any case.',
      format: 'choice',
      default: 'auto',
      choices: ['auto', 'otlp_proto', 'otlp_json', 'tempo_push_bytes'],
    },
    topic_encodings: {
      doc: 'Topic -> encoding, where it is not kafka.encoding.',
      format: 'map',
      default: [],
    },
    on_bad_record: {
      doc: 'What is done about a record that cannot be counted: skip (it is counted by its reason), dead_letter (it is also written to kafka.dead_letter_topic, before anything behind it is settled), stop (its partition stands still before it, others go on).',
      format: 'choice',
      default: 'skip',
      choices: ['skip', 'dead_letter', 'stop'],
    },
    bad_record_reasons: {
      doc: 'Reasons for which kafka.on_bad_record does more than skip.',
      format: 'list',
      default: BAD_RECORD_REASONS,
      required: true,
      pattern: new RegExp(`^(?:${BAD_RECORD_REASONS.join('|')})$`),
      expected: `some of ${BAD_RECORD_REASONS.join(', ')}`,
    },
    dead_letter_topic: {
      doc: 'Topic for dead letters. It must exist, and be none of kafka.topics.',
      format: 'text',
      default: '',
      pattern: /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}$/,
      expected: 'the name of a topic',
    },
    from_beginning: {
      doc: 'Where the group has no commit: start at the first record (true) or at the end (false). Partitions that are added later always start at their first record.',
      format: 'flag',
      default: true,
    },
    tls: tls('the brokers'),
    sasl: {
      mechanism: {
        doc: 'How to log in: plain, scram-sha-256 or scram-sha-512. Empty: not at all.',
        format: 'choice',
        default: '',
        choices: ['', 'plain', 'scram-sha-256', 'scram-sha-512'],
      },
      username: { doc: 'User name.', format: 'text', default: '' },
      password: secret('Password.'),
      password_file: secretFile('File with the password.'),
    },
    session_timeout: {
      doc: "Without a heartbeat for that long, a replica's partitions go to others.",
      format: 'duration',
      default: '30s',
      min: 1_000,
      max: HOUR_MS,
    },
    max_bytes_per_partition: {
      doc: 'Bytes asked for per partition and fetch; at least the largest record.',
      format: 'size',
      default: '16MiB',
      min: 1_024,
      max: 1_024 * MB,
    },
  },
  schema_registry: {
    url: {
      doc: 'https://host:port of a schema registry that says what the schemas of framed records are. Empty: they are taken for what they look like.',
      format: 'text',
      default: '',
      pattern: /^https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?$/,
      expected: 'http://host:port or https://host:port, with a path if need be, and without a login',
      sensitive: true,
    },
    username: { doc: 'User name.', format: 'text', default: '' },
    password: secret('Password.'),
    password_file: secretFile('File with the password.'),
    ca_file: file('File with the certificates (PEM) to trust instead of the system ones.'),
    on_unknown_schema: {
      doc: 'A schema that the registry does not have, or does not tell of because it is away: discard the record (it is a bad one), or hold its partition until it is known.',
      format: 'choice',
      default: 'discard',
      choices: ['discard', 'hold'],
    },
    timeout: {
      doc: 'The registry is given up on after that long.',
      format: 'duration',
      default: '2s',
      min: 50,
      max: 60_000,
    },
    attempts: {
      doc: 'Questions in a row without an answer after which discard no longer waits for the registry. It is asked on, at longer and longer intervals.',
      format: 'count',
      default: 3,
      min: 1,
      max: 100,
    },
    max_requests_per_second: {
      doc: 'Questions to the registry, over all schemas.',
      format: 'count',
      default: 20,
      min: 1,
      max: 1_000,
    },
  },
  redis: {
    url: {
      doc: 'redis://host:port or rediss://host:port of a single server. With no server at all, the ledger is embedded: in memory, for one replica.',
      format: 'text',
      default: '',
      sensitive: true,
    },
    cluster: {
      doc: 'Nodes of a Redis Cluster to begin with, host:port.',
      format: 'list',
      default: [],
      pattern: HOST_PORT,
      expected: 'host:port',
    },
    sentinels: {
      doc: 'Sentinels, host:port.',
      format: 'list',
      default: [],
      pattern: HOST_PORT,
      expected: 'host:port',
    },
    sentinel_master: { doc: 'Name of the master that the Sentinels watch.', format: 'text', default: '' },
    username: { doc: 'User name (Redis ACL).', format: 'text', default: '' },
    password: secret('Password.'),
    password_file: secretFile('File with the password.'),
    tls: tls('Redis'),
    key_prefix: {
      doc: 'Begins the name of every key. Installations that share a Redis need different ones.',
      format: 'text',
      default: 'tracetally',
      required: true,
      pattern: /^[^{}\s]{1,100}$/,
      expected: 'at most 100 characters, without braces and white space',
    },
  },
  ledger: {
    flush_interval: {
      doc: 'How often pending amounts go to the ledger.',
      format: 'duration',
      default: '5s',
      min: 100,
      max: 60_000,
    },
    max_pending_bytes: {
      doc: 'Memory for pending amounts; above it, fetching pauses.',
      format: 'size',
      default: '256MiB',
      min: MB,
    },
    on_loss: {
      doc: "When the ledger lost a whole shard: continue at the group's commit, recount from the start of the log, or stop.",
      format: 'choice',
      default: 'continue',
      choices: ['continue', 'recount', 'stop'],
    },
    max_tenants: {
      doc: 'Tenants with series of their own; the bytes of others are counted under an overflow tenant.',
      format: 'count',
      default: 10_000,
      min: 1,
      max: 10_000_000,
    },
    tenant_retention: {
      doc: 'A tenant without series is forgotten after that long; its totals stay in the sum.',
      format: 'duration',
      default: '7d',
      min: 60_000,
    },
  },
  tenants: {
    from: {
      doc: "Where a record's tenant is looked for, in this order: header:NAME, key, topic:REGEX with a group (?<tenant>...), resource:ATTRIBUTE (one record can then hold several tenants). The first value that is not empty decides.",
      format: 'list',
      default: ['header:X-Scope-OrgID'],
      pattern: /^(?:(?:header|topic|resource):.+|key)$/,
      expected: 'header:NAME, key, topic:REGEX and resource:ATTRIBUTE',
    },
    default: {
      doc: 'The tenant where no source has a value. Empty: such a record is discarded.',
      format: 'text',
      default: 'single-tenant',
    },
  },
  usage: {
    accounting: {
      doc: "exact: every byte of a record lands in a series. tempo: as Grafana Tempo's usage tracker counts, for comparing with one (docs/tempo.md).",
      format: 'choice',
      default: 'exact',
      choices: ['exact', 'tempo'],
    },
    cost_attribution: {
      enabled: { doc: 'Run the tracker cost-attribution.', format: 'flag', default: true },
      max_cardinality: {
        doc: 'Live series per tenant, over all replicas. 0: everything overflows.',
        format: 'count',
        default: 10_000,
        max: 10_000_000,
      },
      stale_duration: {
        doc: 'A series without new bytes for that long is purged and makes room.',
        format: 'duration',
        default: '15m',
        min: 1_000,
      },
      without_dimensions: {
        doc: 'A tenant without dimensions: count its bytes in one series without labels of its own, or ignore them as Tempo does.',
        format: 'choice',
        default: 'count',
        choices: ['count', 'ignore'],
      },
    },
    trackers: {
      doc: 'More trackers, each with its own dimensions, limit and series: name -> enabled, measures (bytes, spans), max_cardinality, stale_duration, without_dimensions (docs/overrides.md).',
      format: 'trackers',
      default: [],
    },
    max_label_value_length: {
      doc: 'Longer label values are cut, in bytes. With the accounting tempo only those above 65536, since Tempo cuts none.',
      format: 'count',
      default: 2_048,
      min: 16,
      max: 65_536,
    },
  },
  overrides: {
    defaults: {
      cost_attribution: {
        dimensions: {
          doc: "Attribute -> label. `resource.` or `span.` before the attribute looks at that level alone; an empty label takes the attribute's name. In the place of the label there may be a map with extras: label, default, regex, lowercase, map, max_length (docs/overrides.md).",
          format: 'dimensions',
          default: [['resource.service.name', 'service']],
        },
        max_cardinality: {
          doc: "Live series per tenant; 0: the tracker's.",
          format: 'count',
          default: 0,
          max: 10_000_000,
        },
      },
      trackers: {
        doc: 'Of usage.trackers: name -> dimensions, max_cardinality.',
        format: 'tracker_defaults',
        default: [],
      },
    },
    per_tenant_override_config: {
      doc: "File with the settings of single tenants, in Tempo's form (docs/overrides.md).",
      format: 'text',
      default: '',
    },
    per_tenant_override_period: {
      doc: 'How often that file is looked at. One with a mistake changes nothing but tracetally_overrides_failed.',
      format: 'duration',
      default: '10s',
      min: 100,
      max: HOUR_MS,
    },
    user_configurable_overrides: {
      enabled: {
        doc: 'Let tenants set dimensions for themselves, by /api/overrides (docs/overrides.md). Stored in Redis; with an embedded ledger in memory, so that it ends with the process.',
        format: 'flag',
        default: false,
      },
      poll_interval: {
        doc: 'How often a replica looks at what is stored; the one that took a change has it at once.',
        format: 'duration',
        default: '5s',
        min: 100,
        max: HOUR_MS,
      },
      api: {
        check_for_conflicting_runtime_overrides: {
          doc: 'Refuse the first document of a tenant whose entry of the file, or the wildcard, has dimensions.',
          format: 'flag',
          default: false,
        },
      },
    },
    merge: {
      doc: "block: a tenant's entry stands for all settings, as in Tempo; what it leaves out is not taken from the wildcard or the defaults. fields: it is.",
      format: 'choice',
      default: 'block',
      choices: ['block', 'fields'],
    },
  },
  publish: {
    metric_prefix: {
      doc: 'Begins the names of the usage metrics.',
      format: 'text',
      default: 'tempo_usage_tracker',
      required: true,
      pattern: /^(?!__)[A-Za-z_][A-Za-z0-9_]{0,99}$/,
      expected: 'letters, digits and underscores, not beginning with a digit or two underscores',
    },
    numbers: {
      doc: 'plain: amounts in digits. go: as Tempo prints them, from 1000000 on with an exponent (1e+06). auto: go with the accounting tempo, else plain. Prometheus reads either as the same number.',
      format: 'choice',
      default: 'auto',
      choices: ['auto', 'plain', 'go'],
    },
    birth_hold: {
      doc: 'A series shows 0 to Prometheus for that long, so that increase() misses nothing: longer than a scrape interval. 0: no hold.',
      format: 'duration',
      default: '75s',
      max: HOUR_MS,
    },
    lease: {
      doc: 'How long a replica owns a shard for publishing without a renewal.',
      format: 'duration',
      default: '15s',
      min: 1_000,
      max: 600_000,
    },
  },
  log: {
    level: {
      doc: 'debug, info, warn or error.',
      format: 'choice',
      default: 'info',
      choices: ['debug', 'info', 'warn', 'error'],
    },
    format: {
      doc: 'json, logfmt or pretty.',
      format: 'choice',
      default: 'json',
      choices: ['json', 'logfmt', 'pretty'],
    },
  },
} as const satisfies Tree;

/** A setting with its place. */
export type Row = Setting & { readonly path: string; readonly env: string };

const isSetting = (node: Setting | Tree): node is Setting => typeof node.doc === 'string';

const rowsOf = (tree: Tree, prefix: string): readonly Row[] =>
  Object.entries(tree).flatMap(([key, node]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (!isSetting(node)) return rowsOf(node, path);
    return [{ ...node, path, env: `TRACETALLY_${path.replaceAll('.', '_').toUpperCase()}` }];
  });

/** All settings in the order of the file. */
export const ROWS: readonly Row[] = rowsOf(SETTINGS, '');

/** Puts a value at a path, with the objects that lead there. */
export const place = (root: Record<string, unknown>, path: string, value: unknown): void => {
  const keys = path.split('.');
  let node = root;
  for (const key of keys.slice(0, -1)) {
    node[key] ??= {};
    node = node[key] as Record<string, unknown>;
  }
  node[keys.at(-1)!] = value;
};

/** The type of the value that a setting's format makes. */
type Value<S> = S extends { readonly choices: readonly (infer C)[] }
  ? C
  : S extends { readonly format: infer F extends FormatName }
    ? ReturnType<(typeof FORMATS)[F]>
    : never;

/** The tree of settings with values in the place of settings. */
export type Values<T = typeof SETTINGS> = {
  readonly [K in keyof T]: T[K] extends Setting ? Value<T[K]> : Values<T[K]>;
};

for (const name of Object.keys(FORMATS) as FormatName[]) {
  convict.addFormat({ name, validate: (value, setting) => void FORMATS[name](value, setting as Row) });
}

/**
 * A setting's name in convict. Its tree is kept flat: it would take a section that has a key called `default` for a
 * setting.
 */
export const convictKey = (row: Row): string => row.path.replaceAll('.', '/');

const SCHEMA = Object.fromEntries(ROWS.map((row) => [convictKey(row), row]));

/** The layers in their order: defaults, then `raw` (from the file, by `convictKey`), then the environment. */
export const layered = (raw: object, env: Readonly<Record<string, string | undefined>>): ((row: Row) => unknown) => {
  const layers = convict<Record<string, unknown>>(SCHEMA as never, { env: { ...env }, args: [] }).load(raw);
  return (row) => layers.get(convictKey(row));
};
