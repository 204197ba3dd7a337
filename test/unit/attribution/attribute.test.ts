import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Attributor } from '../../../src/attribution/attribute.ts';
import type { Dimension } from '../../../src/attribution/dimensions.ts';
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { dimensions, dimensionsWithExtras, encodeStyle, otlpRequest } from '../../support/otlp-arbitrary.ts';
import { encodeRequest, type OtlpAttributes, type OtlpRequest } from '../../support/otlp-encode.ts';
import { exactSplit } from '../../support/otlp-oracle.ts';

const attributor = new Attributor();

const tableFor = (...trackers: readonly (readonly Dimension[])[]): SeriesTable =>
  new SeriesTable({
    settings: () => ({
      trackers: trackers.map((dims, i) => ({ name: `t${i}`, dimensions: dims, limit: 10, staleS: 900 })),
    }),
    maxLabelValueLength: 2048,
  });

/** What the last record added, by tracker and labels. */
function rowsOf(table: SeriesTable, tracker = 0): Map<string, [number, number]> {
  const rows = new Map<string, [number, number]>();
  for (let row = 0; row < attributor.rows; row++) {
    const slot = attributor.slots[row]!;
    if (table.accountOf(slot) !== tracker) continue;
    const key = JSON.stringify(decodeSeriesKey(table.keyOf(slot)));
    expect(rows.has(key)).toBe(false);
    rows.set(key, [attributor.values[2 * row]!, attributor.values[2 * row + 1]!]);
  }
  return rows;
}

const total = (): number => {
  let bytes = 0;
  for (let row = 0; row < attributor.rows; row++) bytes += attributor.values[2 * row]!;
  return bytes;
};

const split = (request: OtlpRequest, dims: readonly Dimension[]): Record<string, [number, number]> => {
  const table = tableFor(dims);
  expect(attributor.attribute(encodeRequest(request, 'ascending'), table, table.plan('acme'))).toBeNull();
  return Object.fromEntries(rowsOf(table));
};

const dim = (attribute: string, scope: Dimension['scope'], label = attribute): Dimension => ({
  attribute,
  scope,
  label,
});

const oneSpan = (resource: OtlpAttributes, span: OtlpAttributes): OtlpRequest => ({
  resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ spans: [{ attributes: span }] }] }],
});

test('series and bytes are those of the oracle, in every order of fields, and sum to the record', () => {
  fc.assert(
    fc.property(otlpRequest, encodeStyle, dimensions, dimensions, (request, style, first, second) => {
      const record = encodeRequest(request, style);
      const table = tableFor(first, second);
      expect(attributor.attribute(record, table, table.plan('acme'))).toBeNull();
      expect(rowsOf(table, 0)).toEqual(exactSplit(record, first));
      expect(rowsOf(table, 1)).toEqual(exactSplit(record, second));
      expect(total()).toBe(2 * record.length);
    }),
    { numRuns: 700 },
  );
});

