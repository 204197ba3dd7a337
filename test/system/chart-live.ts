/**
 * The chart on a real API server, with restricted Pod Security enforced: server-side dry runs on an empty cluster,
 * install, upgrade, rollback, drain, a switch of the kind of workload, scalers, uninstall. Prints what was seen, and
 * writes it to docs/chart-live.md. Pods are played (kwok): what a replica does is seen elsewhere.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CHART, exampleNames, exampleValues, type Manifest, manifests } from '../support/chart/chart.ts';
import { customResources } from '../support/chart/kube-schemas.ts';
import { installChartTools } from '../support/services/install-chart-tools.ts';
import { type Kubernetes, startKubernetes } from '../support/services/kubernetes.ts';
import { run } from '../support/services/tools.ts';
import { waitUntil } from '../support/wait-for.ts';
import { Report } from './chart-live-report.ts';

const NODES = ['node-a', 'node-b', 'node-c', 'node-d'];
const NAMESPACE = 'tracing';
const RELEASE = 'tracetally';
const WAIT_MS = 180_000;

const { helm } = await installChartTools();
const report = new Report();
let cluster: Kubernetes;

const kubectl = (...args: readonly string[]): Promise<string> => cluster.kubectl('--namespace', NAMESPACE, ...args);
const helmDo = (...args: readonly string[]): Promise<string> =>
  run(helm, [...args, '--kubeconfig', cluster.kubeconfig, '--namespace', NAMESPACE]);

const get = async (...what: readonly string[]): Promise<readonly Manifest[]> =>
  (JSON.parse(await kubectl('get', ...what, '--output', 'json')) as { items: Manifest[] }).items;
const one = async (kind: string, name = RELEASE): Promise<Manifest> =>
  JSON.parse(await kubectl('get', kind, name, '--output', 'json')) as Manifest;
const replicas = async (): Promise<readonly Manifest[]> =>
  get('pods', '--selector', 'app.kubernetes.io/component=replica');
const isReady = ({ metadata, status }: Manifest): boolean =>
  metadata.deletionTimestamp === undefined &&
  (status.conditions ?? []).some(
    (one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'True',
  );

const check = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(`not so: ${what}`);
  report.seen(what);
};
const refused = async (attempt: Promise<unknown>, why: RegExp, what: string): Promise<void> => {
  const said = await attempt.then(
    () => 'it was taken',
    (error: Error) => error.message,
  );
  const match = why.exec(said);
  if (match === null) throw new Error(`${what}: not refused for ${why}, but: ${said}`);
  report.seen(`${what}: refused, "${match[0].replace(/\s+/g, ' ')}"`);
};

/** The usual fleet on this cluster; a new replica counts as ready after 2 s. */
const FLEET = ['--values', exampleValues('fleet'), '--set', 'minReadySeconds=2', '--set', 'dashboards.enabled=true'];
const upgrade = (...more: readonly string[]): Promise<string> => helmDo('upgrade', RELEASE, CHART, ...FLEET, ...more);

/** The fewest replicas that were ready at once until the workload was as wanted. */
const rolledOut = async (kind: string): Promise<number> => {
  let fewest = Number.POSITIVE_INFINITY;
  await waitUntil(
    async () => {
      fewest = Math.min(fewest, (await replicas()).filter(isReady).length);
      const { metadata, spec, status } = await one(kind);
      const current = kind === 'deployment' || status.currentRevision === status.updateRevision;
      const all = status.updatedReplicas === spec.replicas && status.availableReplicas === spec.replicas;
      return current && all && status.observedGeneration === metadata.generation && status.replicas === spec.replicas;
    },
    { timeoutMs: WAIT_MS, what: `the ${kind} to be rolled out`, everyMs: 200 },
  );
  return fewest;
};

const podNames = async (): Promise<string> =>
  (await replicas())
    .map(({ metadata }) => metadata.name)
    .sort()
    .join(', ');

async function dryRuns(): Promise<void> {
  report.step('Server-side dry runs on the empty cluster');
  const level = 'pod-security.kubernetes.io';
  const labels = { [`${level}/enforce`]: 'restricted', [`${level}/warn`]: 'restricted' };
  await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } });
  for (const crd of customResources()) await cluster.apply(crd);
  const names = customResources().map(({ metadata }) => `crd/${metadata.name}`);
  await cluster.kubectl('wait', '--for=condition=Established', '--timeout=60s', ...names);
  const root = { containers: [{ name: 'root', image: 'busybox' }] };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'root', namespace: NAMESPACE }, spec: root };
  await refused(cluster.apply(pod), /violates PodSecurity "restricted:latest"/, 'a pod without a security context');
  for (const example of ['', ...exampleNames()]) {
    const values = example === '' ? [] : ['--values', exampleValues(example)];
    const text = await helmDo('template', RELEASE, CHART, ...values);
    const said: string[] = [];
    for (const manifest of manifests(text)) {
      const at = { ...manifest, metadata: { ...manifest.metadata, namespace: NAMESPACE } };
      said.push(await cluster.apply(at, '--dry-run=server', '--validate=strict'));
    }
    const warned = said.filter((line) => /warning/i.test(line));
    if (warned.length > 0) throw new Error(warned.join('\n'));
    check(
      said.length > 0,
      `${example === '' ? 'the values of the chart' : `example ${example}`}: ${said.length} objects taken, no warning`,
    );
  }
  const wrong = manifests(await helmDo('template', RELEASE, CHART)).find(({ kind }) => kind === 'StatefulSet')!;
  const spec = { ...wrong.spec, replica: 3 };
  const strict = ['--dry-run=server', '--validate=strict'];
  await refused(
    cluster.apply({ ...wrong, spec }, ...strict),
    /unknown field "spec.replica"/,
    'a field that is misspelt',
  );
}

