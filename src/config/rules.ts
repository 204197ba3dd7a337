/** Rules over several settings, each as a sentence. They are asked of values that are well-formed one by one. */

import { parseRedisUrl } from './redis-url.ts';
import { formatDuration } from './scalars.ts';
import { SETTINGS, type Values } from './schema.ts';

const tlsProblems = (values: Values): readonly string[] =>
  (['kafka', 'redis'] as const).flatMap((section) => {
    const { tls } = values[section];
    const files = tls.ca_file !== '' || tls.cert_file !== '' || tls.key_file !== '';
    const secure = section === 'redis' && values.redis.url.startsWith('rediss:');
    return [
      ...(files && !tls.enabled && !secure
        ? [`${section}.tls: files are given, but ${section}.tls.enabled is false`]
        : []),
      ...((tls.cert_file === '') !== (tls.key_file === '')
        ? [`${section}.tls: cert_file and key_file go together, only one is given`]
        : []),
    ];
  });

const serverProblems = ({ server }: Values): readonly string[] =>
  (server.tls.cert_file === '') === (server.tls.key_file === '')
    ? []
    : ['server.tls: cert_file and key_file go together, only one is given'];

const kafkaProblems = ({ kafka }: Values): readonly string[] => {
  const { mechanism, username, password, password_file } = kafka.sasl;
  const given = [username, password, password_file].some((text) => text !== '');
  const problems: string[] = [];
  if (mechanism === '' && given) problems.push('kafka.sasl.mechanism: must be set, since a user name or password is');
  if (mechanism !== '' && username === '') problems.push(`kafka.sasl.username: must be set for ${mechanism}`);
  if (mechanism !== '' && password === '' && password_file === '')
    problems.push(`kafka.sasl.password: must be set for ${mechanism} (or password_file)`);
  if (password !== '' && password_file !== '')
    problems.push('kafka.sasl.password: is given twice, also by password_file');
  return problems;
};

const urlProblems = (redis: Values['redis']): readonly string[] => {
  if (redis.url === '') return [];
  const url = parseRedisUrl(redis.url);
  if (url === null)
    return ['redis.url: must be redis://host:port or rediss://host:port, with a database as /0 if need be'];
  const twice = (url.username !== '' && redis.username !== '') || (url.password !== '' && redis.password !== '');
  return twice ? ['redis.url: holds credentials that redis.username or redis.password give, too'] : [];
};

const redisProblems = ({ redis }: Values): readonly string[] => {
  const servers = [
    ...(redis.url === '' ? [] : ['url']),
    ...(redis.cluster.length === 0 ? [] : ['cluster']),
    ...(redis.sentinels.length === 0 ? [] : ['sentinels']),
  ];
  const given = redis.username !== '' || redis.password !== '' || redis.password_file !== '' || redis.tls.enabled;
  const problems: string[] = [];
  if (servers.length > 1) problems.push(`redis: only one of ${servers.join(', ')} can be set`);
  if (servers.length === 0 && given)
    problems.push('redis: credentials or TLS are set, but none of url, cluster, sentinels is');
  if (redis.sentinels.length > 0 && redis.sentinel_master === '')
    problems.push('redis.sentinel_master: must be set, since redis.sentinels is');
  if (redis.sentinels.length === 0 && redis.sentinel_master !== '')
    problems.push('redis.sentinels: must be set, since redis.sentinel_master is');
  if (redis.password !== '' && redis.password_file !== '')
    problems.push('redis.password: is given twice, also by password_file');
  return [...problems, ...urlProblems(redis)];
};

const registryProblems = ({ schema_registry: registry }: Values): readonly string[] => {
  const { url, username, password, password_file, ca_file } = registry;
  const given = [username, password, password_file, ca_file].some((text) => text !== '');
  return [
    ...(url === '' && given ? ['schema_registry.url: must be set, since other settings of the registry are'] : []),
    ...(username === '' && (password !== '' || password_file !== '')
      ? ['schema_registry.username: must be set, since a password is']
      : []),
    ...(password !== '' && password_file !== ''
      ? ['schema_registry.password: is given twice, also by password_file']
      : []),
  ];
};

/** `a` must be longer than `b`; `why` is what happens otherwise. */
const longer = (a: string, aMs: number, b: string, bMs: number, why: string): readonly string[] =>
  aMs > bMs
    ? []
    : [`${a} (${formatDuration(aMs)}) must be longer than ${b} (${formatDuration(bMs)}): otherwise ${why}`];

const timeProblems = ({ kafka, ledger, publish, usage }: Values): readonly string[] => [
  ...longer(
    'kafka.session_timeout',
    kafka.session_timeout,
    'ledger.flush_interval',
    ledger.flush_interval,
    'what a dead replica had gathered is always read again',
  ),
  ...longer(
    'usage.cost_attribution.stale_duration',
    usage.cost_attribution.stale_duration,
    'publish.birth_hold',
    publish.birth_hold,
    'a series could be purged before its value was ever shown',
  ),
  ...longer(
    'usage.cost_attribution.stale_duration',
    usage.cost_attribution.stale_duration,
    'ledger.flush_interval',
    ledger.flush_interval,
    'a series could be stale between two flushes that refresh it',
  ),
  ...longer(
    'ledger.tenant_retention',
    ledger.tenant_retention,
    'usage.cost_attribution.stale_duration',
    usage.cost_attribution.stale_duration,
    'a tenant could be forgotten as soon as its last series is purged',
  ),
  ...(publish.birth_hold === 0
    ? []
    : longer(
        'publish.birth_hold',
        publish.birth_hold,
        'publish.lease',
        publish.lease,
        'a series that is born while a shard has no owner is never shown at 0 (0 switches the hold off)',
      )),
];

