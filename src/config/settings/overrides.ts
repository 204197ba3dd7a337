/** Settings of what tenants have of their own. */
import { HOUR_MS, type Tree } from './setting.ts';

export const OVERRIDES = {
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
} as const satisfies Tree;
