import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { decodeSeriesKey, seriesId } from '../../../src/attribution/series-key.ts';
import { SeriesTable, type TenantSettings } from '../../../src/attribution/series-table.ts';
import { ValueTable } from '../../../src/attribution/value-table.ts';
import { BOOL, DOUBLE, INT, STRING } from '../../../src/otlp/scan.ts';

const { dimensions } = parseDimensions(
  [
    ['b', ''],
    ['a', ''],
  ],
  { sharedLabels: 'refuse' },
);
const tracker = { name: 'cost-attribution', dimensions, limit: 10, staleS: 900 };
const make = (
  settings: (tenant: string) => TenantSettings = () => ({ trackers: [tracker] }),
  maxLabelValueLength = 2048,
) => new SeriesTable({ settings, maxLabelValueLength });

const value = (table: SeriesTable, kind: number, hex: string): number => {
  const bytes = Buffer.from(hex, 'hex');
  return table.value(kind, bytes, 0, bytes.length);
};
const string = (table: SeriesTable, text: string | Buffer): number =>
  value(table, STRING, Buffer.from(text as string).toString('hex'));
const slot = (table: SeriesTable, ...values: number[]): number =>
  table.slot(table.plan('acme').shapes[0]!, Uint32Array.from(values));

test('a slot is a series of an account: its labels, key and id', () => {
  const table = make();
  const one = slot(table, string(table, 'x'), 0);
  expect(decodeSeriesKey(table.keyOf(one))).toEqual([
    ['a', 'x'],
    ['b', '__missing__'],
  ]);
  const id = Buffer.alloc(20);
  table.copyId(one, id, 4);
  expect(id.subarray(4)).toEqual(seriesId(table.keyOf(one)));
  expect(table.accounts[table.accountOf(one)]).toEqual({
    index: 0,
    tenant: 'acme',
    tracker: 'cost-attribution',
    measures: 2,
    limit: 10,
    staleS: 900,
  });
});

describe('values that are exposed alike are one series', () => {
  const double3 = Buffer.alloc(8);
  double3.writeDoubleLE(3);
  test.each([
    ['an integer and its text', [INT, '03'], [STRING, '33']],
    ['an integer and a whole double', [INT, '03'], [DOUBLE, double3.toString('hex')]],
    ['a padded integer', [INT, '03'], [INT, '838000']],
    ['two ways to be true', [BOOL, '01'], [BOOL, '02']],
    ['true and its text', [BOOL, '01'], [STRING, Buffer.from('true').toString('hex')]],
    ['invalid bytes', [STRING, '61ff'], [STRING, '61fe']],
    ['invalid bytes and the mark for them', [STRING, 'ff'], [STRING, 'efbfbd']],
  ] as [string, [number, string], [number, string]][])('%s', (_, a, b) => {
    const table = make();
    const first = slot(table, value(table, ...a), 0);
    expect(slot(table, value(table, ...b), 0)).toBe(first);
    expect(slot(table, value(table, ...b), 0)).toBe(first);
    expect(table.size).toBe(1);
  });

  test('what is cut off makes no difference, what is not does', () => {
    const table = make(undefined, 8);
    const long = slot(table, string(table, `12345678${'x'.repeat(100_000)}`), 0);
    expect(slot(table, string(table, '12345678yy'), 0)).toBe(long);
    expect(slot(table, string(table, '12345678'), 0)).toBe(long);
    expect(slot(table, string(table, '1234567'), 0)).not.toBe(long);
    expect(slot(table, string(table, '1234567\u{1f600}'), 0)).toBe(slot(table, string(table, '1234567'), 0));
    expect(table.footprint).toBeLessThan(20_000);
  });

  test('a value that equals the sentinel and a missing one', () => {
    const table = make();
    expect(slot(table, string(table, '__missing__'), 0)).toBe(slot(table, 0, 0));
  });
});

test('slots are dense, and the same series has the same slot after any growth', () => {
  const table = make();
  const slots = new Map<string, number>();
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 3000; i++) {
      for (const [a, b] of [
        [`v${i}`, `w${i % 7}`],
        [`w${i % 7}`, `v${i}`],
      ] as const) {
        const found = slot(table, string(table, a), string(table, b));
        const known = slots.get(`${a} ${b}`);
        if (known === undefined) expect(found).toBe(slots.size);
        else expect(found).toBe(known);
        slots.set(`${a} ${b}`, found);
      }
    }
  }
  expect(table.size).toBe(6000);
  for (const [labels, one] of slots) {
    expect(
      decodeSeriesKey(table.keyOf(one))
        .map(([, text]) => text)
        .join(' '),
    ).toBe(labels);
  }
});

