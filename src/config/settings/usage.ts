/** Settings of whose bytes are counted, and how. */
import type { Tree } from './setting.ts';

export const TENANTS = {
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
} as const satisfies Tree;

export const USAGE = {
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
} as const satisfies Tree;
