/** Whose record it is: by headers, key, topic, resources or the default, and by Tempo's rules for tenant ids. */
import { KeySet } from '../otlp/key-set.ts';
import { ABSENT, STRING, type Values } from '../otlp/scan.ts';
import type { DiscardReason } from './discard.ts';
import { labelValue } from './label-value.ts';
import { isReservedTenant } from './reserved.ts';

export const MAX_TENANT_ID_BYTES = 150;

const UNSUPPORTED = /[^A-Za-z0-9!\-_.*'()]/u;

/** Null: a valid id. Else why it is none, in Tempo's words where Tempo refuses it too. */
export function refuseTenantId(id: string): string | null {
  const at = id.search(UNSUPPORTED);
  if (at >= 0) {
    // Tempo names the first byte of the character, as if it were Latin-1.
    const byte = Buffer.from(id.slice(at))[0]!;
    return `tenant ID '${id}' contains unsupported character '${String.fromCharCode(byte)}'`;
  }
  if (id.length > MAX_TENANT_ID_BYTES) return `tenant ID is too long: max ${MAX_TENANT_ID_BYTES} characters`;
  if (id === '.' || id === '..') return "tenant ID is '.' or '..'";
  if (isReservedTenant(id)) return `tenant ID '${id}' is reserved`;
  return null;
}

/** Where a tenant id is looked for. `pattern`: a regular expression over the topic's name, with a group called tenant. */
export type TenantSource =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'key' }
  | { readonly kind: 'topic'; readonly pattern: string }
  | { readonly kind: 'resource'; readonly attribute: string };

export type TenantOutcome =
  | { readonly kind: 'tenant'; readonly tenant: string }
  | {
      readonly kind: 'discard';
      readonly reason: Extract<DiscardReason, 'no_tenant' | 'invalid_tenant'>;
      readonly text: string;
    };

export type TenantHeader = { readonly name: string; readonly value: Uint8Array };

/** What of a record can name its tenant without its value being read. */
export type TenantRecord = { readonly key: Uint8Array | null; readonly headers: readonly TenantHeader[] };

/** The resources of a record name its tenants, each that of its own region. Good until the next `resolve`. */
export type RegionTenants = {
  readonly kind: 'regions';
  /** Attributes that are looked for. */
  readonly keys: KeySet;
  /** Of a region whose resource has these values, in columns of `keys`; null: of bytes in no region. */
  of(bytes: Buffer, resource: Values | null): TenantOutcome;
};

/** Whose records are: a `TenantChain`, or one tenant for all. */
export type TenantResolver = {
  resolve(record: TenantRecord, topic: string): TenantOutcome | RegionTenants;
};

/** Outcomes kept for header values seen. A client that makes up tenants only makes it forget. */
const REMEMBERED = 1024;
/** What of an id that is too long gets into the text about it. */
const SHOWN_BYTES = 512;

const NOTHING = Buffer.alloc(0);

/**
 * The chain of sources. The first with a value that is not empty decides; where none has one, the default. An invalid
 * value is not passed over: the record would be billed to somebody else.
 *
 * Names of headers compare without case. Of several headers of one name the first, in the order of the wire, that is
 * not empty counts: the Collector writes what its operator has fixed before what a client sent.
 */
export class TenantChain implements TenantResolver {
  readonly #sources: readonly Source[];
  readonly #default: TenantOutcome;
  readonly #outcomes = new Map<string, TenantOutcome>();
  readonly #regions: RegionTenants;
  #record: TenantRecord = { key: null, headers: [] };
  #topic = '';
  #lastValue: Buffer = Buffer.alloc(0);
  #lastOutcome: TenantOutcome;

  /** `fallback` empty: a record without a tenant is discarded. Throws where a pattern is none. */
  constructor(sources: readonly TenantSource[], fallback: string) {
    const keys = new KeySet(sources.flatMap((source) => (source.kind === 'resource' ? [source.attribute] : [])));
    this.#sources = sources.map((source) => compiled(source, keys));
    this.#default =
      fallback === ''
        ? { kind: 'discard', reason: 'no_tenant', text: 'the record names no tenant and there is no default' }
        : outcomeOf(fallback);
    this.#lastOutcome = this.#default;
    this.#regions = { kind: 'regions', keys, of: (bytes, resource) => this.#ofRegion(bytes, resource) };
  }

