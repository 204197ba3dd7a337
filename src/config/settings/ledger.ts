/** Settings of the ledger and of the Redis that holds it. */
import { HOST_PORT, MB, secret, secretFile, type Tree, tls } from './setting.ts';

export const REDIS = {
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
} as const satisfies Tree;

export const LEDGER = {
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
} as const satisfies Tree;
