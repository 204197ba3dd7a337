/** Clients choose attribute values and file content: nothing of it steers a terminal, forges a line or gets lost. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { runCli } from '../../../src/cli.ts';
import { createLogger } from '../../../src/telemetry/logger.ts';
import { harmless, inOneLine } from '../../../src/telemetry/visible.ts';
import { parseExposition } from '../../support/exposition.ts';
import { encodeRequest } from '../../support/otlp-encode.ts';
import { capture } from './capture.ts';

const HOSTILE = [
  '\u001b[31mred\u001b[0m',
  '\u001b]0;a title\u0007',
  '\u001b[2J\u001b[1;1H',
  '\u009b31m',
  'first\r\nsecond   0   0',
  'web\u202egnp.exe',
  '\u2066hidden\u2069',
  'a\u2028b\u2029c',
  'zero\u200bwidth\ufeff',
  '\u{e0041}\u{e007f}',
  '\b\b\b\b',
  '"} 1\nforged_total{a="b"} 99',
  '\\"\\n\\',
  '# EOF',
  '${TRACETALLY_REDIS_PASSWORD}',
  '<script>alert(1)</script>',
  '__proto__',
  'tab\there',
];

/** What no terminal may be given; \t and \n are ours. */
const STEERS = /[^\P{C}\n\t]|[\u2028\u2029]/u;

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tracetally-hostile-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const fileOf = (value: string): string => {
  const path = join(dir, 'record');
  const spans = [{ name: `span ${value}`, attributes: [['span.kind', value]] as const }];
  const resource = { attributes: [['service.name', value]] as const };
  writeFileSync(path, encodeRequest({ resourceSpans: [{ resource, scopeSpans: [{ spans }] }] }, 'ascending'));
  return path;
};

const run = async (isTerminal: boolean, ...argv: string[]) => {
  const captured = capture();
  const code = await runCli(argv, { ...captured.io, isTerminal });
  return { code, out: captured.out(), err: captured.err() };
};

describe.each(HOSTILE.map((value) => [JSON.stringify(value), value] as const))('the value %s', (_, value) => {
  const common = ['--dimension', 'service.name=service'];

  test('is exact where a program reads it', async () => {
    const path = fileOf(value);
    const json = JSON.parse((await run(false, 'replay', '--output', 'json', ...common, path)).out);
    expect(json.series.map(({ labels }: { labels: object }) => labels)).toEqual([{ service: value }]);
    const samples = parseExposition((await run(false, 'replay', '--output', 'prometheus', ...common, path)).out);
    expect(samples.map(({ name }) => name)).toEqual([
      'tempo_usage_tracker_bytes_received_total',
      'tempo_usage_tracker_spans_received_total',
    ]);
    for (const { labels } of samples) expect(labels.service).toBe(value);
    const explained = JSON.parse((await run(false, 'explain', '--output', 'json', ...common, path)).out);
    expect(explained.regions[0].spans[0].series).toEqual({ service: value });
  });

  test('steers no terminal, and forges no row', async () => {
    const path = fileOf(value);
    for (const argv of [
      ['replay', '--output', 'table', ...common, path],
      ['replay', '--output', 'prometheus', ...common, path],
      ['replay', '--output', 'json', ...common, path],
      ['explain', ...common, path],
      ['explain', '--output', 'json', ...common, path],
      ['replay', '--tenant', value, ...common, join(dir, `no such ${value}`)],
      ['explain', '--framing', value, path],
      [value],
    ]) {
      const { out, err } = await run(true, ...argv);
      expect(out).not.toMatch(STEERS);
      expect(err).not.toMatch(STEERS);
    }
    const table = (await run(false, 'replay', '--output', 'table', ...common, path)).out;
    expect(table).not.toMatch(STEERS);
    expect(table.slice(0, table.indexOf('\n\n')).split('\n')).toHaveLength(2);
    const json = (await run(true, 'replay', '--output', 'json', ...common, path)).out;
    expect(JSON.parse(json).series[0].labels.service).toBe(value);
  });

  test.each(['json', 'logfmt', 'pretty'] as const)('is one line of the log as %s', (format) => {
    const lines: string[] = [];
    const logger = createLogger({ level: 'info', format, write: (line) => void lines.push(line) });
    logger.info({ tenant: value, [`key ${value}`]: [value], error: new Error(value) }, 'record_discarded');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^[^\n]*\n$/);
    expect(lines[0]).not.toMatch(STEERS);
    if (format === 'json') expect(JSON.parse(lines[0]!).tenant).toBe(value);
  });
});

test('whatever is spelled out can be read again, and what can be seen stays', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 50 }), (text) => {
      const shown = harmless(text);
      expect(shown).not.toMatch(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069]/u);
      expect(JSON.parse(harmless(JSON.stringify(text)))).toBe(text);
      expect(inOneLine(text)).not.toMatch(/\n/);
      expect(harmless(shown)).toBe(shown);
    }),
  );
  expect(harmless('naïve 漢字 🎉 \t\n')).toBe('naïve 漢字 🎉 \t\n');
});
