/** Arbitrary trace requests and ways to write them, small enough to meet the corners. */
import fc from 'fast-check';
import type { Dimension } from '../../src/attribution/dimensions.ts';
import { sanitizeLabelName } from '../../src/attribution/dimensions.ts';
import type { Extras } from '../../src/attribution/extras.ts';
import type { EncodeStyle, OtlpAttributes, OtlpRequest, OtlpValue } from './otlp-encode.ts';
import { seeded } from './random.ts';

const KEYS = ['a', 'b', 'service.name', 'service.nami', 'http.route', 'k'.repeat(140)];

const text = fc.oneof(
  fc.constantFrom('', 'x', 'y', 'cart', '3', 'true'),
  fc.string({ unit: 'binary', maxLength: 150 }),
);

const { value } = fc.letrec<{ value: OtlpValue; kvlist: OtlpAttributes }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 2 },
    text,
    fc.integer(),
    fc.constantFrom(0, 1, 3, -1, 2 ** 53, -(2 ** 53)),
    fc.boolean(),
    fc.constant(null),
    fc.double({ noNaN: true }).map((double) => ({ double })),
    fc.constant({ double: 3 }),
    fc.uint8Array({ maxLength: 5 }),
    fc.array(tie('value') as fc.Arbitrary<OtlpValue>, { maxLength: 2 }).map((array) => ({ array })),
    (tie('kvlist') as fc.Arbitrary<OtlpAttributes>).map((kvlist) => ({ kvlist })),
  ),
  kvlist: fc.array(fc.tuple(fc.constantFrom(...KEYS), tie('value') as fc.Arbitrary<OtlpValue>), { maxLength: 2 }),
}));

const attributes: fc.Arbitrary<OtlpAttributes> = fc.array(fc.tuple(fc.constantFrom(...KEYS), value), { maxLength: 6 });

const span = fc.record(
  {
    traceId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    spanId: fc.uint8Array({ minLength: 8, maxLength: 8 }),
    parentSpanId: fc.uint8Array({ maxLength: 8 }),
    name: fc.string({ maxLength: 200 }),
    kind: fc.integer({ min: -1, max: 5 }),
    startTimeUnixNano: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    attributes,
    droppedAttributesCount: fc.nat(),
    events: fc.array(fc.record({ name: text, attributes }), { maxLength: 2 }),
    links: fc.array(fc.record({ traceState: text, attributes }), { maxLength: 2 }),
    status: fc.record({ message: text, code: fc.nat(3) }, { requiredKeys: [] }),
    flags: fc.nat(),
  },
  { requiredKeys: [] },
);

const scopeSpans = fc.record(
  {
    scope: fc.record({ name: text, attributes }),
    spans: fc.array(span, { maxLength: 5 }),
    schemaUrl: text,
  },
  { requiredKeys: ['spans'] },
);

export const otlpRequest: fc.Arbitrary<OtlpRequest> = fc.record({
  resourceSpans: fc.array(
    fc.record(
      {
        resource: fc.record({ attributes }),
        moreResources: fc.array(fc.record({ attributes }), { maxLength: 2 }),
        scopeSpans: fc.array(scopeSpans, { maxLength: 3 }),
        schemaUrl: text,
      },
      { requiredKeys: ['scopeSpans'] },
    ),
    { maxLength: 4 },
  ),
});

/** The two usual orders, and any order with unknown fields and padded varints. */
export const encodeStyle: fc.Arbitrary<EncodeStyle> = fc.oneof(
  fc.constantFrom<EncodeStyle>({ order: 'ascending' }, { order: 'descending' }),
  fc.record({
    order: fc.constantFrom('ascending', 'descending', 'random'),
    random: fc.nat().map((seed) => seeded(seed).next),
    unknown: fc.constantFrom(0, 0.05, 0.3),
    padded: fc.constantFrom(0, 0.1, 0.5),
  }),
);

/** Distinct keys; labels may be shared. */
export const dimensions: fc.Arbitrary<Dimension[]> = fc.uniqueArray(
  fc
    .record({
      attribute: fc.constantFrom(...KEYS),
      scope: fc.constantFrom('any' as const, 'resource' as const, 'span' as const),
      label: fc.constantFrom('', 'shared', 'other'),
    })
    .map((d) => ({ ...d, label: d.label === '' ? sanitizeLabelName(`${d.attribute}_${d.scope}`) : d.label })),
  { selector: (d) => `${d.scope}.${d.attribute}`, maxLength: 5 },
);

const extras: fc.Arbitrary<Extras> = fc.record(
  {
    default: fc.constantFrom('unknown', 'x', '__missing__'),
    regex: fc.constantFrom('^[a-z]+', '([0-9])|x', '^(.)(.*)$', 'nothing', '(?:c|x)(a)?', '.{2,3}'),
    lowercase: fc.boolean(),
    map: fc.constantFrom<NonNullable<Extras['map']>>(
      [
        ['x', 'mapped'],
        ['cart', ''],
      ],
      [
        ['3', 'x'],
        ['x', 'y'],
      ],
    ),
    maxLength: fc.constantFrom(1, 2, 3, 20),
  },
  { requiredKeys: [] },
);

/** The same, each with extras or without. */
export const dimensionsWithExtras: fc.Arbitrary<Dimension[]> = fc
  .tuple(dimensions, fc.array(fc.option(extras), { minLength: 5, maxLength: 5 }))
  .map(([plain, given]) => plain.map((one, i) => (given[i] == null ? one : { ...one, extras: given[i] })));
