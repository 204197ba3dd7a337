import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cutUtf8, labelValue, significantBytes } from '../../../src/attribution/label-value.ts';
import { BOOL, DOUBLE, INT, STRING } from '../../../src/otlp/scan.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex, 'hex');
const double = (value: number): Buffer => {
  const buffer = Buffer.alloc(8);
  buffer.writeDoubleLE(value);
  return buffer;
};

test.each([
  ['text', STRING, Buffer.from('gr\u00fc\u00df "q"\n\\'), 'gr\u00fc\u00df "q"\n\\'],
  ['invalid bytes', STRING, bytes('61ff62'), 'a\ufffdb'],
  ['a code point cut off', STRING, bytes('61f09f98'), 'a\ufffd'],
  ['a surrogate', STRING, bytes('eda080'), '\ufffd\ufffd\ufffd'],
  ['a byte order mark', STRING, bytes('efbbbf61'), '\ufeffa'],
  ['true', BOOL, bytes('01'), 'true'],
  ['true, long', BOOL, bytes('808001'), 'true'],
  ['false', BOOL, bytes('00'), 'false'],
  ['false, long', BOOL, bytes('808000'), 'false'],
  ['zero', INT, bytes('00'), '0'],
  ['minus one', INT, bytes('ffffffffffffffffff01'), '-1'],
  ['the largest integer', INT, bytes('ffffffffffffffff7f'), '9223372036854775807'],
  ['the smallest', INT, bytes('80808080808080808001'), '-9223372036854775808'],
  ['beyond 2^53', INT, bytes('8180808080808010'), '9007199254740993'],
  ['a padded integer', INT, bytes('838000'), '3'],
  ['a whole double', DOUBLE, double(3), '3'],
  ['a double', DOUBLE, double(0.1), '0.1'],
  ['a large double', DOUBLE, double(1e21), '1e+21'],
  ['minus zero', DOUBLE, double(-0), '0'],
  ['no number', DOUBLE, double(Number.NaN), 'NaN'],
  ['infinity', DOUBLE, double(-Infinity), '-Infinity'],
])('%s', (_, kind, payload, text) => {
  expect(labelValue(kind, payload, 2048)).toBe(text);
});

test('a long value is cut at a code point', () => {
  expect(labelValue(STRING, Buffer.from('aa\u{1f600}b'), 5)).toBe('aa');
  expect(labelValue(STRING, Buffer.from('aa\u{1f600}b'), 6)).toBe('aa\u{1f600}');
  expect(labelValue(STRING, bytes('6161ffff'), 5)).toBe('aa\ufffd');
  expect(labelValue(STRING, Buffer.from('\u{1f600}'), 3)).toBe('__missing__');
});

test('a cut is the longest beginning that fits', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(40), (raw, max) => {
      const text = raw.toWellFormed();
      const cut = cutUtf8(text, max);
      expect(text.startsWith(cut)).toBe(true);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(max);
      const next = [...text.slice(cut.length)][0];
      if (next !== undefined) expect(Buffer.byteLength(cut + next)).toBeGreaterThan(max);
    }),
  );
});

test('what lies behind the significant bytes does not matter', () => {
  const piece = fc.constantFrom('61', 'c3a9', 'e282ac', 'f09f9880', 'ff', 'e282', 'f09f98', '80');
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), fc.integer({ min: 1, max: 20 }), (pieces, max) => {
      const payload = bytes(pieces.join(''));
      const beginning = payload.subarray(0, significantBytes(max));
      expect(labelValue(STRING, beginning, max)).toBe(labelValue(STRING, payload, max));
    }),
    { numRuns: 2000 },
  );
});
