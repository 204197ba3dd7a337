import { describe, expect, test } from '@jest/globals';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { tenantSettings } from '../../../src/overrides/settings.ts';
import { usageProblems } from '../../../src/overrides/static.ts';

const config = (yaml: string): Config => {
  const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};

const dimensions = (map: string) => `overrides: { defaults: { cost_attribution: { dimensions: ${map} } } }`;

describe('settings of a tenant', () => {
  test('by default: the service of the resource, ten thousand series, a quarter of an hour', () => {
    expect(tenantSettings(config(''))('anyone')).toEqual({
      trackers: [
        {
          name: 'cost-attribution',
          dimensions: [{ attribute: 'service.name', scope: 'resource', label: 'service' }],
          limit: 10_000,
          staleS: 900,
        },
      ],
    });
  });

  test.each([
    ["the tracker's where the overrides have 0", 7, 0, 7],
    ['of the overrides where they have one', 7, 3, 3],
    ['of nothing where both have 0', 0, 0, 0],
  ])('have the limit %s', (_, tracker, override, limit) => {
    const settings = tenantSettings(
      config(`usage: { cost_attribution: { max_cardinality: ${tracker} } }
overrides: { defaults: { cost_attribution: { max_cardinality: ${override} } } }`),
    );
    expect(settings('t').trackers[0]!.limit).toBe(limit);
  });

  test('have no tracker where it is switched off', () => {
    expect(tenantSettings(config('usage: { cost_attribution: { enabled: false } }'))('t').trackers).toEqual([]);
  });

  test('keep the dimensions in the order of the file, also two on one label', () => {
    const settings = tenantSettings(config(dimensions('{ resource.b: x, a: x, "10": }')));
    expect(settings('t').trackers[0]!.dimensions.map(({ attribute, label }) => [attribute, label])).toEqual([
      ['b', 'x'],
      ['a', 'x'],
      ['10', '_0'],
    ]);
  });
});

describe('problems of tenants and dimensions', () => {
  test.each([
    ['a reserved label', dimensions('{ a: tenant }'), `overrides.defaults.cost_attribution.dimensions: "a": `],
    ['a label of Prometheus', dimensions('{ a: __a }'), `overrides.defaults.cost_attribution.dimensions: "a": `],
    ['a tenant that is none', 'tenants: { default: a/b }', "tenants.default: tenant ID 'a/b' contains unsupported"],
  ])('%s', (_, yaml, expected) => {
    const problems = usageProblems(config(yaml));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(expected);
  });

  test('none by default, and none for no default tenant', () => {
    expect(usageProblems(config(''))).toEqual([]);
    expect(usageProblems(config('tenants: { default: "" }'))).toEqual([]);
  });
});