const trackerTimes = ({ usage, ledger, publish }: Values): readonly string[] =>
  usage.trackers.flatMap(({ name, staleDurationMs }) => [
    ...longer(
      `usage.trackers.${name}.stale_duration`,
      staleDurationMs,
      'publish.birth_hold',
      publish.birth_hold,
      'a series could be purged before its value was ever shown',
    ),
    ...longer(
      `usage.trackers.${name}.stale_duration`,
      staleDurationMs,
      'ledger.flush_interval',
      ledger.flush_interval,
      'a series could be stale between two flushes that refresh it',
    ),
    ...longer(
      'ledger.tenant_retention',
      ledger.tenant_retention,
      `usage.trackers.${name}.stale_duration`,
      staleDurationMs,
      'a tenant could be forgotten as soon as its last series is purged',
    ),
  ]);

const trackerProblems = ({ usage, overrides }: Values): readonly string[] => {
  const names = usage.trackers.map(({ name }) => name);
  return overrides.defaults.trackers
    .filter(({ name }) => !names.includes(name))
    .map(({ name }) => `overrides.defaults.trackers: "${name}" is none of usage.trackers`);
};

const patternProblem = (source: string): string | null => {
  const pattern = /^topic:(.*)$/.exec(source)?.[1];
  if (pattern === undefined) return null;
  const problem = regexProblem(pattern);
  if (problem !== null) return `tenants.from: "${source}": ${problem}`;
  return pattern.includes('(?<tenant>') ? null : `tenants.from: "${source}" needs a group (?<tenant>...)`;
};

const tenantProblems = ({ tenants }: Values): readonly string[] => [
  ...(tenants.from.length === 0 && tenants.default === ''
    ? ['tenants: from and default are both empty, so every record would be discarded']
    : []),
  ...tenants.from.flatMap((source) => patternProblem(source) ?? []),
];

const ENCODINGS: readonly string[] = SETTINGS.kafka.encoding.choices;

const regexProblem = (pattern: string): string | null => {
  try {
    new RegExp(pattern, 'u');
    return null;
  } catch (error) {
    return (error as Error).message;
  }
};

const topicProblems = ({ kafka }: Values): readonly string[] =>
  kafka.topics.flatMap((topic) => {
    const problem = topic.startsWith('^') ? regexProblem(topic) : null;
    return problem === null ? [] : [`kafka.topics: "${topic}": ${problem}`];
  });

const isConsumed = (topics: readonly string[], topic: string): boolean =>
  topics.some(
    (one) => one === topic || (one.startsWith('^') && regexProblem(one) === null && new RegExp(one, 'u').test(topic)),
  );

const encodingProblems = ({ kafka }: Values): readonly string[] =>
  kafka.topic_encodings.flatMap(([topic, encoding]) => [
    ...(isConsumed(kafka.topics, topic) ? [] : [`kafka.topic_encodings: "${topic}" is none of kafka.topics`]),
    ...(ENCODINGS.includes(encoding)
      ? []
      : [`kafka.topic_encodings: "${topic}": must be one of ${ENCODINGS.join(', ')}`]),
  ]);

const deadLetterProblems = ({ kafka }: Values): readonly string[] => [
  ...(kafka.on_bad_record === 'dead_letter' && kafka.dead_letter_topic === ''
    ? ['kafka.dead_letter_topic: must be set, since kafka.on_bad_record is dead_letter']
    : []),
  ...(kafka.dead_letter_topic !== '' && isConsumed(kafka.topics, kafka.dead_letter_topic)
    ? [`kafka.dead_letter_topic: "${kafka.dead_letter_topic}" is one of kafka.topics: dead letters would be read again`]
    : []),
];

type Rule = {
  /** Settings, or sections of them, that it looks at. */
  readonly of: readonly string[];
  readonly problems: (values: Values) => readonly string[];
};

const RULES: readonly Rule[] = [
  { of: ['server.tls'], problems: serverProblems },
  { of: ['kafka.tls', 'redis.tls', 'redis.url'], problems: tlsProblems },
  { of: ['kafka.sasl'], problems: kafkaProblems },
  { of: ['kafka.topics'], problems: topicProblems },
  { of: ['kafka.topics', 'kafka.topic_encodings'], problems: encodingProblems },
  { of: ['kafka.topics', 'kafka.on_bad_record', 'kafka.dead_letter_topic'], problems: deadLetterProblems },
  { of: ['schema_registry'], problems: registryProblems },
  { of: ['redis'], problems: redisProblems },
  { of: ['kafka.session_timeout', 'ledger', 'publish', 'usage.cost_attribution'], problems: timeProblems },
  { of: ['ledger', 'publish', 'usage.trackers'], problems: trackerTimes },
  { of: ['usage.trackers', 'overrides.defaults.trackers'], problems: trackerProblems },
  { of: ['tenants'], problems: tenantProblems },
];

/** Empty: the values fit together. Rules over a setting that is ill-formed by itself (`bad`: paths) are not asked. */
export const crossProblems = (values: Values, bad: readonly string[]): readonly string[] =>
  RULES.filter(({ of }) => !of.some((place) => bad.some((path) => `${path}.`.startsWith(`${place}.`)))).flatMap(
    (rule) => rule.problems(values),
  );
