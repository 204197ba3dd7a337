/** The shipped dashboards: sound JSON, expressions that Prometheus accepts, metrics that exist. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { DECLARED } from '../../src/telemetry/self-metrics.ts';
import { existingNames, metricNames } from '../support/promql-names.ts';
import { installPrometheus } from '../support/services/install-prometheus.ts';
import { run } from '../support/services/tools.ts';

type Position = { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
type Target = { readonly refId: string; readonly expr: string; readonly datasource: { readonly uid: string } };
type Panel = {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: Position;
  readonly targets?: readonly Target[];
};
type Variable = { readonly name: string; readonly type: string; readonly query: unknown };
type Dashboard = {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly templating: { readonly list: readonly Variable[] };
  readonly panels: readonly Panel[];
};

const DIRECTORY = join(import.meta.dirname, '../../helm/tracetally/files/dashboards');
const files = readdirSync(DIRECTORY);
const read = (file: string): Dashboard => JSON.parse(readFileSync(join(DIRECTORY, file), 'utf8')) as Dashboard;

/** The defaults of the variables; Grafana sets those that begin with two underscores. */
const VALUES: Readonly<Record<string, string>> = {
  prefix: 'tempo_usage_tracker',
  dimension: 'service',
  __range: '24h',
  __rate_interval: '5m',
};
const variablesIn = (text: string): string[] => [...text.matchAll(/\$\{?(\w+)\}?/g)].map(([, name]) => name!);
const withValues = (text: string): string => text.replace(/\$\{?(\w+)\}?/g, (_, name: string) => VALUES[name] ?? 'any');

const targetsOf = ({ panels }: Dashboard): readonly Target[] => panels.flatMap(({ targets }) => targets ?? []);
const queriesOf = ({ templating }: Dashboard): string[] =>
  templating.list.filter(({ type }) => type === 'query').map(({ query }) => (query as { query: string }).query);

const overlap = (a: Position, b: Position): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

test('there is a dashboard for those who pay and one for those who operate', () => {
  expect(files.sort()).toEqual(['operations.json', 'usage.json']);
  expect(new Set(files.map((file) => read(file).uid)).size).toBe(2);
});

describe.each(files)('%s', (file) => {
  const dashboard = read(file);
  const expressions = targetsOf(dashboard).map(({ expr }) => withValues(expr));

  test('is laid out: each panel has its own id and place, and says what it shows', () => {
    const { panels, schemaVersion, title } = dashboard;
    expect([typeof title, schemaVersion >= 36]).toEqual(['string', true]);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const [i, panel] of panels.entries()) {
      const { x, w } = panel.gridPos;
      expect([panel.title, x >= 0 && w > 0 && x + w <= 24]).toEqual([panel.title, true]);
      for (const other of panels.slice(i + 1))
        expect([panel.title, other.title, overlap(panel.gridPos, other.gridPos)]).toEqual([
          panel.title,
          other.title,
          false,
        ]);
      if (panel.type === 'row') continue;
      expect([panel.title, (panel.description ?? '').length > 10]).toEqual([panel.title, true]);
      expect(panel.targets?.length).toBeGreaterThan(0);
    }
  });

  test('asks the data source that one chooses, with variables that exist', () => {
    const known = new Set(['datasource', ...dashboard.templating.list.map(({ name }) => name), ...Object.keys(VALUES)]);
    for (const { datasource } of targetsOf(dashboard)) expect(datasource.uid).toBe('$' + '{datasource}');
    const text = JSON.stringify(dashboard.panels) + queriesOf(dashboard).join();
    expect(variablesIn(text).filter((name) => !known.has(name) && name !== '__all')).toEqual([]);
  });

  test('Prometheus accepts every expression', async () => {
    const { promtool } = await installPrometheus();
    const dir = mkdtempSync(join(tmpdir(), 'tracetally-dashboard-'));
    try {
      const rules = expressions.map((expr, i) => ({ record: `expression:${i}`, expr }));
      const path = join(dir, 'expressions.yaml');
      writeFileSync(path, stringify({ groups: [{ name: file, rules }] }));
      expect(await run(promtool, ['check', 'rules', path])).toContain(`SUCCESS: ${rules.length} rules found`);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }, 300_000);

  test('every metric that it names exists', async () => {
    const existing = await existingNames();
    const queried = queriesOf(dashboard).map((query) => withValues(query).match(/^label_values\(([\w:]+)/)![1]!);
    const named = [...expressions.flatMap(metricNames), ...queried];
    expect(named.filter((name) => !existing.has(name))).toEqual([]);
  });

  test('no bare instant value of a usage metric, which a hand-over takes away for a scrape or two', () => {
    for (const expr of expressions)
      for (const [, rest] of expr.matchAll(/tempo_usage_tracker_\w+(?:\{[^}]*\})?(.?)/g))
        expect([expr, rest]).toEqual([expr, '[']);
  });
});

test('every metric of the service is on the dashboard for operations', () => {
  const shown = targetsOf(read('operations.json'))
    .map(({ expr }) => expr)
    .join();
  expect(Object.values(DECLARED).filter(({ name }) => !shown.includes(name))).toEqual([]);
});
