/** Tempo's file of overrides: what it gives to a tenant, what is refused, and how a change of it is taken. */
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { readOverrides } from '../../../src/overrides/file.ts';
import { sourceOf, tenantSettings } from '../../../src/overrides/settings.ts';
import { OverridesFile } from '../../../src/overrides/source.ts';

const config = (yaml: string): Config => {
  const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};
const overrides = (yaml: string) => {
  const read = readOverrides(yaml);
  if ('problems' in read) throw new Error(read.problems.join('\n'));
  return read;
};
const problemsOf = (yaml: string): readonly string[] => {
  const read = readOverrides(yaml);
  return 'problems' in read ? read.problems : [];
};
/** Labels, limit and seconds until stale. */
const inForce = (configYaml: string, yaml: string, tenant: string) => {
  const [tracker] = tenantSettings(config(configYaml), overrides(yaml))(tenant).trackers;
  return tracker === undefined ? null : [tracker.dimensions.map(({ label }) => label), tracker.limit, tracker.staleS];
};

const CONFIG = `
usage: { cost_attribution: { max_cardinality: 5000 } }
overrides:
  MERGE
  defaults: { cost_attribution: { dimensions: { resource.service.name: service }, max_cardinality: 700 } }
`;
const BLOCK = CONFIG.replace('MERGE', '');
const FIELDS = CONFIG.replace('MERGE', 'merge: fields');

/** In the forms that Tempo's documentation shows: other settings beside ours, an older flat form, a wildcard. */
const TEMPO = `
overrides:
  "team-a":
    ingestion:
      burst_size_bytes: 20000000
      max_traces_per_user: 1000000
      tenant_shard_size: 2
    read: { max_bytes_per_tag_values_query: 10000000 }
    cost_attribution:
      max_cardinality: 20
      dimensions: { resource.team: "", span.http.route: route }
  flat:
    ingestion_rate_strategy: local
    ingestion_burst_size_bytes: 20000000
    metrics_generator_processors: [service-graphs]
    cost_attribution: { dimensions: { team: flat_team } }
  limits_only: { ingestion: { rate_limit_bytes: 1 } }
  limit: { cost_attribution: { max_cardinality: 9, stale_duration: 1h } }
  nothing: null
  none: { cost_attribution: { dimensions: {} } }
  404: { cost_attribution: { dimensions: { a: numeric } } }
`;
const WITH_ANY = `${TEMPO}  "*": { cost_attribution: { dimensions: { any: "" }, max_cardinality: 33 } }\n`;

describe('what is in force', () => {
  test.each([
    ['its own entry', 'team-a', [['team', 'route'], 20, 900]],
    ["the tracker's limit where the entry has none, not the defaults'", 'flat', [['flat_team'], 5000, 900]],
    ['no dimensions where the entry has none, as in Tempo', 'limits_only', [[], 5000, 900]],
    ['its own stale duration', 'limit', [[], 9, 3600]],
    ['the defaults where the entry is null', 'nothing', [['service'], 700, 900]],
    ['the defaults where there is no entry', 'unknown', [['service'], 700, 900]],
    ['a tenant whose name is a number', '404', [['numeric'], 5000, 900]],
  ])('%s', (_, tenant, wanted) => {
    expect(inForce(BLOCK, TEMPO, tenant)).toEqual(wanted);
  });

  test.each([
    ['unknown', [['any'], 33, 900]],
    ['nothing', [['any'], 33, 900]],
    ['flat', [['flat_team'], 5000, 900]],
  ])('with a wildcard, %s', (tenant, wanted) => {
    expect(inForce(BLOCK, WITH_ANY, tenant)).toEqual(wanted);
  });

  test.each([
    ['flat', TEMPO, [['flat_team'], 700, 900]],
    ['limits_only', TEMPO, [['service'], 700, 900]],
    ['limit', TEMPO, [['service'], 9, 3600]],
    ['limit', WITH_ANY, [['any'], 9, 3600]],
    ['flat', WITH_ANY, [['flat_team'], 33, 900]],
    ['none', WITH_ANY, [[], 33, 900]],
  ])('field by field, where that is asked for: %s', (tenant, file, wanted) => {
    expect(inForce(FIELDS, file, tenant)).toEqual(wanted);
  });

  test('a tenant without dimensions is counted in one series, or not at all where that is asked for', () => {
    expect(inForce(BLOCK, TEMPO, 'none')).toEqual([[], 5000, 900]);
    const ignore = BLOCK.replace('5000', '5000, without_dimensions: ignore');
    expect(inForce(ignore, TEMPO, 'none')).toBeNull();
    expect(inForce(ignore, TEMPO, 'team-a')).not.toBeNull();
  });

  test('says where it comes from', () => {
    const read = overrides(WITH_ANY);
    expect(['team-a', 'nothing', 'x'].map((tenant) => sourceOf(read, tenant))).toEqual([
      'tenant',
      'wildcard',
      'wildcard',
    ]);
    expect(sourceOf(overrides(TEMPO), 'x')).toBe('defaults');
  });

  test.each([[''], ['overrides:'], ['overrides: {}'], ['# nothing']])(
    'a file with nothing in it (%j) says nothing',
    (yaml) => {
      expect(inForce(BLOCK, yaml, 'x')).toEqual([['service'], 700, 900]);
    },
  );
});

