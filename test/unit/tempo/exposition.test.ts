/** The service's own answer, line by line against the text of the real endpoint for the same series. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Labels } from '../../../src/attribution/series-key.ts';
import { CONTENT_TYPES, expositionText } from '../../../src/publish/exposition.ts';
import { goNumber } from '../../../src/publish/go-number.ts';
import { deviationOf } from '../../support/tempo-deviations.ts';
import { readVectors, refusals, runVector, type Vector } from '../../support/tempo-vectors.ts';
import { OneShard } from '../publish/tables.ts';

const BYTES = 'tempo_usage_tracker_bytes_received_total';

const hasText = (vector: Vector): boolean =>
  vector.expected_text !== undefined &&
  vector.expected_text_status === 200 &&
  deviationOf(vector, refusals(vector).length > 0) === null &&
  vector.expected_series.every(({ tenant, bytes_signed }) => tenant === undefined && bytes_signed === undefined);

/** The text of the bytes family: its head, then its lines, which the service writes in no order. */
const familyOf = (text: string): string => {
  const lines = text.split('\n').filter((line) => line.startsWith(BYTES) || line.split(' ')[2] === BYTES);
  return [...lines.slice(0, 2), ...lines.slice(2).sort()].join('\n');
};

test('the family of bytes is written as the real endpoint writes it', async () => {
  const failures: string[] = [];
  const vectors = readVectors().filter(hasText);
  for (const vector of vectors) {
    const { series } = await runVector(vector, 'tempo');
    const one = await new OneShard(vector.tenant, 1_000_000, series[0]?.labels.map(([name]) => name) ?? []).begin();
    const rows = series.map(({ labels, bytes, spans }) => [labels as Labels, bytes, spans] as const);
    if (rows.length > 0) await one.add(vector.tenant, rows);
    await one.show();
    const options = { prefix: 'tempo_usage_tracker', settings: one.settings, created: false, numbers: 'go' } as const;
    const text = expositionText(one.snapshot(), { ...options, format: 'text' });
    if (familyOf(text) !== familyOf(vector.expected_text)) failures.push(vector.name);
  }
  expect(failures).toEqual([]);
  expect(vectors.length).toBeGreaterThan(300);
});

test('the content type is the one of the text format', () => {
  expect(CONTENT_TYPES.text).toBe('text/plain; version=0.0.4; charset=utf-8');
});

test.each([
  [0, '0'],
  [999_999, '999999'],
  [1_000_000, '1e+06'],
  [1_230_000, '1.23e+06'],
  [1_234_567, '1.234567e+06'],
  [20_000_000_000, '2e+10'],
  [2 ** 53 - 1, '9.007199254740991e+15'],
])('%d is %s in Go', (value, text) => {
  expect(goNumber(value)).toBe(text);
});

test('a number in the form of Go is the same number', () => {
  fc.assert(fc.property(fc.maxSafeNat(), (value) => expect(Number(goNumber(value))).toBe(value)));
});