async function install(): Promise<void> {
  report.step('Install');
  await helmDo('install', RELEASE, CHART, ...FLEET, '--wait', '--timeout', '3m');
  await rolledOut('statefulset');
  const pods = await replicas();
  check(
    pods.length === 3 && pods.every(isReady),
    `three replicas are ready under restricted Pod Security: ${await podNames()}`,
  );
  check(new Set(pods.map(({ spec }) => spec.nodeName)).size === 3, 'they are on three nodes');
  const slices = await get('endpointslices', '--selector', `kubernetes.io/service-name=${RELEASE}-headless`);
  const hosts = slices.flatMap(({ endpoints }) => endpoints).map((endpoint) => endpoint.hostname as string);
  check(hosts.length === 3, `the headless Service names them: ${hosts.sort().join(', ')}`);
  const kinds = ['servicemonitors', 'prometheusrules'];
  for (const kind of kinds) check((await get(kind)).length === 1, `there is one of ${kind}`);
  const boards = await get('configmaps', '--selector', 'grafana_dashboard=1');
  check(boards.length > 0, `there are ${boards.length} dashboards`);
  check(/Phase:\s+Succeeded/.test(await helmDo('test', RELEASE)), '`helm test`: its pod is taken');
  await refused(
    helmDo('install', 'second', CHART, '--set', 'replicaCount=2'),
    /replicaCount is 2, and without a Redis/,
    'a second release with values that do not fit together',
  );
}

async function upgrades(): Promise<void> {
  report.step('Upgrade');
  const before = await one('statefulset');
  await upgrade('--set', 'service.annotations.a=b');
  const same = await one('statefulset');
  check(same.metadata.generation === before.metadata.generation, 'a change of the Service alone replaces no replica');
  const revision = same.status.updateRevision as string;
  await upgrade('--set', 'config.log.level=debug');
  const fewest = await rolledOut('statefulset');
  const after = await one('statefulset');
  check(after.status.updateRevision !== revision, 'a change of `config` is a new revision of the replicas');
  check(fewest >= 2, `they were replaced one by one: ${fewest} of 3 were ready at the least`);
  await refused(
    upgrade('--set', 'config.log.levle=debug'),
    /additional properties 'levle' not allowed/,
    'an upgrade with an unknown setting',
  );
  const [release] = JSON.parse(await helmDo('list', '--output', 'json')) as { revision: string; status: string }[];
  check(release!.revision === '3' && release!.status === 'deployed', 'the release stays at its revision 3, deployed');

  report.step('Rollback');
  await helmDo('rollback', RELEASE, '2');
  await rolledOut('statefulset');
  const back = await one('statefulset');
  check(back.status.updateRevision === revision, 'the replicas have the revision of before');
  const { data } = await one('configmap');
  check(!(data['config.yaml'] as string).includes('debug'), 'and its configuration');
}

async function brokenUpgrade(): Promise<void> {
  report.step('An upgrade that is never ready');
  const { revision } = (JSON.parse(await helmDo('list', '--output', 'json')) as { revision: string }[])[0]!;
  await upgrade('--set', 'podAnnotations.broken=yes');
  const isBroken = ({ metadata }: Manifest): boolean =>
    (metadata.annotations as Record<string, string>).broken === 'yes';
  await waitUntil(async () => (await replicas()).some(isBroken), { timeoutMs: WAIT_MS, what: 'a broken replica' });
  // Longer than a replica takes that is well.
  await sleep(10_000);
  const pods = await replicas();
  check(
    pods.filter(isBroken).length === 1 && pods.filter(isReady).length === 2,
    'it stops at its first replica; two go on',
  );
  const node = pods.find(isBroken)!.spec.nodeName as string;
  await cluster.kubectl('drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s');
  report.seen('the node of that replica can be drained');
  await cluster.kubectl('uncordon', node);
  await helmDo('rollback', RELEASE, revision);
  await rolledOut('statefulset');
  check((await replicas()).every(isReady), 'after a rollback all are ready again, without anybody deleting a pod');
}

