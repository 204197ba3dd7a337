import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseDimensions, sanitizeLabelName } from '../../../src/attribution/dimensions.ts';

const refuse = (...entries: [string, string][]): string[] =>
  parseDimensions(entries, { sharedLabels: 'refuse' }).problems.map((problem) => problem.text);

test.each([
  ['service.name', '', 'any', 'service.name', 'service_name'],
  ['service.name', 'service', 'any', 'service.name', 'service'],
  ['resource.service.name', '', 'resource', 'service.name', 'service_name'],
  ['span.attr', '', 'span', 'attr', 'attr'],
  ['span.span.attr', '', 'span', 'span.attr', 'span_attr'],
  ['resource.span.attr', '', 'resource', 'span.attr', 'span_attr'],
  ['Resource.attr', '', 'any', 'Resource.attr', 'Resource_attr'],
  ['resource', '', 'any', 'resource', 'resource'],
  ['resource.', '', 'resource', '', '_'],
  ['', '', 'any', '', '_'],
  ['x', 'job', 'any', 'x', 'job'],
  ['x', 'le', 'any', 'x', 'le'],
])("'%s': '%s' is %s '%s' on label '%s'", (key, value, scope, attribute, label) => {
  expect(parseDimensions([[key, value]], { sharedLabels: 'refuse' })).toEqual({
    dimensions: [{ attribute, scope, label }],
    problems: [],
  });
});

test.each([
  ['', '_'],
  ['a.b-c', 'a_b_c'],
  ['1.a', '__a'],
  ['1label', '_label'],
  ['a1', 'a1'],
  ['\u{1f600}', '_'],
  ['\u{1f600}\u{1f600}\u{1f600}', '___'],
  ['a\u0301', 'a_'],
  ['\ud800', '_'],
  ['--test', '__test'],
  ['_ok_9', '_ok_9'],
])("label name '%s' becomes '%s'", (name, label) => {
  expect(sanitizeLabelName(name)).toBe(label);
});

test('a sanitised name is a label name of Prometheus, and stays what it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (name) => {
      const label = sanitizeLabelName(name);
      expect(label).toMatch(/^[A-Za-z_][A-Za-z0-9_]*$/);
      expect(sanitizeLabelName(label)).toBe(label);
      expect([...label].length).toBe(Math.max(1, [...name].length));
    }),
  );
});

describe('refused', () => {
  test("two on one label, in Tempo's words", () => {
    expect(refuse(['1.a', '1label'], ['2.a', '2label'])).toEqual([
      "cost_attribution.dimensions has duplicate label name: '_label', both '1.a' and '2.a' map to it",
    ]);
    expect(refuse(['a', ''], ['span.a', ''])).toHaveLength(1);
  });

  test("a name that Prometheus keeps for itself, in Tempo's words", () => {
    expect(refuse(['span.name', '__name__'])).toEqual([
      "cost_attribution.dimensions config has invalid label name: '__name__'",
    ]);
    expect(refuse(['1.a', '1_label'], ['b', '--test'], ['c', '\u{1f600}\u{1f600}'])).toHaveLength(3);
  });

  test('the labels that every series has', () => {
    expect(refuse(['x', 'tenant'], ['tracker', ''])).toEqual([
      expect.stringContaining("reserved label name: 'tenant'"),
      expect.stringContaining("reserved label name: 'tracker'"),
    ]);
  });

  test('all problems at once, with the entry and the path; no dimensions then', () => {
    const parsed = parseDimensions(
      [
        ['ok', ''],
        ['a', 'tenant'],
        ['b', '__b'],
      ],
      { sharedLabels: 'refuse', path: 'trackers.llm.dimensions' },
    );
    expect(parsed.dimensions).toEqual([]);
    expect(parsed.problems.map((problem) => problem.key)).toEqual(['a', 'b']);
    expect(parsed.problems[1]!.text).toBe("trackers.llm.dimensions config has invalid label name: '__b'");
  });
});

test('two on one label may be allowed, and keep their order', () => {
  const { dimensions, problems } = parseDimensions(
    [
      ['b', 'l'],
      ['a', 'l'],
    ],
    { sharedLabels: 'allow' },
  );
  expect(problems).toEqual([]);
  expect(dimensions.map((dimension) => dimension.attribute)).toEqual(['b', 'a']);
});
