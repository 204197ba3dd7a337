import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ValueTable } from '../../../src/attribution/value-table.ts';
import { BOOL, INT, STRING } from '../../../src/otlp/scan.ts';

/** Of few lengths and few bytes, so that most are alike: they differ in places that a look may leave out. */
const payload = fc.oneof(
  fc.array(fc.constantFrom(0x61, 0x62), { minLength: 1, maxLength: 3 }),
  fc
    .tuple(fc.nat(31), fc.constantFrom(0x61, 0x62))
    .map(([at, byte]) => Array.from({ length: 32 }, (_, i) => (i === at ? byte : 0x61))),
  fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => [...bytes]),
);
const value = fc.record({ kind: fc.constantFrom(STRING, BOOL, INT), payload, before: fc.nat(3), behind: fc.nat(3) });

describe('ValueTable', () => {
  test('gives one number to each kind and payload, wherever they lie, and keeps it', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 200 }), (values) => {
        const table = new ValueTable(1024, [1, 2]);
        const known = new Map<string, number>();
        for (const { kind, payload, before, behind } of [...values, ...values]) {
          const bytes = Buffer.concat([Buffer.alloc(before, 0x7a), Buffer.from(payload), Buffer.alloc(behind, 0x7a)]);
          const id = table.intern(kind, bytes, before, before + payload.length);
          bytes.fill(0);
          const key = `${kind} ${payload.join()}`;
          if (!known.has(key)) {
            expect([...known.values()]).not.toContain(id);
            known.set(key, id);
          }
          expect(id).toBe(known.get(key));
        }
      }),
    );
  });

  test('a text has the number that its payload has', () => {
    const table = new ValueTable(1024, [1, 2]);
    const bytes = Buffer.from('checkout');
    expect(table.internText('checkout')).toBe(table.intern(STRING, bytes, 0, bytes.length));
    expect(table.text(table.internText('checkout'))).toBe('checkout');
  });

  test('texts that differ beyond what a label holds are one', () => {
    const table = new ValueTable(8, [1, 2]);
    const id = (text: string) => table.internText(text);
    expect(id(`${'a'.repeat(100)}b`)).toBe(id(`${'a'.repeat(100)}c`));
    expect(id('aaaaaaab')).not.toBe(id('aaaaaaac'));
  });
});
