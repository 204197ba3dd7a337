/**
 * Splits one record's bytes over series as Grafana Tempo's usage tracker does, `tempo`: for comparing with one. The
 * sum over a record's series is about what Tempo counts as received, not the bytes of the record.
 *
 * A region's bytes that are in no span, R, go to its n spans in equal shares, R / n rounded half to even; the first span
 * gets what is over or lacking, unless the first ScopeSpans is empty. A region without spans counts nothing, and without
 * dimensions nothing is counted at all.
 *
 * The first span's part can be less than it lacks. Where that leaves a series of a record below zero, Tempo goes on with
 * 2^64 less; here it is zero, and `clamped` says so.
 */
import type { Malformed } from '../otlp/malformed.ts';
import { RewriteScanner, type RewriteVisitor, type RewrittenSpans } from '../otlp/rewrite.ts';
import type { Values } from '../otlp/scan.ts';
import { MEASURES } from './series-table.ts';
import { Tally } from './tally.ts';

/** One per worker. */
export class TempoAttributor extends Tally implements RewriteVisitor {
  readonly #scanner = new RewriteScanner();

  protected override read(value: Buffer): Malformed | null {
    const { resourceKeys, spanKeys } = this.plan.recipe;
    const malformed = this.#scanner.scan(value, resourceKeys, spanKeys, this);
    for (let row = 0; row < this.rows; row++) {
      if (this.values[row * MEASURES]! >= 0) continue;
      this.values[row * MEASURES] = 0;
      this.clamped++;
    }
    return malformed;
  }

  /** For the scanner. */
  rewritten(resource: Values, spans: RewrittenSpans, rest: number, firstHolds: boolean): void {
    const { count, sizes, values } = spans;
    this.spans += count;
    if (count === 0) return;
    const { share, first } = temposShares(rest, count, firstHolds);
    let whole = share * count + first;
    for (let i = 0; i < count; i++) whole += sizes[i]!;
    this.open(resource, whole, count, 1);
    const columns = this.plan.recipe.spanKeys.size;
    if (columns === 0) return;
    for (let i = 0; i < count; i++) {
      this.addSpan(values, i * columns, sizes[i]! + share + (i === 0 ? first : 0));
    }
  }
}

/** What each of `count` spans is given of `rest`, and what the first of them is given beside. */
export function temposShares(rest: number, count: number, firstHolds: boolean): { share: number; first: number } {
  if (count === 0) return { share: 0, first: 0 };
  const share = roundHalfToEven(rest / count);
  return { share, first: firstHolds ? rest - share * count : 0 };
}

function roundHalfToEven(n: number): number {
  const floor = Math.floor(n);
  const half = n - floor;
  if (half !== 0.5) return half < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