test('with extras, series and bytes are those of the oracle, also for values that the table knows already', () => {
  fc.assert(
    fc.property(
      fc.array(otlpRequest, { minLength: 1, maxLength: 3 }),
      dimensionsWithExtras,
      dimensions,
      (requests, first, second) => {
        const table = tableFor(first, second);
        for (const request of [...requests, requests[0]!]) {
          const record = encodeRequest(request, 'descending');
          expect(attributor.attribute(record, table, table.plan('acme'))).toBeNull();
          expect(rowsOf(table, 0)).toEqual(exactSplit(record, first));
          expect(rowsOf(table, 1)).toEqual(exactSplit(record, second));
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('a record cut anywhere is malformed or sums to its length; the attributor works on', () => {
  fc.assert(
    fc.property(otlpRequest, encodeStyle, dimensions, (request, style, dims) => {
      const record = encodeRequest(request, style);
      const table = tableFor(dims);
      const plan = table.plan('acme');
      for (let end = 0; end <= record.length; end += record.length > 2000 ? 7 : 1) {
        const cut = Buffer.from(record.subarray(0, end));
        const malformed = attributor.attribute(cut, table, plan);
        if (malformed === null) expect(total()).toBe(end);
        else {
          expect([attributor.rows, attributor.spans, malformed.kind]).toEqual([0, 0, 'malformed']);
          expect(malformed.position).toBeLessThanOrEqual(end);
        }
      }
      expect(attributor.attribute(record, table, plan)).toBeNull();
      expect(rowsOf(table)).toEqual(exactSplit(record, dims));
    }),
    { numRuns: 30 },
  );
});

test('changed bytes are malformed or sum to their length', () => {
  const change = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'insert', 'remove'));
  let accepted = 0;
  fc.assert(
    fc.property(
      otlpRequest,
      encodeStyle,
      dimensions,
      fc.array(change, { maxLength: 4 }),
      (request, style, dims, edits) => {
        const bytes = [...encodeRequest(request, style)];
        for (const [where, byte, kind] of edits) {
          const at = bytes.length === 0 ? 0 : where % bytes.length;
          if (kind === 'insert') bytes.splice(at, 0, byte);
          else if (kind === 'remove') bytes.splice(at, 1);
          else bytes[at] = byte;
        }
        const table = tableFor(dims);
        if (attributor.attribute(Buffer.from(bytes), table, table.plan('acme')) !== null) return;
        accepted++;
        expect(total()).toBe(bytes.length);
      },
    ),
    { numRuns: 1200 },
  );
  expect(accepted).toBeGreaterThan(50);
});

const damaged = fc
  .tuple(
    otlpRequest,
    encodeStyle,
    fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.constantFrom('set', 'insert', 'remove')), {
      maxLength: 3,
    }),
  )
  .map(([request, style, edits]) => {
    const bytes = [...encodeRequest(request, style)];
    for (const [where, byte, kind] of edits) {
      const at = bytes.length === 0 ? 0 : where % bytes.length;
      if (kind === 'insert') bytes.splice(at, 0, byte);
      else if (kind === 'remove') bytes.splice(at, 1);
      else bytes[at] = byte;
    }
    return Buffer.from(bytes);
  });

/** Null: protobufjs refuses it. */
const oracleOf = (record: Buffer, dims: readonly Dimension[]): Map<string, [number, number]> | null => {
  try {
    return exactSplit(record, dims);
  } catch {
    return null;
  }
};

test('of damaged records that are accepted, series and bytes are those of the oracle', () => {
  let compared = 0;
  fc.assert(
    fc.property(damaged, dimensions, (record, dims) => {
      const table = tableFor(dims);
      const wanted = oracleOf(record, dims);
      if (attributor.attribute(record, table, table.plan('acme')) !== null || wanted === null) return;
      compared++;
      expect(rowsOf(table)).toEqual(wanted);
    }),
    { numRuns: 600 },
  );
  expect(compared).toBeGreaterThan(60);
});

test('what is known already, and spans that need not be looked into, change nothing, also of damaged records', () => {
  const known = fc.tuple(fc.array(damaged, { maxLength: 4 }), damaged, dimensions);
  fc.assert(
    fc.property(known, ([before, record, any]) => {
      // Of resources alone: the fast path passes over the spans, unless another tracker asks for them.
      const dims = any.map((one): Dimension => ({ ...one, scope: 'resource' }));
      const fast = tableFor(dims);
      for (const one of before) attributor.attribute(one, fast, fast.plan('acme'));
      const fastFault = attributor.attribute(record, fast, fast.plan('acme'));
      const rows = rowsOf(fast);
      const slow = tableFor(dims, [dim('http.route', 'span')]);
      // Who looks into spans may find a fault there that the other never meets.
      if (attributor.attribute(record, slow, slow.plan('acme')) !== null) return;
      expect(fastFault).toBeNull();
      expect(rows).toEqual(rowsOf(slow));
    }),
    { numRuns: 400 },
  );
});

test('a record of many regions and megabytes is split as a small one is', () => {
  const spans = Array.from({ length: 400 }, (_, i) => ({
    name: 'n'.repeat(i),
    attributes: [
      ['k', `v${(i * 7) % 390}`],
      ['db.query.text', 'q'.repeat((i * 37) % 20_000)],
    ] as OtlpAttributes,
  }));
  const region = { resource: { attributes: [['r', 'x']] as OtlpAttributes }, scopeSpans: [{ spans }] };
  const dims = [dim('k', 'span'), dim('r', 'resource')];
  for (const order of ['ascending', 'descending'] as const) {
    const record = encodeRequest({ resourceSpans: [region, { scopeSpans: [] }, region] }, order);
    expect(record.length).toBeGreaterThan(5_000_000);
    const table = tableFor(dims);
    expect(attributor.attribute(record, table, table.plan('acme'))).toBeNull();
    expect(rowsOf(table)).toEqual(exactSplit(record, dims));
    expect(attributor.spans).toBe(800);
  }
});

test('any bytes at all are malformed or sum to their length', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), dimensions, (bytes, dims) => {
      const table = tableFor(dims);
      if (attributor.attribute(Buffer.from(bytes), table, table.plan('acme')) === null) {
        expect(total()).toBe(bytes.length);
      }
    }),
    { numRuns: 3000 },
  );
});

