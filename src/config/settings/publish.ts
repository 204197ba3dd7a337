/** Settings of what Prometheus is shown. */
import { HOUR_MS, type Tree } from './setting.ts';

export const PUBLISH = {
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
} as const satisfies Tree;
