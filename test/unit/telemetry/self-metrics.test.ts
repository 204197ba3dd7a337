import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createSelfMetrics, DECLARED } from '../../../src/telemetry/self-metrics.ts';
import { waitUntil } from '../../support/wait-for.ts';

const src = join(import.meta.dirname, '../../../src');
const SOURCES = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && !file.startsWith('telemetry'))
  .map((file) => readFileSync(join(src, file), 'utf8'))
  .join('\n');

const metrics = () => createSelfMetrics({ processMetrics: false });
const sampleOf = (text: string, series: string): string | undefined =>
  text
    .split('\n')
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1);

describe('the names', () => {
  const all = Object.entries(DECLARED);

  test('are ours, lower case, none twice', () => {
    for (const [, { name }] of all) expect(name).toMatch(/^tracetally_[a-z]+(?:_[a-z]+)*$/);
    expect(new Set(all.map(([, { name }]) => name)).size).toBe(all.length);
  });

  test.each(all)('%s ends as its type and unit ask, and has a sentence', (_, { name, type, help }) => {
    expect(name.endsWith('_total')).toBe(type === 'counter' || type === 'counter-by');
    expect(name.endsWith('_info')).toBe(type === 'info');
    if (type === 'histogram') expect(name).toMatch(/_(?:seconds|bytes)$/);
    expect(name).not.toMatch(/_(?:ms|millis|milliseconds|kb|mb|minutes)(?:_|$)/);
    expect(help).toMatch(/^[A-Z0-9].*\.$/);
  });
});

/** Self-metrics that nobody moves would promise what is not there. */
test.each(Object.keys(DECLARED))('somebody tells of %s', (key) => {
  expect(SOURCES).toMatch(new RegExp(`metrics\\.${key}\\.`));
});

describe('the exposition', () => {
  test('has every counter, gauge and histogram at 0 from the start', async () => {
    const text = await metrics().text();
    for (const declared of Object.values(DECLARED)) {
      expect(text).toContain(`# HELP ${declared.name} `);
      const series =
        declared.type === 'counter' || declared.type === 'gauge'
          ? [declared.name]
          : declared.type === 'counter-by' || declared.type === 'gauge-by'
            ? declared.values.map((value) => `${declared.name}{${declared.label}="${value}"}`)
            : declared.type === 'histogram'
              ? [`${declared.name}_count`, `${declared.name}_bucket{le="+Inf"}`]
              : [];
      for (const one of series) expect([one, sampleOf(text, one)]).toEqual([one, '0']);
    }
  });

  test('counts', async () => {
    const own = metrics();
    own.recordsConsumed.add();
    own.recordsConsumed.add(4);
    own.recordsDiscarded.add('null_value', 2);
    own.ledgerUp.set(1);
    own.ledgerCommitSeconds.observe(0.02);
    const text = await own.text();
    expect(sampleOf(text, 'tracetally_records_consumed_total')).toBe('5');
    expect(sampleOf(text, 'tracetally_records_discarded_total{reason="null_value"}')).toBe('2');
    expect(sampleOf(text, 'tracetally_ledger_up')).toBe('1');
    expect(sampleOf(text, 'tracetally_ledger_commit_seconds_count')).toBe('1');
  });

  test.each([Number.NaN, -1, 0, Number.POSITIVE_INFINITY])('a counter is not spoilt by %p', async (amount) => {
    const own = metrics();
    own.gapRecords.add(amount);
    own.bytesDiscarded.add('not_otlp', amount);
    expect(sampleOf(await own.text(), 'tracetally_gap_records_total')).toBe('0');
    expect(sampleOf(await own.text(), 'tracetally_bytes_discarded_total{reason="not_otlp"}')).toBe('0');
  });

  test('a counter follows a total that somebody else keeps, upwards only', async () => {
    const own = metrics();
    for (const total of [3, 3, 2, 7]) own.purgedSeries.reach(total);
    expect(sampleOf(await own.text(), 'tracetally_purged_series_total')).toBe('7');
  });

  test('a partition that left is removed, not zeroed', async () => {
    const own = metrics();
    own.lagRecords.set('t', 0, 5);
    own.lagRecords.set('t', 1, 6);
    own.lagRecords.remove('t', 0);
    const text = await own.text();
    expect(text).not.toContain('partition="0"');
    expect(sampleOf(text, 'tracetally_lag_records{topic="t",partition="1"}')).toBe('6');
  });

  test('information replaces what was said before', async () => {
    const own = metrics();
    own.configInfo.set({ sha256: 'a' });
    own.configInfo.set({ sha256: 'b' });
    const text = await own.text();
    expect(sampleOf(text, 'tracetally_config_info{sha256="b"}')).toBe('1');
    expect(text).not.toContain('sha256="a"');
  });

  test('asks its listeners first', async () => {
    const own = metrics();
    own.onScrape(() => own.pendingBytes.set(9));
    expect(sampleOf(await own.text(), 'tracetally_pending_bytes')).toBe('9');
  });

  test('includes the process where it is wanted', async () => {
    const text = await createSelfMetrics({ processMetrics: true }).text();
    expect(text).toContain('process_resident_memory_bytes');
    expect(text).toContain('nodejs_eventloop_lag_seconds');
  });

  test('tells how late the event loop was since the last exposition, under the names that prom-client has for it', async () => {
    const own = createSelfMetrics({ processMetrics: true });
    const lags = async () =>
      [...(await own.text()).matchAll(/^nodejs_eventloop_lag_(\w+) (\S+)$/gm)].map(([, name, value]) => [
        name!,
        Number(value),
      ]) as [string, number][];
    expect(Object.fromEntries(await lags())).toMatchObject({ max_seconds: 0, mean_seconds: 0, p99_seconds: 0 });
    // The first look after an exposition only begins to measure.
    const busyBetweenLooks = async () => {
      await sleep(150);
      const sinceMs = performance.now();
      while (performance.now() - sinceMs < 300);
      await sleep(150);
      return Object.fromEntries(await lags()).max_seconds! > 0.2;
    };
    await waitUntil(busyBetweenLooks, { timeoutMs: 20_000, what: 'the lag of the busy wait' });
    const theirs = new Registry();
    collectDefaultMetrics({ register: theirs, eventLoopMonitoringPrecision: 1e9 });
    const names = theirs.getMetricsAsArray().map(({ name }) => name);
    expect((await lags()).map(([name]) => `nodejs_eventloop_lag_${name}`).sort()).toEqual(
      names.filter((name) => name.startsWith('nodejs_eventloop_lag_')).sort(),
    );
  });
});
