/** Whose record it is: from its headers or the default, by Tempo's rules for tenant ids. */
import type { DiscardReason } from './discard.ts';
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

/** Where a tenant id is looked for. */
export type TenantSource = { readonly kind: 'header'; readonly name: string };

/** A source as configuration spells it, `header:<name>`; null where it is none. */
export function parseTenantSource(text: string): TenantSource | null {
  const match = /^header:(.+)$/.exec(text);
  return match === null ? null : { kind: 'header', name: match[1]! };
}

export type TenantOutcome =
  | { readonly kind: 'tenant'; readonly tenant: string }
  | {
      readonly kind: 'discard';
      readonly reason: Extract<DiscardReason, 'no_tenant' | 'invalid_tenant'>;
      readonly text: string;
    };

export type TenantHeader = { readonly name: string; readonly value: Uint8Array };

/** Outcomes kept for header values seen. A client that makes up tenants only makes it forget. */
const REMEMBERED = 1024;
/** What of an id that is too long gets into the text about it. */
const SHOWN_BYTES = 512;

/**
 * The chain of sources. The first with a value that is not empty decides; where none has one, the default. An invalid
 * value is not passed over: the record would be billed to somebody else.
 *
 * Names of headers compare without case. Of several headers of one name the first, in the order of the wire, that is
 * not empty counts: the Collector writes what its operator has fixed before what a client sent.
 */
export class TenantChain {
  readonly #names: readonly string[];
  readonly #default: TenantOutcome;
  readonly #outcomes = new Map<string, TenantOutcome>();
  #lastValue: Buffer = Buffer.alloc(0);
  #lastOutcome: TenantOutcome;

  /** `fallback` empty: a record without a tenant is discarded. */
  constructor(sources: readonly TenantSource[], fallback: string) {
    this.#names = sources.map((source) => source.name.toLowerCase());
    this.#default =
      fallback === ''
        ? { kind: 'discard', reason: 'no_tenant', text: 'the record names no tenant and there is no default' }
        : outcomeOf(fallback);
    this.#lastOutcome = this.#default;
  }

  /** Keeps nothing of the headers. */
  resolve(headers: readonly TenantHeader[]): TenantOutcome {
    for (const name of this.#names) {
      for (const header of headers) {
        if (header.value.length > 0 && sameName(header.name, name)) return this.#outcomeOf(header.value);
      }
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

function sameName(name: string, lowerCase: string): boolean {
  return name === lowerCase || (name.length === lowerCase.length && name.toLowerCase() === lowerCase);
}

function outcomeOf(id: string): TenantOutcome {
  const text = refuseTenantId(id);
  return text === null ? { kind: 'tenant', tenant: id } : { kind: 'discard', reason: 'invalid_tenant', text };
}
