/** Files of overrides as Tempo's documentation has them: they load as they are, and give what it says they give. */
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { tallyOf } from '../../../src/attribution/accounting.ts';
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { tenantSettings } from '../../../src/overrides/settings.ts';
import { OverridesFile } from '../../../src/overrides/source.ts';
import { encodeRequest, type OtlpAttributes } from '../../support/otlp-encode.ts';

const FIXTURES = join(import.meta.dirname, '../../fixtures/tempo/overrides');

const configOf = (file: string, more = ''): Config => {
  const yaml = `overrides:\n  per_tenant_override_config: ${join(FIXTURES, file)}\n${more}`;
  const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};
const settingsOf = (file: string, more = '') => {
  const config = configOf(file, more);
  const overrides = new OverridesFile(config);
  expect(overrides.look().problems).toEqual([]);
  return tenantSettings(config, overrides.current);
};

/** The labels that a span gets, by the accounting of Tempo. */
const labelsOf = (
  settings: ReturnType<typeof settingsOf>,
  tenant: string,
  resource: OtlpAttributes,
  span: OtlpAttributes,
): Record<string, string> => {
  const table = new SeriesTable({ settings, maxLabelValueLength: 2048, precedence: 'level' });
  const tally = tallyOf('tempo');
  const record = encodeRequest(
    { resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ spans: [{ attributes: span }] }] }] },
    'ascending',
  );
  expect(tally.attribute(record, table, table.plan(tenant))).toBeNull();
  expect(tally.rows).toBe(1);
  return Object.fromEntries(decodeSeriesKey(table.keyOf(tally.slots[0]!)));
};

describe('the scope of a dimension', () => {
  const settings = settingsOf('nested.yaml');
  const both: [OtlpAttributes, OtlpAttributes] = [
    [
      ['service.name', 'api'],
      ['db.system', 'of the resource'],
      ['k8s.namespace.name', 'one'],
    ],
    [
      ['service.name', 'worker'],
      ['db.system', 'postgresql'],
      ['k8s.namespace.name', 'two'],
    ],
  ];

  test('resource. looks at the resource alone, span. at the span alone, and without a scope the span overwrites', () => {
    expect(labelsOf(settings, 'team-a', ...both)).toEqual({ service: 'api', database: 'postgresql', namespace: 'two' });
    expect(labelsOf(settings, 'team-a', both[0], [])).toEqual({
      service: 'api',
      database: '__missing__',
      namespace: 'one',
    });
    expect(labelsOf(settings, 'team-a', [], both[1])).toEqual({
      service: '__missing__',
      database: 'postgresql',
      namespace: 'two',
    });
  });

  test('a label takes the name that is given, sanitised, or that of the attribute', () => {
    expect(labelsOf(settings, 'labels', ...both)).toEqual({ database_type: 'postgresql', k8s_pod_name: '__missing__' });
  });
});

describe('which entry is in force', () => {
  const of = (file: string, tenant: string, more?: string) =>
    settingsOf(
      file,
      more,
    )(tenant).trackers.map(({ dimensions, limit }) => [dimensions.map(({ label }) => label), limit]);
  const DEFAULTS = '  defaults: { cost_attribution: { dimensions: { team: "" }, max_cardinality: 5 } }\n';

  test('its own, else the wildcard, as whole blocks; never the defaults beside an entry', () => {
    expect(of('nested.yaml', 'team-a', DEFAULTS)).toEqual([[['service', 'database', 'namespace'], 10_000]]);
    expect(of('nested.yaml', 'team-b', DEFAULTS)).toEqual([[[], 10_000]]);
    expect(of('nested.yaml', 'somebody', DEFAULTS)).toEqual([[['service_name'], 10_000]]);
    expect(of('flat.yaml', 'single-tenant', DEFAULTS)).toEqual([[['service_name'], 10_000]]);
    expect(of('flat.yaml', 'somebody', DEFAULTS)).toEqual([[[], 10_000]]);
  });

  test('field by field, what the defaults say is not lost', () => {
    const fields = `  merge: fields\n${DEFAULTS}`;
    expect(of('nested.yaml', 'team-b', fields)).toEqual([[['service_name'], 5]]);
    expect(of('flat.yaml', 'somebody', fields)).toEqual([[['team'], 5]]);
  });
});

test('dimensions of the defaults that share a label are combined, the last one that has a value wins', () => {
  const dimensions = '{ service.name: "", resource.app: service_name, span.db.system: database.type }';
  const loaded = loadConfig({
    file: 'c',
    env: {},
    read: () => `overrides: { defaults: { cost_attribution: { dimensions: ${dimensions} } } }`,
  });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const settings = tenantSettings(loaded.config);
  expect(labelsOf(settings, 't', [['service.name', 'a']], [])).toEqual({
    service_name: 'a',
    database_type: '__missing__',
  });
  expect(
    labelsOf(
      settings,
      't',
      [
        ['service.name', 'a'],
        ['app', 'b'],
      ],
      [['db.system', 'c']],
    ),
  ).toEqual({ service_name: 'b', database_type: 'c' });
});
