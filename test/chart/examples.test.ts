import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config/load.ts';
import { OverridesFile } from '../../src/overrides/source.ts';
import { selfSigned } from '../support/certificate.ts';
import {
  CHART,
  exampleNames,
  exampleValues,
  heldExample,
  KUBERNETES,
  manifests,
  only,
  renderExample,
  renderExampleWhole,
} from '../support/chart/chart.ts';
import { writeSchemas } from '../support/chart/kube-schemas.ts';
import { installChartTools } from '../support/services/install-chart-tools.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { run } from '../support/services/tools.ts';

const AGAIN = 'run `node test/support/chart/render-examples.ts`';
let directory: string;
let schemas: string;
let rendered: ReadonlyMap<string, string>;

beforeAll(async () => {
  directory = scratchDirectory('chart-examples');
  schemas = writeSchemas(join(directory, 'schemas'));
  const all = exampleNames().map(async (name) => [name, await renderExampleWhole(name)] as const);
  rendered = new Map(await Promise.all(all));
});
afterAll(() => removeScratch(directory));

test('helm lint finds nothing, with the values of the chart and with those of each example', async () => {
  const { helm } = await installChartTools();
  const sets = [[], ...exampleNames().map((name) => ['--values', exampleValues(name)])];
  for (const values of sets)
    expect(await run(helm, ['lint', '--strict', CHART, ...values])).toContain('0 chart(s) failed');
});

test.each(exampleNames())('example %s: what the chart makes of it is what is held beside it', async (name) => {
  const text = await renderExample(name);
  if (text !== heldExample(name)) throw new Error(`examples/${name}/rendered.yaml is not in step: ${AGAIN}`);
  expect(text).toContain('kind: Service');
});

test.each(exampleNames())('example %s: Kubernetes and the operators know every field', async (name) => {
  const { kubeconform } = await installChartTools();
  const file = exampleValues(name).replace('values.yaml', 'rendered.yaml');
  const args = ['-strict', '-summary', '-kubernetes-version', KUBERNETES, '-schema-location', schemas];
  const summary = await run(kubeconform, [...args, file]);
  expect(summary).toMatch(/Invalid: 0, Errors: 0, Skipped: 0/);
});

test('a field that Kubernetes does not know is found', async () => {
  const { kubeconform } = await installChartTools();
  const wrong = rendered
    .get('keda')!
    .replace('pollingInterval:', 'pollingIntervals:')
    .replace('runAsGroup:', 'runAsGroups:');
  const file = join(directory, 'wrong.yaml');
  writeFileSync(file, wrong);
  const found = run(kubeconform, ['-strict', '-schema-location', schemas, file]);
  await expect(found).rejects.toThrow(/runAsGroups[\s\S]*pollingIntervals|pollingIntervals[\s\S]*runAsGroups/);
});

test.each(exampleNames())('example %s: the service takes the configuration file', (name) => {
  const objects = manifests(rendered.get(name)!);
  const workload = objects.find(({ kind }) => kind === 'StatefulSet' || kind === 'Deployment')!;
  const container = workload.spec.template.spec.containers[0];
  const text = only(
    objects.filter(({ data }) => data?.['config.yaml'] !== undefined),
    'ConfigMap',
  ).data['config.yaml'] as string;
  const overrides = objects.find(({ data }) => data?.['overrides.yaml'] !== undefined)?.data['overrides.yaml'];
  const variables = (container.env as { name: string; value?: string }[]).map((one) => [
    one.name,
    one.value ?? (one.name === 'TRACETALLY_REDIS_URL' ? 'redis://redis:6379' : 'secret'),
  ]);
  const { certPem, keyPem } = selfSigned();
  const mounted = JSON.stringify(workload.spec.template.spec.volumes);
  const read = (path: string): string => {
    if (path === '/etc/tracetally/config.yaml') return text;
    const file = path.split('/').at(-1)!;
    if (!path.startsWith('/etc/tracetally-secrets/') || !mounted.includes(file))
      throw new Error(`${path} is not mounted`);
    return file.endsWith('key.pem') ? keyPem : file.endsWith('.pem') ? certPem : 'a-token-or-a-password';
  };
  const loaded = loadConfig({ file: '/etc/tracetally/config.yaml', env: Object.fromEntries(variables), read });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const file = new OverridesFile(loaded.config, (path) => {
    if (path !== '/etc/tracetally/overrides.yaml' || overrides === undefined) throw new Error(`${path} is not mounted`);
    return Buffer.from(overrides);
  });
  expect(file.look().problems).toEqual([]);
  expect(file.isNone).toBe(overrides === undefined);
});
