/** The shipped rules: promtool accepts them, every alert fires when it should and is silent when it should be. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import {
  alerts,
  evaluatedEvery,
  promtoolTest,
  RULES,
  recordings,
  ruleFiles,
  ruleText,
  withoutValues,
} from '../support/rules.ts';
import { installPrometheus } from '../support/services/install-prometheus.ts';
import { run } from '../support/services/tools.ts';
import { CASES, SLOW_CASES } from './cases.ts';
import { RECORDING_TESTS, SLOW_RECORDING_TESTS } from './recordings.ts';

/** What compares days, and how often that is evaluated here. */
const SLOW_GROUPS = { 'usage.yaml': ['tracetally-usage-growth'], 'dimension.yaml': ['tracetally-dimension-service'] };
const SLOW_FILES = Object.keys(SLOW_GROUPS).map((file) => `slow-${file}`);
const SLOW_INTERVAL = '30m';

let promtool: string;
const dir = mkdtempSync(join(tmpdir(), 'tracetally-rules-'));

beforeAll(async () => {
  ({ promtool } = await installPrometheus());
  for (const file of ruleFiles()) writeFileSync(join(dir, file), withoutValues(ruleText(file)));
  for (const [file, groups] of Object.entries(SLOW_GROUPS))
    writeFileSync(join(dir, `slow-${file}`), evaluatedEvery(withoutValues(ruleText(file)), SLOW_INTERVAL, groups));
}, 300_000);

afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('promtool accepts every file as it is shipped', async () => {
  const said = await run(promtool, ['check', 'rules', '--lint=all', ...ruleFiles().map((file) => join(RULES, file))]);
  expect(said.match(/SUCCESS/g)).toHaveLength(ruleFiles().length);
});

const testRules = async (name: string, tests: readonly object[], slow = false): Promise<void> => {
  const file = join(dir, `${name}.test.yml`);
  const [rule_files, evaluation_interval] = slow ? [SLOW_FILES, SLOW_INTERVAL] : [ruleFiles(), '1m'];
  writeFileSync(file, stringify({ rule_files, evaluation_interval, tests }, { aliasDuplicateObjects: false }));
  await run(promtool, ['test', 'rules', file]);
};

test('every alert fires when it should, with all of its text, and is silent before and beside', async () => {
  await testRules('alerts', CASES.map(promtoolTest));
}, 120_000);

test('what compares with last week does so, and other things that take days', async () => {
  await testRules('slow', [...SLOW_CASES.map(promtoolTest), ...SLOW_RECORDING_TESTS], true);
}, 120_000);

test('catching up after an outage is no growth', async () => {
  const lagging = SLOW_CASES.filter(({ alert }) => alert.endsWith('Doubled')).map((one) => ({
    ...one,
    series: {
      ...one.series,
      'tracetally_lag_seconds{namespace="n",job="tt",topic="t",partition="0"}': '0x1200 3600x20 0x280',
    },
    firing: [],
  }));
  expect(lagging).toHaveLength(2);
  await testRules('lagging', lagging.map(promtoolTest), true);
}, 120_000);

test('recording rules give rates, shares, and one counter where owners were many', async () => {
  await testRules('recordings', RECORDING_TESTS);
}, 60_000);

test('every alert and every recorded series has a test', () => {
  const tested = [...CASES, ...SLOW_CASES];
  expect(tested.map(({ alert }) => alert).sort()).toEqual(
    alerts()
      .map(({ alert }) => alert)
      .sort(),
  );
  for (const { alert, firing } of tested) expect([alert, firing.length]).not.toEqual([alert, 0]);
  const recorded = JSON.stringify([...RECORDING_TESTS, ...SLOW_RECORDING_TESTS]);
  for (const { record } of recordings()) expect(recorded).toContain(record);
});
