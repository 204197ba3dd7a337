/** What the real tracker answered, and what we do. A failure names the vectors. */
import { describe, expect, test } from '@jest/globals';
import type { CountedSeries } from '../../../src/commands/replay-run.ts';
import { inTemposOrder, seriesAsText } from '../../../src/commands/series-text.ts';
import { type Deviation, deviationOf, REFUSED_BY_EXACT } from '../../support/tempo-deviations.ts';
import {
  type Outcome,
  readVectors,
  refusals,
  runVector,
  TRACKER,
  type Vector,
  type VectorSeries,
} from '../../support/tempo-vectors.ts';

const VECTORS = readVectors();
const TEXT = { prefix: 'tempo_usage_tracker', measures: ['bytes'], numbers: 'go' } as const;

type Rows = readonly (readonly [labels: string, bytes: number])[];

const rowOf = (tenant: string, pairs: readonly (readonly [string, string])[], bytes: number): Rows[number] => [
  JSON.stringify([tenant, pairs.toSorted(([a], [b]) => (a < b ? -1 : 1))]),
  bytes,
];

const sorted = (rows: Rows): string => JSON.stringify(rows.toSorted());

const ours = (series: readonly CountedSeries[]): Rows =>
  series.map(({ tenant, labels, bytes }) => rowOf(tenant, labels, bytes));

/** A series that Tempo shows at 2^64 less than nothing is one of 0 bytes here. */
const bytesOf = ({ bytes, bytes_signed }: VectorSeries): number => Math.max(0, bytes_signed ?? Number(bytes));

const theirs = (vector: Vector, series: readonly VectorSeries[]): Rows =>
  series.map((one) => rowOf(one.tenant ?? vector.tenant, Object.entries(one.labels), bytesOf(one)));

const answersOf = (vector: Vector): readonly Rows[] =>
  (vector.expected_series_set ?? [vector.expected_series]).map((set) => theirs(vector, set));

const shown = (vector: Vector, outcome: Outcome): Rows => {
  const names = [...new Set(outcome.series.flatMap(({ labels }) => labels.map(([name]) => name)))].sort();
  const hidden = (vector.expected_dropped ?? []).map(({ label_values_b64, bytes }) => {
    const values = label_values_b64.map((text) => Buffer.from(text, 'base64').toString('utf8'));
    return rowOf(
      vector.tenant,
      values.map((value, i) => [names[i]!, value] as const),
      bytes,
    );
  });
  return [...theirs(vector, vector.expected_series), ...hidden];
};

const total = (rows: Rows): number => rows.reduce((sum, [, bytes]) => sum + bytes, 0);
const valuesAlone = (rows: readonly (readonly [readonly string[], number])[]): string =>
  JSON.stringify(rows.toSorted());

/** What still holds where we deviate. */
const STILL: Readonly<Record<Deviation, (vector: Vector, outcome: Outcome) => boolean>> = {
  'refused-at-load': (vector) => refusals(vector).length > 0 && vector.expected_series.length === 0,
  'invalid-utf8': (vector, outcome) => sorted(ours(outcome.series)) === sorted(shown(vector, outcome)),
  'hash-collision': (vector, outcome) =>
    total(ours(outcome.series)) === vector.expected_dropped!.reduce((sum, { bytes }) => sum + bytes, 0),
  'renamed-labels': (vector, outcome) =>
    valuesAlone(outcome.series.map(({ labels, bytes }) => [labels.map(([, value]) => value), bytes])) ===
    valuesAlone(
      vector.expected_series.map((one) => [
        (one.label_pairs ?? Object.entries(one.labels)).map(([, value]) => value),
        bytesOf(one),
      ]),
    ),
  'overflow-place': (vector, outcome) => {
    const found = new Map(ours(outcome.series));
    const wanted = answersOf(vector)[0]!;
    const named = wanted.filter(([labels]) => !labels.includes('__overflow__'));
    return total([...found]) === total(wanted) && named.every(([labels, bytes]) => found.get(labels) === bytes);
  },
  // What was observed last is there, whatever became of the rest.
  stale: (_, outcome) => outcome.series.length > 0 && outcome.series.every(({ bytes }) => bytes > 0),
};

