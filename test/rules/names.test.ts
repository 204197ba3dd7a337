/** Alerts, runbooks and the code name the same things. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { DECLARED } from '../../src/telemetry/self-metrics.ts';
import { existingNames, metricNames } from '../support/promql-names.ts';
import { alerts, recordings, ruleFiles, ruleText, runbookUrl } from '../support/rules.ts';

const RUNBOOKS = readFileSync(join(import.meta.dirname, '../../docs/runbooks.md'), 'utf8');
const entries = new Map(
  RUNBOOKS.split(/^## /m)
    .slice(1)
    .map((text) => [text.slice(0, text.indexOf('\n')), text]),
);

test('alerts and entries of the runbooks match one to one', () => {
  expect([...entries.keys()].sort()).toEqual(
    alerts()
      .map(({ alert }) => alert)
      .sort(),
  );
});

test('every alert says how bad it is, what happened, and where its entry is', () => {
  for (const { alert, labels, annotations } of alerts()) {
    expect(['critical', 'warning', 'info']).toContain(labels.severity);
    expect(Object.keys(annotations).sort()).toEqual(['description', 'runbook_url', 'summary']);
    expect([alert, annotations.runbook_url]).toEqual([alert, runbookUrl(alert)]);
  }
});

test.each([...entries])('%s: meaning, impact, numbered steps', (_, text) => {
  expect(text).toMatch(/^.*\n\n\*\*Meaning\.\*\* .+\n\n\*\*Impact\.\*\* .+\n\n\*\*Steps\.\*\*\n1\. /s);
});

test('every metric in a rule exists', async () => {
  const existing = await existingNames();
  for (const rule of [...alerts(), ...recordings()]) {
    const names = metricNames(rule.expr);
    expect([rule.expr, names.length]).not.toEqual([rule.expr, 0]);
    expect([rule.expr, names.filter((name) => !existing.has(name))]).toEqual([rule.expr, []]);
  }
});

test('every metric in a runbook exists', async () => {
  const existing = await existingNames();
  const named = RUNBOOKS.match(/\b(?:tracetally|tempo_usage_tracker|nodejs|process)_[a-z0-9_]*[a-z0-9]\b/g) ?? [];
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => !existing.has(name))).toEqual([]);
});

test('every metric whose help asks for an alert has one', () => {
  const used = new Set(alerts().flatMap(({ expr }) => metricNames(expr)));
  const wanted = Object.values(DECLARED).filter(({ help }) => /alert/i.test(help));
  expect(wanted.length).toBeGreaterThan(4);
  expect(wanted.map(({ name }) => name).filter((name) => !used.has(name))).toEqual([]);
});

test('rules about usage read no bare instant value, which a hand-over takes away for a scrape or two', () => {
  for (const { expr } of [...alerts(), ...recordings()])
    for (const [, rest] of expr.matchAll(/tempo_usage_tracker_\w+(?:\{[^}]*\})?(.?)/g))
      expect([expr, rest]).toEqual([expr, '[']);
});

test('the rules of a dimension are those of another when the word is replaced', () => {
  const text = ruleText('dimension.yaml');
  const other = text.replace(/\bservice\b/g, 'team');
  expect(other).not.toMatch(/service/i);
  expect(other).toContain('tracetally-dimension-team');
  expect(ruleFiles().filter((file) => file !== 'dimension.yaml' && /\bservice="/.test(ruleText(file)))).toEqual([]);
});

test.each([
  ['sum by (a, b) (rate(x_total{c="d_e"}[5m])) / on (f) group_left () y:z > 1e9', ['x_total', 'y:z']],
  ['histogram_quantile(0.99, sum by (le) (rate(h_bucket[1h:5m] offset 1w)))', ['h_bucket']],
  ['max without (i) (m) and on (n) time() - o > bool 5 unless p', ['m', 'o', 'p']],
])('the names in %s', (promql, names) => {
  expect(metricNames(promql)).toEqual(names);
});
