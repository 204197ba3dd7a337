/**
 * Splits one record's bytes over series, `exact`: every byte of the record lands in one series, by one rule for all.
 *
 * A span has its own bytes. What else lies in its region (resource, scopes, framing) is the region's overhead, and
 * what lies outside of all regions is overhead of the record, given to its regions first. Overhead O over n takers:
 * the i-th, from 0, gets floor((i+1)*O/n) - floor(i*O/n), so that the parts sum to O and differ by one byte at most.
 */
import { KeySet } from '../otlp/key-set.ts';
import type { Malformed } from '../otlp/malformed.ts';
import { Scanner, type TraceVisitor, type Values } from '../otlp/scan.ts';
import { Tally } from './tally.ts';

/**
 * Hands out an overhead in equal parts, in whole bytes. Goes by remainders (the part has one byte more whenever their
 * sum passes n), so no product is formed that could pass 2^53.
 */
export class Spread {
  #takers = 1;
  #base = 0;
  #remainder = 0;
  #sum = 0;

  start(bytes: number, takers: number): void {
    this.#takers = takers;
    this.#base = Math.floor(bytes / takers);
    this.#remainder = bytes - this.#base * takers;
    this.#sum = 0;
  }

  next(): number {
    this.#sum += this.#remainder;
    if (this.#sum < this.#takers) return this.#base;
    this.#sum -= this.#takers;
    return this.#base + 1;
  }
}

/** One per worker. */
export class Attributor extends Tally implements TraceVisitor {
  readonly #scanner = new Scanner();
  readonly #perRegion = new Spread();
  readonly #perSpan = new Spread();

  protected override read(value: Buffer): Malformed | null {
    return this.#scanner.scan(value, this.plan.recipe.resourceKeys, this);
  }

  /** For the scanner. */
  record(regions: number, outside: number): void {
    const rest = outside + this.beside;
    if (regions > 0) {
      this.#perRegion.start(rest, regions);
    } else if (rest > 0) {
      this.open(null, rest, 0, 0);
    }
  }

  /** For the scanner. */
  region(resource: Values, bytes: number, spans: number, own: number): KeySet {
    const total = bytes + this.#perRegion.next();
    this.spans += spans;
    this.open(resource, total, spans, 0);
    if (spans === 0) return KeySet.NONE;
    this.#perSpan.start(total - own, spans);
    return this.plan.recipe.spanKeys;
  }

  /** For the scanner. */
  span(values: Values, own: number): void {
    this.addSpan(values, 0, own + this.#perSpan.next());
  }
}
