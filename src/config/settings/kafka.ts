/** Settings of where records come from, and of what is said about their schemas. */
import { DISCARD_REASONS } from '../../words/reasons.ts';
import { file, HOST_PORT, HOUR_MS, MB, secret, secretFile, type Tree, tls } from './setting.ts';

export const KAFKA = {
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
    default: DISCARD_REASONS,
    required: true,
    pattern: new RegExp(`^(?:${DISCARD_REASONS.join('|')})$`),
    expected: `some of ${DISCARD_REASONS.join(', ')}`,
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
} as const satisfies Tree;

export const SCHEMA_REGISTRY = {
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
} as const satisfies Tree;
