/** Rules of `tempo` that hold for any record; its answers are compared in test/unit/tempo. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Dimension } from '../../../src/attribution/dimensions.ts';
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { TempoAttributor } from '../../../src/attribution/tempo-attribute.ts';
import type { MalformedReason } from '../../../src/otlp/malformed.ts';
import { dimensions, otlpRequest } from '../../support/otlp-arbitrary.ts';
import { type EncodeStyle, encodeRequest, type OtlpRequest } from '../../support/otlp-encode.ts';
import { seeded } from '../../support/random.ts';

const attributor = new TempoAttributor();

const rowsOf = (record: Buffer, dims: readonly Dimension[]): readonly unknown[] | MalformedReason => {
  const tracker = { name: 't', dimensions: dims, limit: 10, staleS: 900 };
  const table = new SeriesTable({
    settings: () => ({ trackers: [tracker] }),
    maxLabelValueLength: 65_536,
    precedence: 'level',
  });
  const malformed = attributor.attribute(record, table, table.plan('t'));
  if (malformed !== null) return malformed.reason;
  return Array.from({ length: attributor.rows }, (_, row) => [
    decodeSeriesKey(table.keyOf(attributor.slots[row]!)),
    attributor.values[2 * row],
    attributor.values[2 * row + 1],
  ]);
};

/** With parent ids of a length that Tempo takes. */
const sound = (request: OtlpRequest): OtlpRequest => ({
  resourceSpans: request.resourceSpans.map((region) => ({
    ...region,
    scopeSpans: region.scopeSpans.map((scope) => ({
      ...scope,
      spans: scope.spans.map((span) => ({
        ...span,
        parentSpanId: span.parentSpanId?.length === 8 ? span.parentSpanId : new Uint8Array(0),
      })),
    })),
  })),
});

describe('tempo', () => {
  test('has one answer for a message, however it is written', () => {
    fc.assert(
      fc.property(otlpRequest, dimensions, fc.nat(), (any, dims, seed) => {
        const request = sound(any);
        const usual = rowsOf(encodeRequest(request, 'ascending'), dims);
        expect(Array.isArray(usual)).toBe(true);
        expect(rowsOf(encodeRequest(request, 'descending'), dims)).toEqual(usual);
        const padded: EncodeStyle = { order: 'ascending', random: seeded(seed).next, unknown: 0, padded: 0.5 };
        expect(rowsOf(encodeRequest(request, padded), dims)).toEqual(usual);
      }),
    );
  });

  test('takes or refuses damaged records, and never shows less than nothing', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(otlpRequest, dimensions, damage, (request, dims, changes) => {
        const record = encodeRequest(sound(request), 'descending');
        for (const { at, byte } of changes) if (record.length > 0) record[at % record.length] = byte;
        const rows = rowsOf(record, dims);
        if (!Array.isArray(rows)) {
          expect([attributor.rows, attributor.spans, attributor.clamped]).toEqual([0, 0, 0]);
          return;
        }
        for (const [, bytes] of rows as [unknown, number][]) {
          expect(Number.isSafeInteger(bytes)).toBe(true);
          expect(bytes).toBeGreaterThanOrEqual(0);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('counts nothing without dimensions, and for a region without spans', () => {
    const request: OtlpRequest = {
      resourceSpans: [{ resource: { attributes: [['a', 'x']] }, scopeSpans: [{ spans: [] }] }],
    };
    const dim: Dimension = { attribute: 'a', scope: 'any', label: 'a' };
    expect(rowsOf(encodeRequest(request, 'ascending'), [dim])).toEqual([]);
    const spans: OtlpRequest = { resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'x' }] }] }] };
    expect(rowsOf(encodeRequest(spans, 'ascending'), [])).toEqual([]);
    // Resource 2, the flat header of a scope 2, Scope 2; span: header 2, name 3, status 2.
    expect(rowsOf(encodeRequest(spans, 'ascending'), [dim])).toEqual([[[['a', '__missing__']], 13, 1]]);
  });

  test('follows values in values only so deep', () => {
    const nest = (depth: number): Buffer => {
      let value = Buffer.from([0x10, 0x01]);
      const wrap = (tag: number): void => {
        const length = value.length < 0x80 ? [value.length] : [(value.length & 0x7f) | 0x80, value.length >> 7];
        value = Buffer.concat([Buffer.from([tag, ...length]), value]);
      };
      for (let i = 0; i < depth; i++) for (const tag of [0x0a, 0x2a]) wrap(tag);
      // AnyValue -> KeyValue -> Resource -> ResourceSpans -> request
      for (const tag of [0x12, 0x0a, 0x0a, 0x0a]) wrap(tag);
      return value;
    };
    expect(rowsOf(nest(400), [])).toEqual([]);
    expect(rowsOf(nest(600), [])).toBe('too_deep');
  });
});