test('a dimension may have extras, beside others in the plain form', () => {
  const file =
    'overrides: { acme: { cost_attribution: { dimensions: { a: { label: l, regex: "^.", map: { x: "" } }, b: "" } } } }';
  expect(tenantSettings(config(''), overrides(file))('acme').trackers[0]!.dimensions).toEqual([
    { attribute: 'a', scope: 'any', label: 'l', extras: { regex: '^.', map: [['x', '']] } },
    { attribute: 'b', scope: 'any', label: 'b' },
  ]);
});

describe('named trackers', () => {
  const CONFIG_OF = (more: string) => `
usage:
  cost_attribution: { max_cardinality: 5000 }
  trackers:
    teams: { max_cardinality: 50, stale_duration: 1h }
    routes: { measures: [spans], without_dimensions: count }
    off: { enabled: false }
overrides:
  ${more}
  defaults: { trackers: { teams: { dimensions: { team: "" }, max_cardinality: 20 } } }
`;
  const FILE = `
overrides:
  acme: { trackers: { teams: { dimensions: { squad: "" }, stale_duration: 2h }, off: { dimensions: { x: "" } } } }
  plain: { cost_attribution: { max_cardinality: 9 } }
  "*": { trackers: { teams: { max_cardinality: 7 }, routes: { dimensions: { span.http.route: route } } } }
`;
  const NAMES = ['teams', 'routes', 'off'];
  const of = (more: string, tenant: string) => {
    const read = readOverrides(FILE, NAMES);
    if ('problems' in read) throw new Error(read.problems.join('\n'));
    const { trackers } = tenantSettings(config(CONFIG_OF(more)), read)(tenant);
    return Object.fromEntries(
      trackers.map(({ name, dimensions, limit, staleS }) => [
        name,
        [dimensions.map(({ label }) => label), limit, staleS],
      ]),
    );
  };

  test('an entry stands for all trackers, too; one without dimensions is counted where its tracker says so', () => {
    expect(of('', 'acme')).toEqual({
      'cost-attribution': [[], 5000, 900],
      teams: [['squad'], 50, 7200],
      routes: [[], 10_000, 900],
    });
    expect(of('', 'plain')).toEqual({ 'cost-attribution': [[], 9, 900], routes: [[], 10_000, 900] });
    expect(of('', 'anyone')).toEqual({ 'cost-attribution': [[], 5000, 900], routes: [['route'], 10_000, 900] });
  });

  test('field by field, where that is asked for', () => {
    expect(of('merge: fields', 'acme')).toEqual({
      'cost-attribution': [['service'], 5000, 900],
      teams: [['squad'], 7, 7200],
      routes: [['route'], 10_000, 900],
    });
    expect(of('merge: fields', 'plain')).toEqual({
      'cost-attribution': [['service'], 9, 900],
      teams: [['team'], 7, 3600],
      routes: [['route'], 10_000, 900],
    });
  });

  test.each([
    ['{ trackers: { x: {} } }', 'there is no tracker "x" in usage.trackers: there is teams, routes, off'],
    ['{ trackers: { teams: { dimension: {} } } }', 'unknown key "trackers.teams.dimension": there is dimensions'],
    [
      '{ trackers: { teams: { dimensions: { a: __x } } } }',
      "trackers.teams.dimensions config has invalid label name: '__x'",
    ],
    ['{ trackers: { teams: [1] } }', 'trackers.teams must be a map of settings'],
    ['{ trackers: [1] }', 'trackers must be a map from tracker to settings'],
    ['{ tracker: {} }', 'unknown key "tracker": is trackers meant?'],
  ])('the entry %s is refused', (entry, text) => {
    const read = readOverrides(`overrides: { acme: ${entry} }`, NAMES);
    const problems = 'problems' in read ? read.problems : [];
    expect(problems[0]?.slice(0, text.length + 38)).toBe(`validating overrides for acme failed: ${text}`);
  });
});

