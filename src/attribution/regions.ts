/** The regions of a record, each with the tenant that its resource names: one record can hold several tenants'. */
import { KeySet } from '../otlp/key-set.ts';
import type { Malformed } from '../otlp/malformed.ts';
import { Scanner, type TraceVisitor, type Values } from '../otlp/scan.ts';
import { Spread } from './attribute.ts';
import type { RegionTenants, TenantOutcome } from './tenant.ts';

/** A piece of a record, itself a request with one region. `beside`: its part of the bytes that are in no region. */
export type OwnedRegion = {
  readonly owner: TenantOutcome;
  readonly start: number;
  readonly end: number;
  readonly beside: number;
};

/** One per worker. */
export class RegionReader implements TraceVisitor {
  readonly #scanner = new Scanner();
  readonly #spread = new Spread();
  #bytes: Buffer = Buffer.alloc(0);
  #tenants!: RegionTenants;
  #found: OwnedRegion[] = [];

  /** In the order of the wire; a record without regions is one piece. Pieces with what is beside them sum to the record. */
  read(bytes: Buffer, tenants: RegionTenants): readonly OwnedRegion[] | Malformed {
    this.#bytes = bytes;
    this.#tenants = tenants;
    this.#found = [];
    const malformed = this.#scanner.scan(bytes, tenants.keys, this);
    const found = this.#found;
    this.#found = [];
    if (malformed !== null) return malformed;
    return found.length > 0 ? found : [{ owner: tenants.of(bytes, null), start: 0, end: bytes.length, beside: 0 }];
  }

  /** For the scanner. */
  record(regions: number, outside: number): void {
    if (regions > 0) this.#spread.start(outside, regions);
  }

  /** For the scanner. */
  region(resource: Values, bytes: number, _spans: number, _own: number, start: number): KeySet {
    const owner = this.#tenants.of(this.#bytes, resource);
    this.#found.push({ owner, start, end: start + bytes, beside: this.#spread.next() });
    return KeySet.NONE;
  }

  /** For the scanner, which is not asked for spans. */
  span(): void {}
}