test('tenants and trackers do not share series', () => {
  const settings = { trackers: [tracker, { ...tracker, name: 'llm' }] };
  const table = make(() => settings);
  const x = string(table, 'x');
  const slots = ['acme', 'globex'].flatMap((tenant) =>
    table.plan(tenant).shapes.map((shape) => table.slot(shape, Uint32Array.of(x, x))),
  );
  expect(slots).toEqual([0, 1, 2, 3]);
  expect(slots.map((one) => table.accountOf(one))).toEqual([0, 1, 2, 3]);
  expect(table.accounts.map((account) => [account.tenant, account.tracker])).toEqual([
    ['acme', 'cost-attribution'],
    ['acme', 'llm'],
    ['globex', 'cost-attribution'],
    ['globex', 'llm'],
  ]);
  expect(table.keyOf(slots[0]!)).toEqual(table.keyOf(slots[3]!));
});

test('a plan is made once for a tenant, its recipe once for equal dimensions', () => {
  const asked: string[] = [];
  const table = make((tenant) => {
    asked.push(tenant);
    return { trackers: [{ ...tracker, dimensions: [...dimensions], limit: tenant.length }] };
  });
  expect(table.plan('acme')).toBe(table.plan('acme'));
  expect(table.plan('acme').recipe).toBe(table.plan('globex').recipe);
  expect(asked).toEqual(['acme', 'globex']);
  expect(table.accounts.map((account) => account.limit)).toEqual([4, 6]);
});

test('extras are worked out once for a value, weigh something, and are none of a tracker without them', () => {
  const many = dimensions.map((one) => ({ ...one, extras: { lowercase: true } }));
  const table = make(() => ({ trackers: [tracker, { ...tracker, name: 'extras', dimensions: many }] }));
  const [plain, extras] = table.plan('acme').extras;
  expect(plain).toBeNull();
  const ids = Array.from({ length: 1_000 }, (_, i) => string(table, `VALUE-${i}`));
  const before = table.footprint;
  const derived = ids.map((id) => extras!.resolve(0, Uint32Array.of(id, id), Uint32Array.of(id, id)));
  expect(new Set(derived).size).toBe(1_000);
  expect(table.footprint - before).toBeGreaterThan(4 * 1_000);
  const after = table.footprint;
  expect(ids.map((id) => extras!.resolve(0, Uint32Array.of(id, id), Uint32Array.of(id, id)))).toEqual(derived);
  expect(table.footprint).toBe(after);
  expect(derived[7]).toBe(string(table, 'value-7'));
});

test('ten thousand tenants with a series each are small', () => {
  const table = make();
  for (let i = 0; i < 10_000; i++) table.slot(table.plan(`tenant-${i}`).shapes[0]!, Uint32Array.of(0, 0));
  expect(table.size).toBe(10_000);
  expect(table.footprint / 10_000).toBeLessThan(1000);
});

test('tenants that are not tracked weigh something too', () => {
  const table = make(() => ({ trackers: [] }));
  const before = table.footprint;
  for (let i = 0; i < 1000; i++) table.plan(`tenant-${i}`);
  expect(table.footprint).toBeGreaterThan(before + 100_000);
});

test('the house has series of its own', () => {
  const table = make();
  const one = table.reserved('__records__', 'discards', { tenant_id: 'a', reason: 'malformed' });
  expect(table.reserved('__records__', 'discards', { reason: 'malformed', tenant_id: 'a' })).toBe(one);
  expect(table.reserved('__records__', 'discards', { reason: 'not_otlp', tenant_id: 'a' })).not.toBe(one);
  expect(decodeSeriesKey(table.keyOf(one))).toEqual([
    ['reason', 'malformed'],
    ['tenant_id', 'a'],
  ]);
  expect(table.accounts).toHaveLength(1);
  expect(table.accounts[0]).toMatchObject({ tenant: '__records__', tracker: 'discards', measures: 2 });
});

test('a reserved series of a tenant is in the account that its plan names, whichever comes first', () => {
  const table = make();
  const first = table.reserved('acme', 'cost-attribution', {});
  const planned = slot(table, 0, 0);
  const second = table.reserved('acme', 'cost-attribution', { a: '__missing__', b: '__missing__' });
  expect(table.accountOf(first)).toBe(table.accountOf(planned));
  expect(second).toBe(planned);
  expect(table.accounts).toHaveLength(1);
});

test('values have one number for their bytes and kind, whatever the secret', () => {
  const anyValue = fc.tuple(fc.constantFrom(STRING, INT), fc.uint8Array({ minLength: 1, maxLength: 9 }));
  fc.assert(
    fc.property(fc.array(anyValue, { maxLength: 300 }), fc.nat(), fc.nat(), (all, k0, k1) => {
      const table = new ValueTable(64, [k0, k1]);
      const numbers = new Map<string, number>();
      for (const [kind, payload] of [...all, ...all]) {
        const name = `${kind}:${Buffer.from(payload).toString('hex')}`;
        const padded = Buffer.concat([Buffer.alloc(3), payload, Buffer.alloc(3)]);
        const number = table.intern(kind, padded, 3, 3 + payload.length);
        expect(number).toBe(numbers.get(name) ?? numbers.size + 1);
        numbers.set(name, number);
      }
    }),
  );
});
