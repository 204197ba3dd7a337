import { describe, expect, test } from '@jest/globals';
import { FORMATS } from '../../../src/config/formats.ts';
import { formatDuration, formatSize } from '../../../src/config/scalars.ts';
import { ROWS } from '../../../src/config/schema.ts';

describe('the schema', () => {
  test('every setting has a variable of its own, named after its path', () => {
    const names = ROWS.map((row) => row.env);
    expect(new Set(names).size).toBe(ROWS.length);
    for (const row of ROWS) expect(row.env).toBe(`TRACETALLY_${row.path.replace(/\./g, '_').toUpperCase()}`);
  });

  test.each(ROWS.map((row) => [row.path, row] as const))(
    '%s has a sentence and a default that it accepts',
    (_, row) => {
      expect(row.doc).toMatch(/^.*\.$/);
      expect(() => FORMATS[row.format](row.default, row)).not.toThrow();
    },
  );

  test('durations and sizes are written as they are read', () => {
    for (const text of ['0', '15m', '1h30m', '7d', '1m15s', '100ms'])
      expect(formatDuration(FORMATS.duration(text, {}))).toBe(text);
    for (const text of ['16MiB', '1GiB', '1KiB', '5000']) expect(formatSize(FORMATS.size(text, {}))).toBe(text);
  });
});