async function drain(): Promise<void> {
  report.step('Drain');
  const node = (await replicas())[0]!.spec.nodeName as string;
  await cluster.kubectl('drain', node, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=120s');
  await rolledOut('statefulset');
  const pods = await replicas();
  check(
    pods.every(({ spec }) => spec.nodeName !== node),
    `a drained node is left; replicas: ${await podNames()}`,
  );
  // Two nodes at once: the budget lets one replica go at a time.
  const others = [...new Set(pods.map(({ spec }) => spec.nodeName as string))].slice(0, 2);
  let fewest = 3;
  let isOver = false;
  const drains = others.map((other) =>
    cluster.kubectl('drain', other, '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=120s'),
  );
  const watching = waitUntil(
    async () => {
      fewest = Math.min(fewest, (await replicas()).filter(isReady).length);
      return isOver;
    },
    { timeoutMs: WAIT_MS, what: 'the drains to end', everyMs: 100 },
  );
  await Promise.all(drains);
  isOver = true;
  await watching;
  await rolledOut('statefulset');
  check(fewest >= 2, `two nodes drained at once: ${fewest} of 3 replicas were ready at the least`);
  for (const name of NODES) await cluster.kubectl('uncordon', name);
}

async function kinds(): Promise<void> {
  report.step('Switch of the kind of workload');
  await upgrade('--set', 'kind=Deployment');
  await waitUntil(async () => (await get('statefulsets')).length === 0 && (await replicas()).length === 3, {
    timeoutMs: WAIT_MS,
    what: 'the StatefulSet and its pods to go',
  });
  await rolledOut('deployment');
  check(
    (await replicas()).every(isReady),
    `a Deployment took the place of the StatefulSet: ${(await replicas()).length} replicas`,
  );
  await upgrade('--set', 'kind=Deployment', '--set', 'config.log.level=debug');
  const fewest = await rolledOut('deployment');
  check(fewest >= 2, `an upgrade of it goes one by one as well: ${fewest} of 3 were ready at the least`);
  await upgrade();
  await waitUntil(async () => (await get('deployments')).length === 0 && (await replicas()).length === 3, {
    timeoutMs: WAIT_MS,
    what: 'the Deployment and its pods to go',
  });
  await rolledOut('statefulset');
  check((await podNames()) === [0, 1, 2].map((i) => `${RELEASE}-${i}`).join(', '), `and back: ${await podNames()}`);
}

async function scalers(): Promise<void> {
  report.step('Scalers');
  await upgrade('--set', 'autoscaling.enabled=true');
  check((await one('statefulset')).spec.replicas === 3, 'where a scaler takes over, the number of replicas stays');
  const scaled = await one('hpa');
  check(scaled.spec.scaleTargetRef.kind === 'StatefulSet', 'an HPA scales the StatefulSet');
  await kubectl('scale', `statefulset/${RELEASE}`, '--replicas=4');
  await upgrade('--set', 'autoscaling.enabled=true', '--set', 'service.annotations.c=d');
  check(
    (await one('statefulset')).spec.replicas === 4,
    'an upgrade leaves the number of replicas that a scaler has set',
  );
  await upgrade('--set', 'autoscaling.enabled=true', '--set', 'kind=Deployment');
  check((await one('deployment')).spec.replicas === 4, 'and so does a switch of the kind');
  await upgrade('--set', 'keda.enabled=true', '--set', 'keda.serverAddress=http://prometheus:9090');
  const [object] = await get('scaledobjects');
  check(
    object!.spec.triggers[0].type === 'prometheus' && (await get('hpa')).length === 0,
    'a ScaledObject takes its place',
  );
}

async function uninstall(): Promise<void> {
  report.step('Uninstall');
  await helmDo('uninstall', RELEASE, '--wait', '--timeout', '2m');
  const types =
    'all,configmaps,secrets,serviceaccounts,pdb,networkpolicies,servicemonitors,podmonitors,prometheusrules,scaledobjects';
  await waitUntil(async () => (await get('pods')).length === 0, { timeoutMs: WAIT_MS, what: 'the pods to go' });
  const left = (await get(types)).map(({ kind, metadata }) => `${kind}/${metadata.name}`).sort();
  check(
    left.join() === 'ConfigMap/kube-root-ca.crt,ServiceAccount/default',
    `left are ${left.join(' and ')}, which every namespace has`,
  );
  await helmDo('install', RELEASE, CHART, ...FLEET, '--wait', '--timeout', '3m');
  await helmDo('install', 'other', CHART, ...FLEET, '--wait', '--timeout', '3m');
  const all = await replicas();
  check(all.length === 6 && all.every(isReady), 'installed again, with a second release beside it');
}

const began = performance.now();
cluster = await startKubernetes(NODES);
try {
  report.line(`Kubernetes ${cluster.version}, Helm ${(await run(helm, ['version', '--short'])).trim()}`);
  for (const part of [dryRuns, install, upgrades, brokenUpgrade, drain, kinds, scalers, uninstall]) await part();
  report.line(`${report.count} things seen.`);
  writeFileSync(join(import.meta.dirname, '../../docs/chart-live.md'), report.markdown());
  process.stdout.write(
    `chart on a live API server: all as it should be, in ${Math.round((performance.now() - began) / 1000)} s\n`,
  );
} finally {
  await cluster.stop();
}