const problemOf = (vector: Vector, outcome: Outcome): string | null => {
  for (const [batch, { error }] of vector.batches.entries()) {
    if (outcome.refused.has(batch) !== (error !== undefined)) return `batch ${batch}: ${error ?? 'is refused'}`;
  }
  const deviation = deviationOf(vector, refusals(vector).length > 0);
  if (deviation !== null) return STILL[deviation](vector, outcome) ? null : `deviates otherwise than by ${deviation}`;
  const got = sorted(ours(outcome.series));
  const answers = answersOf(vector).map(sorted);
  return answers.includes(got) ? null : `${got} is none of ${answers.join(' or ')}`;
};

const failuresOf = async (check: (vector: Vector) => Promise<string | null>): Promise<readonly string[]> => {
  const failures: string[] = [];
  for (const vector of VECTORS) {
    const problem = await check(vector);
    if (problem !== null) failures.push(`${vector.name}: ${problem.slice(0, 2_000)}`);
  }
  return failures;
};

describe('over the vectors of the real tracker', () => {
  test('tempo has the same series and bytes', async () => {
    expect(VECTORS).toHaveLength(435);
    expect(await failuresOf(async (vector) => problemOf(vector, await runVector(vector, 'tempo')))).toEqual([]);
  });

  test('tempo notes each share that it clamps, and there are only those of the defect', async () => {
    const failures = await failuresOf(async (vector) => {
      const { clamped } = await runVector(vector, 'tempo');
      const negative = vector.expected_series.filter(({ bytes_signed }) => bytes_signed !== undefined).length;
      if (clamped > 0 !== negative > 0) return `${clamped} clamped, ${negative} negative`;
      return negative > 0 && vector.tags?.includes('bug:negative') !== true ? 'is not marked' : null;
    });
    expect(failures).toEqual([]);
  });

  test('exact sums to the bytes on the wire', async () => {
    const failures = await failuresOf(async (vector) => {
      const { series, acceptedBytes, refused } = await runVector({ ...vector, steps: undefined! }, 'exact');
      const sum = series.reduce((bytes, one) => bytes + one.bytes, 0);
      if (sum !== acceptedBytes) return `${sum} of ${acceptedBytes} bytes`;
      const taken = vector.batches.filter(({ counted }, batch) => counted && refused.has(batch));
      if (taken.length > 0 && !REFUSED_BY_EXACT.includes(vector.name)) return 'Tempo takes it, exact does not';
      const wire = vector.batches.reduce((bytes, one, batch) => bytes + (refused.has(batch) ? 0 : one.wire_bytes), 0);
      return wire === sum ? null : `${sum} bytes of ${wire} on the wire`;
    });
    expect(failures).toEqual([]);
  });

  test("the text is Tempo's, byte for byte", async () => {
    let compared = 0;
    const failures = await failuresOf(async (vector) => {
      if (vector.expected_text === undefined || vector.expected_text_status !== 200) return null;
      const deviation = deviationOf(vector, refusals(vector).length > 0);
      if (deviation !== null && deviation !== 'invalid-utf8') return null;
      const { series } = await runVector(vector, 'tempo');
      const isVisible = ({ labels }: CountedSeries) =>
        deviation === null || labels.every(([, value]) => !value.includes('\ufffd'));
      const text = seriesAsText(series.filter(isVisible), TEXT);
      const wanted = vector.expected_text.replaceAll(/ 1\.84467440737095\d*e\+19$/gm, ' 0');
      compared++;
      return text === wanted ? null : `${text}\nis not\n${wanted}`;
    });
    expect(failures).toEqual([]);
    expect(compared).toBeGreaterThan(330);
  });
});

test("Tempo's order: fewer labels first, then values by their bytes", () => {
  const series = (labels: Record<string, string>): CountedSeries => ({
    tenant: 't',
    tracker: TRACKER,
    labels: Object.entries(labels),
    bytes: 1,
    spans: 1,
  });
  const all = [
    series({ a: '\u{1f600}', b: 'x' }),
    series({ a: '\uffee', b: 'x' }),
    series({ z: 'z' }),
    series({ a: 'a b', b: '' }),
    series({ a: 'a', b: 'y' }),
  ];
  expect(inTemposOrder(all).map(({ labels }) => labels[0]![1])).toEqual(['z', 'a', 'a b', '\uffee', '\u{1f600}']);
});