describe('a file is refused for', () => {
  const entry = (text: string) => `overrides: { good: {}, acme: { cost_attribution: ${text} } }`;
  const failed = 'validating overrides for acme failed: ';

  test.each([
    ['another key at the top', 'overides: {}', 'unknown key "overides": only overrides is read'],
    ['a list', '- a', 'the file must be a map with the key overrides'],
    ['text', 'overrides: hello', 'overrides must be a map from tenant to settings'],
    ['the same tenant twice', 'overrides:\n  a: {}\n  a: {}', 'Map keys must be unique at line 3, column 3'],
    ['broken YAML', 'overrides: {', 'Flow map'],
    ['an entry that is no map', 'overrides: { acme: 7 }', `${failed}it must be a map of settings`],
    [
      'a slip',
      'overrides: { acme: { cost_atribution: {} } }',
      `${failed}unknown key "cost_atribution": is cost_attribution meant?`,
    ],
    [
      'an unknown key of ours',
      entry('{ dimension: {} }'),
      `${failed}unknown key "cost_attribution.dimension": there is dimensions`,
    ],
    [
      'a limit that is none',
      entry('{ max_cardinality: many }'),
      `${failed}cost_attribution.max_cardinality must be a whole number`,
    ],
    [
      'a limit beyond all bounds',
      entry('{ max_cardinality: 99999999 }'),
      `${failed}cost_attribution.max_cardinality must be at most`,
    ],
    [
      'a duration that is none',
      entry('{ stale_duration: 5 }'),
      `${failed}cost_attribution.stale_duration must be a duration`,
    ],
    ['dimensions that are none', entry('{ dimensions: [a] }'), `${failed}cost_attribution.dimensions must be a map`],
    [
      'an unknown extra of a dimension',
      entry('{ dimensions: { a: { lable: x } } }'),
      `${failed}cost_attribution.dimensions "a" has the unknown key "lable": there is label, default`,
    ],
    [
      'an extra that is none',
      entry('{ dimensions: { a: { max_length: 0 } } }'),
      `${failed}cost_attribution.dimensions "a": max_length must be a whole number of bytes, 1 to 65536`,
    ],
    [
      'a pattern that is none',
      entry('{ dimensions: { a: { regex: "(" } } }'),
      `${failed}cost_attribution.dimensions: the regex of 'a' is no regular expression of RE2`,
    ],
    [
      "two dimensions on one label, in Tempo's words",
      entry('{ dimensions: { a-b: "", a.b: "" } }'),
      `${failed}cost_attribution.dimensions has duplicate label name: 'a_b', both 'a-b' and 'a.b' map to it`,
    ],
    [
      "a reserved label, in Tempo's words",
      entry('{ dimensions: { a: __x } }'),
      `${failed}cost_attribution.dimensions config has invalid label name: '__x'`,
    ],
  ])('%s', (_, yaml, expected) => {
    const problems = problemsOf(yaml);
    expect(problems.map((text) => text.slice(0, expected.length))).toContain(expected);
  });

  test('everything at once', () => {
    expect(problemsOf('overrides: { a: 1, b: { cost_attribution: { max_cardinality: -1, x: 1 } } }')).toHaveLength(3);
  });
});

describe('the file on the disk', () => {
  const file = (...contents: readonly (string | Buffer | null)[]) => {
    const left = [...contents];
    return new OverridesFile(config('overrides: { per_tenant_override_config: /o.yaml }'), () => {
      const next = left.length > 1 ? left.shift()! : left[0]!;
      if (next === null) throw Object.assign(new Error('no'), { code: 'ENOENT' });
      return Buffer.from(next as string);
    });
  };
  const good = 'overrides: { a: {} }';

  test('is taken once for each content', () => {
    const watched = file(good, good, 'overrides: { b: {} }');
    expect(watched.look().changed?.blocks.has('a')).toBe(true);
    expect(watched.look()).toEqual({ changed: null, problems: [] });
    expect(watched.look().changed?.blocks.has('b')).toBe(true);
    expect(watched.current.blocks.has('a')).toBe(false);
  });

  test('leaves in force what was, as long as it is wrong, and says so at each look', () => {
    const watched = file(good, 'overrides: { a: 1 }', 'overrides: { a: 1 }', null, good);
    const before = watched.look().changed;
    for (const reason of [
      'validating overrides for a failed',
      'validating overrides for a failed',
      'there is no such file',
    ]) {
      const { changed, problems } = watched.look();
      expect(changed).toBeNull();
      expect(problems).toHaveLength(1);
      expect(problems[0]).toContain(reason);
      expect(problems[0]).toContain('overrides.per_tenant_override_config: /o.yaml: ');
      expect(watched.current).toBe(before);
    }
    expect(watched.look()).toEqual({ changed: null, problems: [] });
  });

  test('may be packed with gzip', () => {
    expect(file(gzipSync(good)).look().changed?.blocks.has('a')).toBe(true);
  });

  test('need not be', () => {
    const none = new OverridesFile(config(''), () => {
      throw new Error('nothing is read');
    });
    expect([none.isNone, none.look()]).toEqual([true, { changed: null, problems: [] }]);
  });
});