describe('which value a label gets', () => {
  test.each<[string, OtlpAttributes, OtlpAttributes, Dimension[], [string, string][]]>([
    ['the span overwrites the resource', [['k', 'r']], [['k', 's']], [dim('k', 'any')], [['k', 's']]],
    ['only with a usable value', [['k', 'r']], [['k', '']], [dim('k', 'any')], [['k', 'r']]],
    ['an array is no value', [['k', 'r']], [['k', { array: ['s'] }]], [dim('k', 'any')], [['k', 'r']]],
    ['resource alone', [['k', 'r']], [['k', 's']], [dim('k', 'resource')], [['k', 'r']]],
    ['span alone', [['k', 'r']], [], [dim('k', 'span')], [['k', '__missing__']]],
    [
      'the first usable occurrence',
      [
        ['k', ''],
        ['k', null],
        ['k', 'r1'],
        ['k', 'r2'],
      ],
      [],
      [dim('k', 'any')],
      [['k', 'r1']],
    ],
    [
      'the later dimension on a label',
      [
        ['a', '1'],
        ['b', '2'],
      ],
      [],
      [dim('a', 'any', 'l'), dim('b', 'any', 'l')],
      [['l', '2']],
    ],
    ['the later that has one', [['a', '1']], [['b', '']], [dim('a', 'any', 'l'), dim('b', 'any', 'l')], [['l', '1']]],
    [
      'both scopes on one label',
      [['k', 'r']],
      [['k', 's']],
      [dim('k', 'span', 'l'), dim('k', 'resource', 'l')],
      [['l', 'r']],
    ],
    [
      'both scopes, two labels',
      [['k', 'r']],
      [['k', 's']],
      [dim('k', 'span', 'b'), dim('k', 'resource', 'a')],
      [
        ['a', 'r'],
        ['b', 's'],
      ],
    ],
    [
      'labels by name',
      [
        ['z', 1],
        ['a', true],
      ],
      [['m', { double: 0.5 }]],
      [dim('z', 'any'), dim('a', 'any'), dim('m', 'any')],
      [
        ['a', 'true'],
        ['m', '0.5'],
        ['z', '1'],
      ],
    ],
    ['the empty key', [['', 'e']], [], [dim('', 'any', '_')], [['_', 'e']]],
  ])('%s', (_, resource, span, dims, labels) => {
    const record = encodeRequest(oneSpan(resource, span), 'ascending');
    expect(split(oneSpan(resource, span), dims)).toEqual({ [JSON.stringify(labels)]: [record.length, 1] });
  });

  test('a span without a value does not get the one of the span before', () => {
    const request = {
      resourceSpans: [{ scopeSpans: [{ spans: [{ attributes: [['k', 'v']] as OtlpAttributes }, {}, {}] }] }],
    };
    expect(Object.values(split(request, [dim('k', 'any')])).map(([, spans]) => spans)).toEqual([1, 2]);
  });

  test('several Resources of a region are one', () => {
    const request: OtlpRequest = {
      resourceSpans: [
        {
          resource: { attributes: [['a', '']] },
          moreResources: [
            { attributes: [['a', 'x']] },
            {
              attributes: [
                ['a', 'y'],
                ['b', 'z'],
              ],
            },
          ],
          scopeSpans: [{ spans: [{}] }],
        },
      ],
    };
    expect(Object.keys(split(request, [dim('a', 'any'), dim('b', 'any')]))).toEqual(['[["a","x"],["b","z"]]']);
  });
});

