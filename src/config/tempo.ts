/**
 * From a configuration of Grafana Tempo to ours: distributor.usage, overrides, ingest.kafka and whether there are
 * several tenants. What else is in it is named, so that nobody takes it for carried over.
 */
import { parseDocument, stringify } from 'yaml';
import { place, ROWS } from './schema.ts';

export type Migration = {
  /** YAML, ours. */
  readonly text: string;
  /** Settings without a counterpart, each with its path and why. */
  readonly left: readonly string[];
  /** What a person must decide or add. */
  readonly notes: readonly string[];
};

type Node = ReadonlyMap<unknown, unknown>;

const KNOWN = new Set(ROWS.map(({ path }) => path));
/** Names of Tempo's own groups and topics say nothing about ours, its producer's settings neither. */
const WHY: Readonly<Record<string, string>> = {
  'ingest.kafka.consumer_group': "a group of one's own is needed: with Tempo's, each would read only a part",
  'overrides.user_configurable_overrides.client.backend': 'what tenants set for themselves is stored in Redis',
};
const SERVER = "Tracetally's own address is server.host and server.port";
const SECTIONS: Readonly<Record<string, string>> = { server: SERVER, stream_over_http_enabled: SERVER };

/** Those of which only a part concerns us. */
const SHARED_SECTIONS = new Set(['distributor', 'ingest']);

/** Tempo's path -> ours, with what becomes of the value. */
const COPIED: readonly (readonly [theirs: string, ours: string, change?: (value: unknown) => unknown])[] = [
  ['distributor.usage.cost_attribution.enabled', 'usage.cost_attribution.enabled'],
  ['distributor.usage.cost_attribution.max_cardinality', 'usage.cost_attribution.max_cardinality'],
  ['distributor.usage.cost_attribution.stale_duration', 'usage.cost_attribution.stale_duration'],
  ['overrides.defaults.cost_attribution.dimensions', 'overrides.defaults.cost_attribution.dimensions'],
  ['overrides.defaults.cost_attribution.max_cardinality', 'overrides.defaults.cost_attribution.max_cardinality'],
  // The flat form of before.
  ['overrides.cost_attribution.dimensions', 'overrides.defaults.cost_attribution.dimensions'],
  ['overrides.cost_attribution.max_cardinality', 'overrides.defaults.cost_attribution.max_cardinality'],
  ['overrides.per_tenant_override_config', 'overrides.per_tenant_override_config'],
  ['overrides.per_tenant_override_period', 'overrides.per_tenant_override_period'],
  ['overrides.user_configurable_overrides.enabled', 'overrides.user_configurable_overrides.enabled'],
  ['overrides.user_configurable_overrides.poll_interval', 'overrides.user_configurable_overrides.poll_interval'],
  [
    'overrides.user_configurable_overrides.api.check_for_conflicting_runtime_overrides',
    'overrides.user_configurable_overrides.api.check_for_conflicting_runtime_overrides',
  ],
  ['ingest.kafka.address', 'kafka.brokers', (value) => String(value).split(',')],
  ['ingest.kafka.topic', 'kafka.topics', (value) => [value]],
  ['ingest.kafka.client_id', 'kafka.client_id'],
  ['ingest.kafka.tls_enabled', 'kafka.tls.enabled'],
  ['ingest.kafka.tls_ca_path', 'kafka.tls.ca_file'],
  ['ingest.kafka.tls_cert_path', 'kafka.tls.cert_file'],
  ['ingest.kafka.tls_key_path', 'kafka.tls.key_file'],
];

const SASL_MECHANISMS: Readonly<Record<string, string>> = {
  PLAIN: 'plain',
  'SCRAM-SHA-256': 'scram-sha-256',
  'SCRAM-SHA-512': 'scram-sha-512',
};

// biome-ignore lint/suspicious/noTemplateCurlyInString: a variable as the file spells it
const KAFKA_PASSWORD = '${KAFKA_PASSWORD}';

const PUSH_BYTES =
  "ingest.kafka.topic: the records of Tempo's own topic were regrouped by trace, with resources repeated, so that they sum to more than was received; for the same numbers as Tempo's read the topic that the Collector writes (docs/tempo.md)";

const HEADER = 'header:X-Scope-OrgID';

class Migrating {
  readonly made: Record<string, unknown> = {};
  readonly left: string[] = [];
  readonly notes: string[] = [];
  readonly #leaves = new Map<string, unknown>();
  readonly #copied = new Set<string>();

