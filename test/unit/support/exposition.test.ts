import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseExposition } from '../../support/exposition.ts';

const escaped = (value: string) => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

test('label values come back as they were, whatever they hold', () => {
  const labels = fc.dictionary(fc.stringMatching(/^[a-zA-Z_][a-zA-Z0-9_]{0,8}$/), fc.string({ unit: 'binary' }), {
    maxKeys: 4,
  });
  fc.assert(
    fc.property(labels, fc.nat(), (dictionary, value) => {
      const pairs = Object.entries(dictionary).map(([name, text]) => `${name}="${escaped(text)}"`);
      const [sample] = parseExposition(`# TYPE a counter\na{${pairs.join(',')}} ${value}\n`);
      expect({ ...sample!.labels }).toEqual({ ...dictionary });
      expect(sample!.value).toBe(value);
    }),
  );
});

test('a line that is none and a series that comes twice are refused', () => {
  expect(() => parseExposition('a{b="c} 1\n')).toThrow('not a line');
  expect(() => parseExposition('a{b="c"}\n')).toThrow('not a line');
  expect(() => parseExposition('a{b="c",d="e"} 1\na{d="e",b="c"} 2\n')).toThrow('shown twice');
});