  /** Keeps nothing of the record beyond the next call. */
  resolve(record: TenantRecord, topic: string): TenantOutcome | RegionTenants {
    for (const source of this.#sources) {
      if (source.kind === 'resource') {
        this.#record = record;
        this.#topic = topic;
        return this.#regions;
      }
      const value = valueIn(source, record, topic);
      if (value.length > 0) return this.#outcomeOf(value);
    }
    return this.#default;
  }

  /** Sources before the first resource have no value, else nobody would ask. */
  #ofRegion(bytes: Buffer, resource: Values | null): TenantOutcome {
    for (const source of this.#sources) {
      const value =
        source.kind === 'resource'
          ? attributeIn(bytes, resource, source.column)
          : valueIn(source, this.#record, this.#topic);
      if (value.length > 0) return this.#outcomeOf(value);
    }
    return this.#default;
  }

  #outcomeOf(value: Uint8Array): TenantOutcome {
    if (this.#lastValue.length > 0 && this.#lastValue.equals(value)) return this.#lastOutcome;
    // A value that is too long is not kept at all, and shown only so far.
    const bytes = Buffer.from(value.subarray(0, SHOWN_BYTES));
    if (bytes.length > MAX_TENANT_ID_BYTES) return outcomeOf(bytes.toString());
    // As Latin-1 every byte is one character, so different bytes are different keys.
    const key = bytes.toString('latin1');
    let outcome = this.#outcomes.get(key);
    if (outcome === undefined) {
      outcome = outcomeOf(bytes.toString());
      if (this.#outcomes.size >= REMEMBERED) this.#outcomes.clear();
      this.#outcomes.set(key, outcome);
    }
    this.#lastValue = bytes;
    this.#lastOutcome = outcome;
    return outcome;
  }
}

type Source =
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'key' }
  | { readonly kind: 'topic'; readonly ofTopic: (topic: string) => Buffer }
  | { readonly kind: 'resource'; readonly column: number };

function compiled(source: TenantSource, keys: KeySet): Source {
  if (source.kind === 'header') return { kind: 'header', name: source.name.toLowerCase() };
  if (source.kind === 'key') return source;
  if (source.kind === 'resource') return { kind: 'resource', column: keys.keys.indexOf(source.attribute) };
  const pattern = new RegExp(source.pattern, 'u');
  const known = new Map<string, Buffer>();
  const ofTopic = (topic: string): Buffer => {
    let value = known.get(topic);
    if (value === undefined) {
      value = Buffer.from(pattern.exec(topic)?.groups?.tenant ?? '');
      known.set(topic, value);
    }
    return value;
  };
  return { kind: 'topic', ofTopic };
}

/** Empty: the source has no value. */
function valueIn(source: Exclude<Source, { kind: 'resource' }>, record: TenantRecord, topic: string): Uint8Array {
  if (source.kind === 'key') return record.key ?? NOTHING;
  if (source.kind === 'topic') return source.ofTopic(topic);
  for (const { name, value } of record.headers) if (value.length > 0 && sameName(name, source.name)) return value;
  return NOTHING;
}

function attributeIn(bytes: Buffer, resource: Values | null, column: number): Uint8Array {
  const kind = resource?.kinds[column] ?? ABSENT;
  if (resource === null || kind === ABSENT) return NOTHING;
  const payload = bytes.subarray(resource.starts[column], resource.ends[column]);
  return kind === STRING ? payload : Buffer.from(labelValue(kind, payload, SHOWN_BYTES));
}

function sameName(name: string, lowerCase: string): boolean {
  return name === lowerCase || (name.length === lowerCase.length && name.toLowerCase() === lowerCase);
}

function outcomeOf(id: string): TenantOutcome {
  const text = refuseTenantId(id);
  return text === null ? { kind: 'tenant', tenant: id } : { kind: 'discard', reason: 'invalid_tenant', text };
}