  constructor(document: Node) {
    this.#collect(document, '');
  }

  /** A map of dimensions is a value like any other. */
  #collect(node: Node, prefix: string): void {
    for (const [key, value] of node) {
      const path = prefix === '' ? String(key) : `${prefix}.${String(key)}`;
      const isSection = value instanceof Map && value.size > 0 && !path.endsWith('cost_attribution.dimensions');
      if (isSection) this.#collect(value as Node, path);
      else if (value !== null) this.#leaves.set(path, value);
    }
  }

  take(path: string): unknown {
    const value = this.#leaves.get(path);
    this.#leaves.delete(path);
    return value;
  }

  set(path: string, value: unknown): void {
    place(this.made, path, value);
  }

  copy(): void {
    for (const [theirs, ours, change] of COPIED) {
      if (!KNOWN.has(ours)) continue;
      const value = this.take(theirs);
      if (value === undefined || value === '') continue;
      this.set(ours, change === undefined ? value : change(value));
      this.#copied.add(ours);
      if (ours === 'kafka.topics') this.notes.push(PUSH_BYTES);
    }
  }

  tenants(): void {
    const several = this.take('multitenancy_enabled');
    if (several !== true) return;
    const isTemposTopic = this.#copied.has('kafka.topics');
    this.set('tenants', { from: [isTemposTopic ? 'key' : HEADER], default: '' });
    const header =
      'the Collector writes the header X-Scope-OrgID into records if its Kafka exporter has include_metadata_keys: [X-Scope-OrgID]; a record without it is discarded';
    this.notes.push(
      isTemposTopic
        ? `tenants.from: in Tempo's own topic the tenant is the key; for a topic of the Collector write ["${HEADER}"]: ${header}`
        : `tenants: ${header}`,
    );
  }

  sasl(): void {
    const username = this.take('ingest.kafka.sasl_username') ?? '';
    const password = this.take('ingest.kafka.sasl_password') ?? '';
    const given = this.take('ingest.kafka.sasl_mechanism');
    if (username === '' && password === '' && (given === undefined || given === '' || given === 'PLAIN')) return;
    const mechanism = SASL_MECHANISMS[String(given ?? 'PLAIN').toUpperCase()];
    if (mechanism === undefined) {
      this.left.push(`ingest.kafka.sasl_mechanism: ${String(given)} is not supported`);
      return;
    }
    const isVariable = /^\$\{[^}]+\}$/.test(String(password));
    this.set('kafka.sasl', { mechanism, username, password: isVariable ? password : KAFKA_PASSWORD });
    if (!isVariable)
      this.notes.push(`kafka.sasl.password: not printed; put it into the environment (${KAFKA_PASSWORD})`);
  }

  /** What nobody has taken. Of sections that are no business of ours one line each. */
  rest(): void {
    const sections = new Set<string>();
    for (const path of this.#leaves.keys()) {
      const keys = path.split('.');
      const section = keys.slice(0, SHARED_SECTIONS.has(keys[0]!) ? 2 : 1).join('.');
      const isOurs = /^(?:distributor\.usage|overrides|ingest\.kafka)(?:\.|$)/.test(path);
      if (isOurs) this.left.push(`${path}: ${WHY[path] ?? 'has no counterpart'}`);
      else sections.add(section);
    }
    for (const section of sections) this.left.push(`${section}: ${SECTIONS[section] ?? 'has no counterpart'}`);
  }
}

/** The migration, or what is wrong with the file. */
export const migrateTempo = (text: string): Migration | { readonly problem: string } => {
  let root: unknown;
  try {
    const document = parseDocument(text, { prettyErrors: true });
    const [error] = document.errors;
    if (error !== undefined) return { problem: error.message.split('\n')[0]! };
    root = document.toJS({ mapAsMap: true, maxAliasCount: 100 }) ?? new Map();
  } catch (error) {
    return { problem: (error as Error).message };
  }
  if (!(root instanceof Map)) return { problem: 'it is no map of settings' };
  const migrating = new Migrating(root);
  migrating.copy();
  migrating.sasl();
  migrating.tenants();
  migrating.rest();
  const { made, left, notes } = migrating;
  return { text: Object.keys(made).length === 0 ? '{}\n' : stringify(made), left, notes };
};
