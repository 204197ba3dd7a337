/** What is explained is what is counted. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Accounting, tallyOf } from '../../../src/attribution/accounting.ts';
import { type Dimension, parseDimensions } from '../../../src/attribution/dimensions.ts';
import { type ExplainedLabel, explainRecord } from '../../../src/attribution/explain.ts';
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { dimensionsWithExtras, otlpRequest } from '../../support/otlp-arbitrary.ts';
import { encodeRequest } from '../../support/otlp-encode.ts';
import { readVectors, refusals } from '../../support/tempo-vectors.ts';

const MAX = 65_536;

const counted = (record: Buffer, dimensions: readonly Dimension[], accounting: Accounting): object | null => {
  const tracker = { name: 't', dimensions, limit: 10, staleS: 900 };
  const table = new SeriesTable({
    settings: () => ({ trackers: [tracker] }),
    maxLabelValueLength: MAX,
    precedence: accounting === 'tempo' ? 'level' : 'order',
  });
  const tally = tallyOf(accounting);
  if (tally.attribute(record, table, table.plan('t')) !== null) return null;
  const rows: [string, number][] = [];
  for (let row = 0; row < tally.rows; row++)
    rows.push([JSON.stringify(decodeSeriesKey(table.keyOf(tally.slots[row]!))), tally.values[2 * row]!]);
  return Object.fromEntries(rows);
};

const explained = (record: Buffer, dimensions: readonly Dimension[], accounting: Accounting): object | null => {
  const found = explainRecord(record, { dimensions, accounting, maxLabelValueLength: MAX });
  if ('kind' in found) return null;
  const sums: Record<string, number> = {};
  const add = (labels: readonly ExplainedLabel[], bytes: number): void => {
    const key = JSON.stringify(labels.map(({ label, value }) => [label, value]));
    sums[key] = (sums[key] ?? 0) + bytes;
  };
  for (const { rest, labels, spans } of found.regions) {
    if (spans.length === 0 && accounting === 'exact') add(labels, rest);
    for (const span of spans) add(span.labels, span.own + span.share);
  }
  return Object.fromEntries(Object.entries(sums).map(([key, bytes]) => [key, Math.max(0, bytes)]));
};

describe('explaining a record', () => {
  test.each<Accounting>(['exact', 'tempo'])('gives each series what %s gives it', (accounting) => {
    const differing = readVectors()
      .filter((vector) => refusals(vector).length === 0)
      .filter((vector) => {
        const { dimensions } = parseDimensions(Object.entries(vector.config.dimensions), { sharedLabels: 'allow' });
        return vector.batches_b64.some((text) => {
          const record = Buffer.from(text, 'base64');
          const got = JSON.stringify(Object.entries(explained(record, dimensions, accounting) ?? {}).sort());
          return got !== JSON.stringify(Object.entries(counted(record, dimensions, accounting) ?? {}).sort());
        });
      });
    expect(differing.map(({ name }) => name)).toEqual([]);
  });

  test.each<Accounting>(['exact', 'tempo'])('with extras, too, %s', (accounting) => {
    fc.assert(
      fc.property(otlpRequest, dimensionsWithExtras, (request, dimensions) => {
        // With `tempo` nothing is counted without dimensions.
        fc.pre(dimensions.length > 0);
        const record = encodeRequest(request, 'ascending');
        expect(explained(record, dimensions, accounting)).toEqual(counted(record, dimensions, accounting));
      }),
    );
  });

  test('says what extras made of a value, and when a default stands in', () => {
    const { dimensions } = parseDimensions(
      [
        ['service.name', { label: 's', regex: '^[a-z]+', map: [['cart', 'shop']] }],
        ['span.route', { label: 'r', default: 'none' }],
      ],
      { sharedLabels: 'refuse' },
    );
    const record = encodeRequest(
      { resourceSpans: [{ resource: { attributes: [['service.name', 'cart-7']] }, scopeSpans: [{ spans: [{}] }] }] },
      'ascending',
    );
    const found = explainRecord(record, { dimensions, accounting: 'exact', maxLabelValueLength: 100 });
    if ('kind' in found) throw new Error(found.reason);
    expect(found.regions[0]!.spans[0]!.labels).toEqual([
      { label: 'r', value: 'none', attribute: null, from: 'default' },
      { label: 's', value: 'shop', attribute: 'service.name', from: 'resource', original: 'cart-7' },
    ]);
  });

  test('says where each value comes from, and names the span', () => {
    const { dimensions } = parseDimensions(
      [
        ['service.name', ''],
        ['span.route', 'r'],
        ['nope', ''],
      ],
      { sharedLabels: 'refuse' },
    );
    const record = encodeRequest(
      {
        resourceSpans: [
          {
            resource: { attributes: [['service.name', 'cart']] },
            scopeSpans: [{ spans: [{ name: 'GET', attributes: [['route', '/']] }, {}] }],
          },
        ],
      },
      'ascending',
    );
    const found = explainRecord(record, { dimensions, accounting: 'exact', maxLabelValueLength: 100 });
    if ('kind' in found) throw new Error(found.reason);
    const [first, second] = found.regions[0]!.spans;
    expect(first).toMatchObject({ name: 'GET', traceId: '', spanId: '' });
    expect(first!.labels).toEqual([
      { label: 'nope', value: '__missing__', attribute: null, from: null },
      { label: 'r', value: '/', attribute: 'route', from: 'span' },
      { label: 'service_name', value: 'cart', attribute: 'service.name', from: 'resource' },
    ]);
    expect(second!.labels[1]).toEqual({ label: 'r', value: '__missing__', attribute: null, from: null });
    expect(
      found.outside + found.regions.reduce((sum, r) => sum + r.rest + r.spans.reduce((own, s) => own + s.own, 0), 0),
    ).toBe(record.length);
  });
});
