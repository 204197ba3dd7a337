/**
 * Makes test/fixtures/kubernetes again: the schemas of the kinds that the chart makes, from Kubernetes's own
 * description of its API, and the custom resource definitions of the Prometheus operator and of KEDA, all from the Go
 * module proxy. Descriptions are left out: they are most of the bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parse } from 'yaml';
import { goEnvironment, installGo } from '../services/install-go.ts';
import { run } from '../services/tools.ts';

const TARGET = join(import.meta.dirname, '../../fixtures/kubernetes');
const OPERATOR = 'github.com/prometheus-operator/prometheus-operator@v0.90.1';
const CRDS = [
  [OPERATOR, 'example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml'],
  [OPERATOR, 'example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml'],
  [OPERATOR, 'example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml'],
  ['github.com/kedacore/keda/v2@v2.21.0', 'config/crd/bases/keda.sh_scaledobjects.yaml'],
] as const;
const KINDS = [
  'api.core.v1.ConfigMap',
  'api.core.v1.Pod',
  'api.core.v1.Secret',
  'api.core.v1.Service',
  'api.core.v1.ServiceAccount',
  'api.apps.v1.Deployment',
  'api.apps.v1.StatefulSet',
  'api.autoscaling.v2.HorizontalPodAutoscaler',
  'api.networking.v1.NetworkPolicy',
  'api.policy.v1.PodDisruptionBudget',
].map((name) => `io.k8s.${name}`);

type Json = { [key: string]: unknown };

async function moduleDirectory(go: string, module: string): Promise<string> {
  const printed = await run(go, ['mod', 'download', '-json', module], { cwd: tmpdir(), env: goEnvironment() });
  return (JSON.parse(printed.slice(printed.indexOf('{'))) as { Dir: string }).Dir;
}

/** Without descriptions; a property that is called `description` stays. */
function bare(node: unknown, isProperties = false): unknown {
  if (Array.isArray(node)) return node.map((item) => bare(item));
  if (typeof node !== 'object' || node === null) return node;
  const kept = Object.entries(node).filter(
    ([key, value]) => isProperties || key !== 'description' || typeof value !== 'string',
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, bare(value, key === 'properties' && !isProperties)]));
}

/** The definitions that the roots lead to. */
function reachable(definitions: Json, roots: readonly string[]): Json {
  const found: Json = {};
  const queue = [...roots];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (name in found) continue;
    if (definitions[name] === undefined) throw new Error(`there is no definition ${name}`);
    found[name] = bare(definitions[name]);
    for (const [, other] of JSON.stringify(found[name]).matchAll(/"#\/definitions\/([^"]+)"/g)) queue.push(other!);
  }
  return found;
}

const write = (file: string, content: unknown): void =>
  writeFileSync(join(TARGET, file), gzipSync(JSON.stringify(content), { level: 9 }));

const go = await installGo();
const kubernetes = await moduleDirectory(go, 'k8s.io/kubernetes@v1.36.3');
const swagger = JSON.parse(readFileSync(join(kubernetes, 'api/openapi-spec/swagger.json'), 'utf8')) as {
  definitions: Json;
};
write('definitions.json.gz', { kinds: KINDS, definitions: reachable(swagger.definitions, KINDS) });

const crds: unknown[] = [];
for (const [module, file] of CRDS)
  crds.push(bare(parse(readFileSync(join(await moduleDirectory(go, module), file), 'utf8'))));
write('crds.json.gz', crds);
