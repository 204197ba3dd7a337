// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of the file
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { Config } from '../../../src/config/config.ts';
import { type Loaded, loadConfig } from '../../../src/config/load.ts';
import { configHash, maskedConfig } from '../../../src/config/mask.ts';
import { ROWS } from '../../../src/config/schema.ts';
import { selfSigned } from '../../support/certificate.ts';

const CERTIFICATE = selfSigned();

type Env = Record<string, string | undefined>;

const load = (yaml: string, env: Env = {}, files: Record<string, string> = {}): Loaded =>
  loadConfig({
    file: 'config.yaml',
    env,
    read: (path) => {
      if (path === 'config.yaml') return yaml;
      const text = Object.hasOwn(files, path) ? files[path] : undefined;
      if (text === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
      return text;
    },
  });

const good = (...args: Parameters<typeof load>): Config => {
  const loaded = load(...args);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};

const bad = (...args: Parameters<typeof load>): readonly string[] => {
  const loaded = load(...args);
  return 'problems' in loaded ? loaded.problems : [];
};

test('what is wrong within a map is told all at once, and without the rest of it', () => {
  const dimensions = 'overrides.defaults.cost_attribution.dimensions';
  expect(
    bad(`
usage: { trackers: { teams: { measures: [bytes, tokens], max_cardinality: many }, "Bad!": , more: { enable: true } } }
overrides:
  defaults: { cost_attribution: { dimensions: { a: { lowercase: maybe, maxlength: 5, label: b }, c: { map: x } } } }
`),
  ).toEqual([
    'usage.trackers: "teams": measures has the unknown measure "tokens": there is bytes, spans',
    'usage.trackers: "teams": max_cardinality must be a whole number',
    'usage.trackers: must name trackers with small letters, digits, - and _, beginning with a letter: not "Bad!"',
    'usage.trackers: "more" has the unknown key "enable": there is enabled, measures, max_cardinality, stale_duration, without_dimensions',
    `${dimensions}: "a": lowercase must be true or false`,
    `${dimensions}: "a" has the unknown key "maxlength": there is label, default, regex, lowercase, map, max_length`,
    `${dimensions}: "c": map must be a map from text to text`,
  ]);
});

describe('a configuration that is right', () => {
  test('needs no file: the defaults are one', () => {
    const loaded = loadConfig({ env: {} });
    expect(loaded).toHaveProperty('config.redis.server.kind', 'embedded');
    expect(loaded).toHaveProperty('warnings', []);
  });

  test('an empty file, empty sections and empty values leave the defaults', () => {
    const defaults = good('');
    expect(good('kafka:\n')).toEqual(defaults);
    expect(good('kafka: { topics: , sasl: }\nlog:\n  level:\n')).toEqual(defaults);
  });

  test.each<[string, string, Env, (config: Config) => unknown, unknown]>([
    ['a list', 'kafka: { topics: [a, b] }', {}, (c) => c.kafka.topics, ['a', 'b']],
    ['a list of one text', 'kafka: { topics: "a, b" }', {}, (c) => c.kafka.topics, ['a', 'b']],
    ['an empty list', 'tenants: { from: [] }', {}, (c) => c.tenants.from, []],
    ['a duration', 'kafka: { session_timeout: 1m30s }', {}, (c) => c.kafka.sessionTimeoutMs, 90_000],
    ['a duration in days', 'ledger: { tenant_retention: 1d12h }', {}, (c) => c.ledger.tenantRetentionMs, 129_600_000],
    ['a broken duration', 'ledger: { flush_interval: 1.5s }', {}, (c) => c.ledger.flushIntervalMs, 1_500],
    ['a duration of nothing', 'publish: { birth_hold: 0 }', {}, (c) => c.publish.birthHoldMs, 0],
    ['a size', 'ledger: { max_pending_bytes: 1GiB }', {}, (c) => c.ledger.maxPendingBytes, 1_073_741_824],
    ['a size in bytes', 'kafka: { max_bytes_per_partition: 5000 }', {}, (c) => c.kafka.maxBytesPerPartition, 5_000],
    ['a flag', 'kafka: { from_beginning: false }', {}, (c) => c.kafka.fromBeginning, false],
    [
      'a number',
      'usage: { cost_attribution: { max_cardinality: 0 } }',
      {},
      (c) => c.usage.costAttribution.maxCardinality,
      0,
    ],
    [
      'dimensions in file order',
      'overrides: { defaults: { cost_attribution: { dimensions: { "b.x": B, a: , "10": C } } } }',
      {},
      (c) => c.overrides.defaults.costAttribution.dimensions,
      [
        ['b.x', 'B'],
        ['a', ''],
        ['10', 'C'],
      ],
    ],
    [
      'dimensions from the environment',
      '',
      { TRACETALLY_OVERRIDES_DEFAULTS_COST_ATTRIBUTION_DIMENSIONS: '{"team":"squad"}' },
      (c) => c.overrides.defaults.costAttribution.dimensions,
      [['team', 'squad']],
    ],
    [
      'dimensions with extras',
      'overrides: { defaults: { cost_attribution: { dimensions: { a: { label: b, default: "${D:none}", lowercase: true, map: { "1": one, x: }, max_length: 9 }, c: { regex: "^." }, d: {} } } } }',
      {},
      (c) => c.overrides.defaults.costAttribution.dimensions,
      [
        [
          'a',
          {
            label: 'b',
            default: 'none',
            lowercase: true,
            map: [
              ['1', 'one'],
              ['x', ''],
            ],
            maxLength: 9,
          },
        ],
        ['c', { label: '', regex: '^.' }],
        ['d', ''],
      ],
    ],
    [
      'dimensions with extras from the environment',
      '',
      {
        TRACETALLY_OVERRIDES_DEFAULTS_COST_ATTRIBUTION_DIMENSIONS:
          '{"team":{"label":"squad","map":{"a":"b"},"max_length":5}}',
      },
      (c) => c.overrides.defaults.costAttribution.dimensions,
      [['team', { label: 'squad', map: [['a', 'b']], maxLength: 5 }]],
    ],
    [
      'named trackers',
      'usage: { trackers: { teams: , routes: { enabled: false, measures: [spans], max_cardinality: 0, stale_duration: 1h, without_dimensions: count } } }',
      {},
      (c) => c.usage.trackers,
      [
        {
          name: 'teams',
          enabled: true,
          measures: ['bytes', 'spans'],
          maxCardinality: 10_000,
          staleDurationMs: 900_000,
          withoutDimensions: 'ignore',
        },
        {
          name: 'routes',
          enabled: false,
          measures: ['spans'],
          maxCardinality: 0,
          staleDurationMs: 3_600_000,
          withoutDimensions: 'count',
        },
      ],
    ],
    [
      'named trackers from the environment',
      'overrides: { defaults: { trackers: { t: { dimensions: { a: b }, max_cardinality: 3 } } } }',
      { TRACETALLY_USAGE_TRACKERS: '{"t":{"measures":["spans","bytes"]}}' },
      (c) => [c.usage.trackers[0]?.measures, c.overrides.defaults.trackers],
      [['bytes', 'spans'], [{ name: 't', dimensions: [['a', 'b']], maxCardinality: 3 }]],
    ],
    ['the environment over the file', 'server: { port: 1 }', { TRACETALLY_SERVER_PORT: '2' }, (c) => c.server.port, 2],
    [
      'a flag of the environment',
      '',
      { TRACETALLY_KAFKA_FROM_BEGINNING: 'false' },
      (c) => c.kafka.fromBeginning,
      false,
    ],
    ['an empty text of the environment', '', { TRACETALLY_TENANTS_DEFAULT: '' }, (c) => c.tenants.default, ''],
    ['a variable', 'server: { host: "${H}" }', { H: '::1' }, (c) => c.server.host, '::1'],
    ['a variable with a default', 'server: { port: "${P:81}" }', {}, (c) => c.server.port, 81],
    ['a variable with an empty default', 'tenants: { default: "${T:}" }', {}, (c) => c.tenants.default, ''],
    ['an escaped variable', 'kafka: { client_id: "$${H}" }', {}, (c) => c.kafka.clientId, '${H}'],
    [
      'a cluster',
      'redis: { cluster: ["a:1", "[::1]:2"] }',
      {},
      (c) => c.redis.server,
      {
        kind: 'cluster',
        nodes: [
          { host: 'a', port: 1 },
          { host: '::1', port: 2 },
        ],
      },
    ],
    [
      'Sentinels',
      'redis: { sentinels: ["a:1"], sentinel_master: m }',
      {},
      (c) => c.redis.server,
      { kind: 'sentinel', sentinels: [{ host: 'a', port: 1 }], master: 'm' },
    ],
    [
      'a Redis URL',
      'redis: { url: "redis://h/3" }',
      {},
      (c) => c.redis.server,
      { kind: 'single', host: 'h', port: 6379, database: 3 },
    ],
    ['TLS by the URL', 'redis: { url: "rediss://h:1" }', {}, (c) => c.redis.tls, { ca: null, cert: null, key: null }],
  ])('%s', (_, yaml, env, pick, expected) => {
    expect(pick(good(yaml, env))).toEqual(expected);
  });

  test('a variable cannot bring structure or another variable', () => {
    const value = 'x}, port: 9, "${SECRET}": [';
    expect(good('kafka: { client_id: "${V}" }', { V: value, SECRET: 's' }).kafka.clientId).toBe(value);
  });

  test('secrets and certificates come from files, passwords without the last newline', () => {
    const config = good(
      `kafka: { tls: { enabled: true, ca_file: /ca }, sasl: { mechanism: plain, username: u, password_file: /pw } }
redis: { url: "redis://h", password_file: /pw2 }`,
      {},
      { '/ca': CERTIFICATE.certPem, '/pw': 'secret\n', '/pw2': ' s2 ' },
    );
    expect(config.kafka.tls).toEqual({ ca: CERTIFICATE.certPem, cert: null, key: null });
    expect(config.kafka.sasl).toEqual({ mechanism: 'plain', username: 'u', password: 'secret' });
    expect(config.redis.password).toBe(' s2 ');
  });

  test('is frozen to its leaves', () => {
    const config = good('');
    expect(Object.isFrozen(config.kafka.topics)).toBe(true);
    expect(Object.isFrozen(config.overrides.defaults.costAttribution.dimensions[0])).toBe(true);
  });

  test('a variable of the environment with a slip is warned of, one of Kubernetes is not', () => {
    const loaded = load('', { TRACETALLY_KAFKA_BROKER: 'x', TRACETALLY_SERVICE_PORT_HTTP: '1', TRACETALLY_PORT: 'y' });
    expect(loaded).toHaveProperty('warnings', [
      'the variable TRACETALLY_KAFKA_BROKER means nothing; TRACETALLY_KAFKA_BROKERS is a setting',
    ]);
  });
});

describe("Tempo's block of overrides", () => {
  const load = (yaml: string) => {
    const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
    if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
    return loaded;
  };
  const DIMENSIONS = [['service.name', '']];

  test('is taken as it is, and what does not concern us is named', () => {
    const { config, warnings } = load(`
overrides:
  defaults:
    ingestion: { rate_strategy: local, burst_size_bytes: 20_000_000 }
    metrics_generator: { processors: [span-metrics], processor: { span_metrics: { dimensions: [a] } } }
    cost_attribution: { max_cardinality: 10_000, dimensions: { service.name: "" } }
  user_configurable_overrides: { enabled: true, poll_interval: 60s, client: { backend: s3, s3: { bucket: b } } }
  per_tenant_override_config: /o
  per_tenant_override_period: 10s
`);
    expect(config.overrides.defaults.costAttribution).toEqual({ dimensions: DIMENSIONS, maxCardinality: 10_000 });
    expect(config.overrides.userConfigurable).toMatchObject({ enabled: true, pollIntervalMs: 60_000 });
    expect(warnings.map((text) => text.split(':')[0])).toEqual([
      'overrides.defaults.ingestion',
      'overrides.defaults.metrics_generator',
      'overrides.user_configurable_overrides.client',
    ]);
  });

  test('also in its older, flat form', () => {
    const { config, warnings } = load(`
overrides:
  ingestion_rate_strategy: local
  max_traces_per_user: 10000
  metrics_generator_processors: [service-graphs]
  cost_attribution: { max_cardinality: 7, dimensions: { service.name: "" } }
  per_tenant_override_config: /o
`);
    expect(config.overrides.defaults.costAttribution).toEqual({ dimensions: DIMENSIONS, maxCardinality: 7 });
    expect(warnings).toHaveLength(3);
  });

  test.each([
    ['overrides: { default: {} }', 'overrides.default: unknown key; the nearest known one is "defaults"'],
    [
      'overrides: { defaults: { cost_atribution: {} } }',
      'overrides.defaults.cost_atribution: unknown key; the nearest known one is "cost_attribution"',
    ],
    [
      'overrides: { defaults: { cost_attribution: { dimension: {} } } }',
      'overrides.defaults.cost_attribution.dimension: unknown key',
    ],
    ['overrides: { cost_attribution: { x: 1 } }', 'overrides.cost_attribution.x: unknown key'],
    ['overrides: { defaults: {}, cost_attribution: {} }', 'overrides.cost_attribution: is the older form of'],
  ])('with a slip it is refused: %s', (yaml, text) => {
    expect(bad(yaml).map((line) => line.slice(0, text.length))).toEqual([text]);
  });
});

describe('a configuration that is wrong is refused with the place and the reason', () => {
  test.each<[string, string, Env, string]>([
    ['unknown section', 'kafak: {}', {}, 'kafak: unknown key; the nearest known one is "kafka"'],
    ['unknown key', 'kafka: { brokrs: [] }', {}, 'kafka.brokrs: unknown key; the nearest known one is "brokers"'],
    [
      'a key of the prototype',
      'kafka: { constructor: 1 }',
      {},
      'kafka.constructor: unknown key; the nearest known one is',
    ],
    ['__proto__', '__proto__: { log: 1 }', {}, '__proto__: unknown key'],
    ['a section of Tempo', 'distributor: {}', {}, "distributor: unknown key; Tempo's"],
    ['no map', '[1]', {}, 'the file: must be a map of settings'],
    ['a section that is a text', 'kafka: x', {}, 'kafka: must be a map of settings'],
    ['a map for a text', 'kafka: { group_id: { a: b } }', {}, 'kafka.group_id: must not be a map'],
    [
      'pairs for a map',
      'overrides: { defaults: { cost_attribution: { dimensions: [[a, b]] } } }',
      {},
      'overrides.defaults.cost_attribution.dimensions: must be a map',
    ],
    [
      'a text that is no map',
      'overrides: { defaults: { cost_attribution: { dimensions: a=b } } }',
      {},
      'overrides.defaults.cost_attribution.dimensions: must be a map from attribute to label (where',
    ],
    [
      'a tracker whose name is taken',
      'usage: { trackers: { cost-attribution: {} } }',
      {},
      'usage.trackers: cannot have a tracker "cost-attribution": that name is taken',
    ],
    [
      'a tracker whose name is none',
      'usage: { trackers: { "A b": {} } }',
      {},
      'usage.trackers: must name trackers with small letters',
    ],
    [
      'an unknown measure',
      'usage: { trackers: { t: { measures: [bites] } } }',
      {},
      'usage.trackers: "t": measures has the unknown measure "bites": there is bytes, spans',
    ],
    [
      'an unknown key of a tracker',
      'usage: { trackers: { t: { max: 1 } } }',
      {},
      'usage.trackers: "t" has the unknown key "max": there is enabled, measures',
    ],
    [
      'more trackers than there may be',
      `usage: { trackers: { ${Array.from({ length: 9 }, (_, i) => `t${i}: {}`).join(', ')} } }`,
      {},
      'usage.trackers: must have at most 8 trackers',
    ],
    [
      'defaults of a tracker that there is not',
      'overrides: { defaults: { trackers: { t: {} } } }',
      {},
      'overrides.defaults.trackers: "t" is none of usage.trackers',
    ],
    [
      'a tracker whose series grow stale before they are shown',
      'usage: { trackers: { t: { stale_duration: 10s } } }',
      {},
      'usage.trackers.t.stale_duration',
    ],
    [
      'a number for a text',
      'kafka: { group_id: 0123 }',
      {},
      'kafka.group_id: must be text; put it in quotes; it is 123',
    ],
    ['an empty text', 'kafka: { group_id: "" }', {}, 'kafka.group_id: must not be empty'],
    ['an empty list', 'kafka: { brokers: [] }', {}, 'kafka.brokers: must not be empty'],
    ['a broker without port', 'kafka: { brokers: [a] }', {}, 'kafka.brokers: must hold host:port only'],
    ['a port too high', 'kafka: { brokers: ["a:65536"] }', {}, 'kafka.brokers: must hold host:port only'],
    ['a topic twice', 'kafka: { topics: [a, a] }', {}, 'kafka.topics: must not hold the same item twice'],
    ['a topic pattern', 'kafka: { topics: ["^a("] }', {}, 'kafka.topics: "^a(": Invalid regular expression'],
    ['a topic that is none', 'kafka: { topics: ["a*"] }', {}, 'kafka.topics: must hold names of topics, and patterns'],
    ['a duration without unit', 'kafka: { session_timeout: 30 }', {}, 'kafka.session_timeout: must be a duration'],
    ['a negative duration', 'kafka: { session_timeout: -3s }', {}, 'kafka.session_timeout: must be a duration'],
    [
      'a short duration',
      'kafka: { session_timeout: 10ms }',
      {},
      'kafka.session_timeout: must be at least 1s; it is "10ms"',
    ],
    ['a size of nothing', 'ledger: { max_pending_bytes: lots }', {}, 'ledger.max_pending_bytes: must be a size'],
    ['a broken number', 'server: { port: 1.5 }', {}, 'server.port: must be a whole number; it is 1.5'],
    ['a port out of range', 'server: { port: 70000 }', {}, 'server.port: must be at most 65535'],
    ['a flag that is none', 'kafka: { from_beginning: maybe }', {}, 'kafka.from_beginning: must be true or false'],
    ['an unknown choice', 'ledger: { on_loss: panic }', {}, 'ledger.on_loss: must be one of continue, recount, stop'],
    ['a source of tenants', 'tenants: { from: [cookie] }', {}, 'tenants.from: must hold header:NAME, key, topic:REGEX'],
    ['a pattern', 'tenants: { from: ["topic:("] }', {}, 'tenants.from: "topic:(": Invalid regular expression'],
    ['a pattern without a group', 'tenants: { from: ["topic:^a"] }', {}, 'tenants.from: "topic:^a" needs a group'],
    ['an encoding', 'kafka: { encoding: proto }', {}, 'kafka.encoding: must be one of auto, otlp_proto'],
    [
      'dead letters without a topic',
      'kafka: { on_bad_record: dead_letter }',
      {},
      'kafka.dead_letter_topic: must be set, since kafka.on_bad_record is dead_letter',
    ],
    [
      'dead letters that would be read again',
      'kafka: { topics: ["^otlp"], dead_letter_topic: otlp_dead }',
      {},
      'kafka.dead_letter_topic: "otlp_dead" is one of kafka.topics: dead letters would be read again',
    ],
    [
      'a reason that is none',
      'kafka: { bad_record_reasons: [malformed, ugly] }',
      {},
      'kafka.bad_record_reasons: must hold some of null_value',
    ],
    [
      'the encoding of another topic',
      'kafka: { topic_encodings: { other: otlp_json } }',
      {},
      'kafka.topic_encodings: "other" is none of kafka.topics',
    ],
    [
      'an encoding of a topic',
      'kafka: { topic_encodings: { otlp_spans: json } }',
      {},
      'kafka.topic_encodings: "otlp_spans": must be one of auto',
    ],
    [
      'dimensions as a list',
      'overrides: { defaults: { cost_attribution: { dimensions: [a] } } }',
      {},
      'overrides.defaults.cost_attribution.dimensions: must be a map',
    ],
    ['a prefix with braces', 'redis: { key_prefix: "a{b}" }', {}, 'redis.key_prefix: must be at most 100 characters'],
    ['a variable that is not set', 'server: { host: "${NO_SUCH}" }', {}, 'server.host: the environment has no NO_SUCH'],
    [
      'a variable of the prototype',
      'server: { host: "${constructor}" }',
      {},
      'server.host: the environment has no con',
    ],
    [
      'the environment',
      '',
      { TRACETALLY_SERVER_PORT: 'x' },
      'server.port: must be a whole number; it is "x" (from TRACETALLY_SERVER_PORT)',
    ],
    ['an empty number of the environment', '', { TRACETALLY_SERVER_PORT: '' }, 'server.port: must be a whole number'],
    ['a key twice', 'log: {}\nlog: {}', {}, 'config.yaml: Map keys must be unique at line 2'],
    ['broken YAML', 'log: [', {}, 'config.yaml: '],
    ['an unknown tag', 'log: !!python {}', {}, 'config.yaml: Unresolved tag'],
    [
      'a missing file',
      'redis: { url: "redis://h", password_file: /no }',
      {},
      'redis.password_file: the file /no cannot be read: there is no such file',
    ],
    ['SASL without a mechanism', 'kafka: { sasl: { username: u } }', {}, 'kafka.sasl.mechanism: must be set'],
    [
      'SASL without a user',
      'kafka: { sasl: { mechanism: plain, password: p } }',
      {},
      'kafka.sasl.username: must be set for plain',
    ],
    [
      'SASL without a password',
      'kafka: { sasl: { mechanism: plain, username: p } }',
      {},
      'kafka.sasl.password: must be set for plain',
    ],
    ['two servers', 'redis: { url: "redis://h", cluster: ["a:1"] }', {}, 'redis: only one of url, cluster can be set'],
    ['Sentinels without a master', 'redis: { sentinels: ["a:1"] }', {}, 'redis.sentinel_master: must be set'],
    ['a master without Sentinels', 'redis: { sentinel_master: m }', {}, 'redis.sentinels: must be set'],
    ['a password for nothing', 'redis: { password: p }', {}, 'redis: credentials or TLS are set, but none of url'],
    ['another protocol', 'redis: { url: "http://h" }', {}, 'redis.url: must be redis://host:port'],
    ['credentials twice', 'redis: { url: "redis://:p@h", password: q }', {}, 'redis.url: holds credentials'],
    ['TLS files without TLS', 'kafka: { tls: { ca_file: /ca } }', {}, 'kafka.tls: files are given'],
    [
      'half a key pair',
      'kafka: { tls: { enabled: true, cert_file: /c } }',
      {},
      'kafka.tls: cert_file and key_file go together',
    ],
    [
      'a flush that is too rare',
      'kafka: { session_timeout: 4s }',
      {},
      'kafka.session_timeout (4s) must be longer than ledger.flush_interval (5s)',
    ],
    [
      'a hold that is too long',
      'usage: { cost_attribution: { stale_duration: 1m } }',
      {},
      'usage.cost_attribution.stale_duration (1m) must be longer than publish.birth_hold (1m15s)',
    ],
    [
      'a hold that is too short',
      'publish: { birth_hold: 5s }',
      {},
      'publish.birth_hold (5s) must be longer than publish.lease (15s)',
    ],
    [
      'a retention that is too short',
      'ledger: { tenant_retention: 10m }',
      {},
      'ledger.tenant_retention (10m) must be longer',
    ],
    ['nobody to count for', 'tenants: { from: [], default: "" }', {}, 'tenants: from and default are both empty'],
  ])('%s', (_, yaml, env, expected) => {
    const problems = bad(yaml, env, { '/ca': 'PEM', '/c': 'PEM' });
    expect(problems.map((line) => line.slice(0, expected.length))).toContain(expected);
  });

  test('with everything that is wrong at once', () => {
    const problems = bad('kafka: { brokers: [], sasl: { username: u } }\nlog: { level: loud }\nx: 1', {
      TRACETALLY_SERVER_PORT: 'x',
    });
    expect(problems).toHaveLength(5);
  });

  test('a rule over a setting that is ill-formed by itself adds no second line', () => {
    expect(bad('publish: { lease: soon, birth_hold: 1s }')).toHaveLength(1);
  });

  test('a file that is not there is one problem', () => {
    const loaded = loadConfig({ file: '/no/such.yaml', env: {} });
    expect(loaded).toEqual({ problems: ['/no/such.yaml: cannot be read: there is no such file'] });
  });
});

describe('secrets', () => {
  const secretYaml = `
kafka: { sasl: { mechanism: plain, username: u, password: hunter2 }, tls: { enabled: true, cert_file: /c, key_file: /k } }
redis: { url: "redis://user:hunter2@h" }`;

  test('are masked where a configuration is printed', () => {
    const config = good(secretYaml, {}, { '/c': CERTIFICATE.certPem, '/k': CERTIFICATE.keyPem });
    expect(config.redis).toMatchObject({ username: 'user', password: 'hunter2' });
    expect(JSON.stringify(maskedConfig(config))).not.toMatch(/hunter2|PRIVATE/);
    expect(maskedConfig(good('')).redis.password).toBe('');
  });

  test('are not in any problem', () => {
    const problems = bad(
      'kafka: { sasl: { password: [hunter2] } }\nredis: { url: ["hunter2"], password: { a: hunter2 } }',
      {
        TRACETALLY_REDIS_URL: 'http://hunter2@h',
      },
    );
    expect(problems.length).toBeGreaterThanOrEqual(2);
    expect(problems.join('\n')).not.toContain('hunter2');
  });

  test('are not shown where they were put before a host', () => {
    const problems = bad('redis: { cluster: ["u:hunter2@h:1"] }\nkafka: { brokers: "u:hunter2@h:1,b" }');
    expect(problems).toHaveLength(2);
    expect(problems.join('\n')).not.toContain('hunter2');
  });

  test('do not change the hash of the configuration, other settings do', () => {
    const hash = (password: string, port: number) =>
      configHash(good(`server: { port: ${port} }\nredis: { url: "redis://:${password}@h" }`));
    expect(hash('a', 1)).toBe(hash('b', 1));
    expect(hash('a', 1)).not.toBe(hash('a', 2));
  });
});

describe('properties', () => {
  const leaf = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.constantFrom('30s', '${X}', '${', '$${', '16MiB', 'a:1'),
    fc.array(fc.oneof(fc.string(), fc.integer(), fc.constant(null)), { maxLength: 3 }),
    fc.dictionary(fc.string(), fc.string(), { maxKeys: 3 }),
  );
  const knownKeys = [...new Set(ROWS.flatMap((row) => row.path.split('.')))];
  const { tree } = fc.letrec((tie) => ({
    tree: fc.dictionary(
      fc.oneof(fc.constantFrom(...knownKeys, '__proto__', 'constructor'), fc.string()),
      fc.oneof({ maxDepth: 4 }, leaf, tie('tree')),
      { maxKeys: 4 },
    ),
  }));

  test('no object in YAML, and no text, makes it throw', () => {
    fc.assert(
      fc.property(tree, (object) => void load(stringify(object))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.string(), (text) => void load(text)),
      { numRuns: 500 },
    );
  });

  test('no value of any setting makes it throw, from the file or from the environment', () => {
    fc.assert(
      fc.property(fc.constantFrom(...ROWS), leaf, fc.string(), (row, value, text) => {
        const nested = row.path.split('.').reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
        load(stringify(nested));
        load('', { [row.env]: text });
      }),
      { numRuns: 1_000 },
    );
  });
});
