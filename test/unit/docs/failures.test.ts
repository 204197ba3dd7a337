/** docs/failures.md names metrics and log lines of the code, and no metric of trouble is left out. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { families } from '../../../src/publish/families.ts';
import { DECLARED } from '../../../src/telemetry/self-metrics.ts';

const root = join(import.meta.dirname, '../../..');
const SOURCES = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(join(root, 'src', file), 'utf8'))
  .join('\n');

const rows = readFileSync(join(root, 'docs/failures.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| ---') && !line.startsWith('| failure'))
  .map((line) => line.split('|').slice(1, -1))
  .map((cells) => cells.map((cell) => cell.trim()));
const quoted = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
const metricsNamed = rows.flatMap(([, metric]) => quoted(metric!)).map((text) => text.replace(/\{.*$/, ''));

/** They tell how much there was, or who is there; what can be wrong with that is told by others. */
const NO_TROUBLE: readonly string[] = [
  'recordsConsumed',
  'bytesConsumed',
  'spansCounted',
  'kafkaCommits',
  'ledgerCommits',
  'ledgerSeriesCommitted',
  'ledgerKeysNeeded',
  'pendingSeries',
  'purgedSeries',
  'forgottenTenants',
  'overridesReloads',
  'overridesInfo',
  'userOverrides',
];

test('every row has a failure, metrics, log lines and an alert', () => {
  expect(rows.length).toBeGreaterThan(30);
  for (const row of rows) expect(row).toHaveLength(4);
  const rules = join(root, 'helm/tracetally/files/rules');
  const shipped = new Set(
    readdirSync(rules).flatMap((file) =>
      [...readFileSync(join(rules, file), 'utf8').matchAll(/- alert: (\w+)/g)].map(([, name]) => name!),
    ),
  );
  for (const [, , , alert] of rows) expect(alert).toMatch(/^(?:`Tracetally|no alert)/);
  const named = rows.flatMap(([, , , alert]) => quoted(alert!)).filter((name) => name.startsWith('Tracetally'));
  expect(named.filter((name) => !shipped.has(name))).toEqual([]);
});

test('every metric that it names exists, with its label values', () => {
  const usage = families('tempo_usage_tracker', { measures: () => ['bytes'] } as never, []).map((family) =>
    family.kind === 'series' || family.type === 'counter' ? `${family.name}_total` : family.name,
  );
  const known = new Set([
    ...Object.values(DECLARED).map(({ name }) => name as string),
    ...usage,
    'up',
    'process_start_time_seconds',
  ]);
  expect(metricsNamed.filter((name) => !known.has(name))).toEqual([]);
  const troubles = rows.flatMap(([, metric]) => [...metric!.matchAll(/trouble="(\w+)"/g)].map(([, value]) => value!));
  expect(troubles.toSorted()).toEqual(DECLARED.sourceTroubles.values.toSorted());
});

test('every metric of trouble is in it', () => {
  const named = new Set(metricsNamed);
  const missing = Object.entries(DECLARED).filter(([key, { name }]) => !NO_TROUBLE.includes(key) && !named.has(name));
  expect(missing.map(([, { name }]) => name)).toEqual([]);
});

test('every log line that it names is written somewhere', () => {
  const named = rows.flatMap(([, , log]) => quoted(log!));
  expect(named.filter((line) => !SOURCES.includes(`'${line}`))).toEqual([]);
});