describe('which bytes a series gets', () => {
  test('a record of no bytes adds nothing', () => {
    const table = tableFor([dim('k', 'any')]);
    expect(attributor.attribute(Buffer.alloc(0), table, table.plan('acme'))).toBeNull();
    expect([attributor.rows, attributor.spans]).toEqual([0, 0]);
  });

  test('bytes without a region go to the series with everything missing', () => {
    const table = tableFor([dim('k', 'any')]);
    expect(attributor.attribute(Buffer.from('c03e05', 'hex'), table, table.plan('acme'))).toBeNull();
    expect(rowsOf(table)).toEqual(new Map([['[["k","__missing__"]]', [3, 0]]]));
    expect(
      attributor.attribute(encodeRequest(oneSpan([['k', 'v']], []), 'ascending'), table, table.plan('acme')),
    ).toBeNull();
    expect(attributor.attribute(Buffer.from('c03e05', 'hex'), table, table.plan('acme'))).toBeNull();
    expect(rowsOf(table)).toEqual(new Map([['[["k","__missing__"]]', [3, 0]]]));
  });

  test('a region without spans goes to the series of its resource', () => {
    const request: OtlpRequest = {
      resourceSpans: [{ resource: { attributes: [['r', 'x']] }, scopeSpans: [{ spans: [], schemaUrl: 'u' }] }],
    };
    const { length } = encodeRequest(request, 'ascending');
    expect(split(request, [dim('r', 'any'), dim('s', 'span')])).toEqual({
      '[["r","x"],["s","__missing__"]]': [length, 0],
    });
  });

  test('overhead is spread in whole bytes, the later spans first', () => {
    // Region 0a..: 2 head + 2 scope head + spans of 5, 5, 5 bytes; 2 more bytes of overhead from an empty schema url.
    const spans = ['a', 'b', 'c'].map((name) => ({ attributes: [['n', name]] as OtlpAttributes }));
    const request = { resourceSpans: [{ scopeSpans: [{ spans }], schemaUrl: 'u' }] };
    const own = (encodeRequest(request, 'ascending').length - 7) / 3;
    expect(split(request, [dim('n', 'span')])).toEqual({
      '[["n","a"]]': [own + 2, 1],
      '[["n","b"]]': [own + 2, 1],
      '[["n","c"]]': [own + 3, 1],
    });
  });

  test('a tracker without dimensions has one series without labels', () => {
    const request = oneSpan([['k', 'v']], []);
    expect(split(request, [])).toEqual({ '[]': [encodeRequest(request, 'ascending').length, 1] });
  });

  test('a tenant without trackers has its records checked and its spans counted', () => {
    const table = tableFor();
    expect(attributor.attribute(encodeRequest(oneSpan([], []), 'ascending'), table, table.plan('acme'))).toBeNull();
    expect([attributor.rows, attributor.spans]).toEqual([0, 1]);
  });

  test('a malformed second region leaves nothing of the first', () => {
    const good = encodeRequest(oneSpan([['k', 'v']], []), 'ascending');
    const table = tableFor([dim('k', 'any')]);
    const bad = Buffer.concat([good, Buffer.from('0a0412021300', 'hex')]);
    expect(attributor.attribute(bad, table, table.plan('acme'))).toEqual({
      kind: 'malformed',
      position: good.length + 4,
      reason: 'bad_wire_type',
    });
    expect([attributor.rows, attributor.spans]).toEqual([0, 0]);
  });
});
