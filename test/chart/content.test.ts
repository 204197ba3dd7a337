import { cpSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { readOverrides } from '../../src/overrides/file.ts';
import { CHART, type Manifest, only, renderObjects, type Values } from '../support/chart/chart.ts';
import { alerts, type RuleFile, recordings } from '../support/rules.ts';
import { installPrometheus } from '../support/services/install-prometheus.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { run } from '../support/services/tools.ts';

let directory: string;
beforeAll(() => {
  directory = scratchDirectory('chart-content');
});
afterAll(() => removeScratch(directory));

const FLEET = { config: { redis: { url: 'redis://redis:6379' } }, replicaCount: 3 };
const render = (values: Values): Promise<readonly Manifest[]> => renderObjects(directory, values);
const workload = async (values: Values, kind = 'StatefulSet'): Promise<Manifest> => only(await render(values), kind);

test('both kinds of workload have the same pod', async () => {
  const set = await workload(FLEET);
  const deployment = await workload({ ...FLEET, kind: 'Deployment' }, 'Deployment');
  expect(deployment.spec.template).toEqual(set.spec.template);
  expect(deployment.spec.selector).toEqual(set.spec.selector);
  expect(deployment.spec.strategy.rollingUpdate).toEqual({ maxSurge: 0, maxUnavailable: 1 });
  expect(set.spec.serviceName).toBe('tracetally-headless');
});

test('every pod meets the standard "restricted"', async () => {
  const objects = await render(FLEET);
  const pods = [only(objects, 'StatefulSet').spec.template.spec, only(objects, 'Pod').spec];
  for (const pod of pods) {
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.securityContext.runAsUser).toBeGreaterThan(0);
    for (const { securityContext } of pod.containers) {
      expect(securityContext).toMatchObject({ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true });
      expect(securityContext.capabilities).toEqual({ drop: ['ALL'] });
    }
  }
});

test('only readiness asks for Kafka and Redis', async () => {
  const [container] = (await workload(FLEET)).spec.template.spec.containers;
  expect(container.livenessProbe.httpGet.path).toBe('/live');
  expect(container.startupProbe.httpGet.path).toBe('/live');
  expect(container.readinessProbe.httpGet.path).toBe('/ready');
});

test('a change of the configuration replaces the replicas, and nothing else about it does', async () => {
  const annotation = async (values: Values): Promise<string | undefined> =>
    (await workload(values)).spec.template.metadata.annotations['checksum/config'];
  const first = await annotation(FLEET);
  expect(await annotation({ ...FLEET, service: { port: 80 }, replicaCount: 2 })).toBe(first);
  expect(await annotation({ ...FLEET, config: { ...FLEET.config, log: { level: 'debug' } } })).not.toBe(first);
  expect(await annotation({ ...FLEET, restartOnConfigChange: false })).toBeUndefined();
});

test('settings of tenants are a file beside the configuration, whose change replaces nothing', async () => {
  const settings = { cost_attribution: { dimensions: { 'span.x': '' }, max_cardinality: 3 } };
  const with404 = await render({ ...FLEET, overrides: { '404': settings, '*': settings } });
  const { data } = only(with404, 'ConfigMap');
  expect(data['config.yaml']).toContain('per_tenant_override_config: /etc/tracetally/overrides.yaml');
  const read = readOverrides(data['overrides.yaml']);
  if ('problems' in read) throw new Error(read.problems.join('\n'));
  expect([...read.blocks.keys()].sort()).toEqual(['*', '404']);
  expect(Object.keys(only(await render(FLEET), 'ConfigMap').data)).toEqual(['config.yaml']);
  const checksum = (made: readonly Manifest[]): string =>
    only(made, 'StatefulSet').spec.template.metadata.annotations['checksum/config'];
  expect(checksum(await render({ ...FLEET, overrides: { acme: settings } }))).toBe(checksum(with404));
  const twice = { ...FLEET.config, overrides: { per_tenant_override_config: '/x' } };
  await expect(render({ ...FLEET, config: twice, overrides: { acme: settings } })).rejects.toThrow(
    'both say where the settings of tenants are',
  );
});

test('whoever scales sets the number of replicas', async () => {
  expect((await workload(FLEET)).spec.replicas).toBe(3);
  const scaled = await render({ ...FLEET, keda: { enabled: true, serverAddress: 'http://prometheus:9090' } });
  expect(only(scaled, 'StatefulSet').spec).not.toHaveProperty('replicas');
  const [trigger] = only(scaled, 'ScaledObject').spec.triggers;
  expect(trigger.metadata.query).toBe('max(tracetally_lag_seconds{namespace="tracing",pod=~"tracetally-[0-9]+"})');
  expect(only(await render({ ...FLEET, autoscaling: { enabled: true } }), 'StatefulSet').spec).not.toHaveProperty(
    'replicas',
  );
});

test('what Secrets hold is mounted or in the environment, and named in the configuration file', async () => {
  const objects = await render({
    config: { kafka: { sasl: { mechanism: 'plain' } }, schema_registry: { url: 'https://registry' } },
    schemaRegistry: { auth: { existingSecret: 's', usernameKey: 'user' }, tls: { existingSecret: 'st' } },
    kafka: { auth: { existingSecret: 'k', usernameKey: 'user' }, tls: { existingSecret: 'kt' } },
    redis: { auth: { existingSecret: 'r', urlKey: 'url', passwordKey: '' } },
  });
  const { spec } = only(objects, 'StatefulSet').spec.template;
  const secrets = spec.volumes.find(({ name }: { name: string }) => name === 'secrets').projected.sources;
  expect(secrets).toEqual([
    { secret: { name: 'k', items: [{ key: 'password', path: 'kafka-password' }] } },
    { secret: { name: 'kt', items: [{ key: 'ca.crt', path: 'kafka-ca.pem' }] } },
    { secret: { name: 's', items: [{ key: 'password', path: 'schema-registry-password' }] } },
    { secret: { name: 'st', items: [{ key: 'ca.crt', path: 'schema-registry-ca.pem' }] } },
  ]);
  expect(spec.containers[0].env).toEqual(
    expect.arrayContaining([
      { name: 'TRACETALLY_KAFKA_SASL_USERNAME', valueFrom: { secretKeyRef: { name: 'k', key: 'user' } } },
      { name: 'TRACETALLY_REDIS_URL', valueFrom: { secretKeyRef: { name: 'r', key: 'url' } } },
    ]),
  );
  const file = parse(only(objects, 'ConfigMap').data['config.yaml']);
  expect(file.kafka.sasl).toEqual({ mechanism: 'plain', password_file: '/etc/tracetally-secrets/kafka-password' });
  expect(file.schema_registry).toEqual({
    url: 'https://registry',
    password_file: '/etc/tracetally-secrets/schema-registry-password',
    ca_file: '/etc/tracetally-secrets/schema-registry-ca.pem',
  });
  expect(file.kafka.tls).toEqual({ enabled: true, ca_file: '/etc/tracetally-secrets/kafka-ca.pem' });
});

test('probes and monitors speak to the server as it wants', async () => {
  const server = {
    auth: { existingSecret: 't', metricsTokenKey: 'metrics' },
    tls: { existingSecret: 'c', caKey: 'ca.crt' },
  };
  const objects = await render({
    server,
    serviceMonitor: { enabled: true },
    scrape: { extra: { proxyUrl: 'http://p' } },
  });
  const [container] = only(objects, 'StatefulSet').spec.template.spec.containers;
  for (const probe of [container.livenessProbe, container.startupProbe, container.readinessProbe])
    expect(probe.httpGet.scheme).toBe('HTTPS');
  for (const endpoint of only(objects, 'ServiceMonitor').spec.endpoints)
    expect(endpoint).toMatchObject({
      scheme: 'https',
      authorization: { credentials: { name: 't', key: 'metrics' } },
      tlsConfig: { ca: { secret: { name: 'c', key: 'ca.crt' } }, serverName: 'tracetally.tracing.svc' },
      proxyUrl: 'http://p',
    });
  const file = parse(only(objects, 'ConfigMap').data['config.yaml']);
  expect(file.server).toEqual({
    metrics_token_file: '/etc/tracetally-secrets/server-metrics-token',
    tls: { cert_file: '/etc/tracetally-secrets/server-cert.pem', key_file: '/etc/tracetally-secrets/server-key.pem' },
  });
});

test('the heap follows the memory limit', async () => {
  const heap = async (memory: string | number): Promise<string | undefined> =>
    (await workload({ resources: { limits: { memory } } })).spec.template.spec.containers[0].env?.[0].value;
  expect(await heap('2Gi')).toBe('--max-old-space-size=1228');
  expect(await heap('1500M')).toBe('--max-old-space-size=858');
  expect(await heap(2_147_483_648)).toBe('--max-old-space-size=1228');
});

type Rule = { sourceLabels?: string[]; regex?: string; targetLabel?: string; action?: string };

test('the monitor empties what deploy/prometheus.yml empties, and keeps honorLabels false', async () => {
  const { scrape_configs: jobs } = parse(readFileSync(join(CHART, '../../deploy/prometheus.yml'), 'utf8'));
  type Job = { metrics_path: string; honor_labels?: boolean; metric_relabel_configs?: Record<string, unknown>[] };
  const job = (jobs as Job[]).find(({ metrics_path }) => metrics_path === '/usage_metrics')!;
  const plain = job.metric_relabel_configs!.map(({ source_labels, regex, target_label, ...rest }) => ({
    sourceLabels: source_labels,
    regex,
    targetLabel: target_label,
    ...rest,
  }));
  const monitor = only(await render({ ...FLEET, serviceMonitor: { enabled: true } }), 'ServiceMonitor');
  const [usage, self] = monitor.spec.endpoints;
  expect(usage.path).toBe('/usage_metrics');
  expect(usage.metricRelabelings).toEqual(plain);
  expect(usage.honorLabels).toBe(job.honor_labels);
  expect(usage.relabelings).toEqual([{ action: 'labeldrop', regex: 'service|endpoint|container' }]);
  expect(self).toEqual({ port: 'http', path: '/metrics', interval: '30s', scrapeTimeout: '10s', honorLabels: false });
});

test('the monitor follows the prefix of the metrics', async () => {
  const config = { ...FLEET.config, publish: { metric_prefix: 'usage' } };
  const monitor = only(await render({ config, serviceMonitor: { enabled: true } }), 'ServiceMonitor');
  const rules: Rule[] = monitor.spec.endpoints[0].metricRelabelings;
  expect(new Set(rules.map(({ regex }) => regex))).toEqual(new Set(['usage_.+']));
});

test('exactly one Service is scraped, and a PodMonitor has the same endpoints', async () => {
  const objects = await render({ ...FLEET, serviceMonitor: { enabled: true } });
  const monitor = only(objects, 'ServiceMonitor');
  const selected = objects.filter(
    ({ kind, metadata }) =>
      kind === 'Service' &&
      Object.entries(monitor.spec.selector.matchLabels).every(([label, value]) => metadata.labels[label] === value),
  );
  expect(selected.map(({ metadata }) => metadata.name)).toEqual(['tracetally-headless']);
  const pods = await render({ ...FLEET, podMonitor: { enabled: true } });
  const podMonitor = only(pods, 'PodMonitor');
  expect(podMonitor.spec.podMetricsEndpoints).toEqual(monitor.spec.endpoints);
  const { labels } = only(pods, 'StatefulSet').spec.template.metadata;
  expect(labels).toMatchObject(podMonitor.spec.selector.matchLabels);
});

test('two limits of samples make two monitors', async () => {
  const scrape = { usage: { sampleLimit: 100_000 }, self: { sampleLimit: 5_000 } };
  const objects = await render({ ...FLEET, serviceMonitor: { enabled: true }, scrape });
  const monitors = objects.filter(({ kind }) => kind === 'ServiceMonitor');
  expect(monitors.map(({ metadata, spec }) => [metadata.name, spec.sampleLimit, spec.endpoints.length])).toEqual([
    ['tracetally', 100_000, 1],
    ['tracetally-self', 5_000, 1],
  ]);
  const same = { usage: { sampleLimit: 100_000 } };
  const one = only(await render({ ...FLEET, serviceMonitor: { enabled: true }, scrape: same }), 'ServiceMonitor');
  expect([one.spec.sampleLimit, one.spec.endpoints.length]).toEqual([100_000, 2]);
});

const rulesOf = async (prometheusRule: Values, config: Values = FLEET.config): Promise<RuleFile> => {
  const { spec } = only(
    await render({ config, prometheusRule: { enabled: true, ...prometheusRule } }),
    'PrometheusRule',
  );
  const file = join(directory, 'rules.yaml');
  writeFileSync(file, stringify(spec));
  const { promtool } = await installPrometheus();
  expect(await run(promtool, ['check', 'rules', file])).toContain('SUCCESS');
  return spec as RuleFile;
};
const namesOf = ({ groups }: RuleFile): readonly string[] =>
  groups.flatMap(({ rules }) => rules.map((rule) => ('alert' in rule ? rule.alert : rule.record)));

test('all rules of the files are in the PrometheusRule, but for those that merge', async () => {
  const files = readdirSync(join(CHART, 'files/rules')).filter((file) => file !== 'merge.yaml');
  const expected = [...alerts(files).map(({ alert }) => alert), ...recordings(files).map(({ record }) => record)];
  const rules = await rulesOf({});
  expect([...namesOf(rules)].sort()).toEqual([...expected].sort());
  expect(JSON.stringify(rules)).not.toContain('merged:');
});

test('rules follow the configuration: one file of them per dimension, and the prefix', async () => {
  const dimensions = {
    'resource.team': '',
    'span.1st.thing': { default: 'none' },
    'resource.x': { label: 'feature', map: { a: 'b' } },
  };
  const config = {
    ...FLEET.config,
    overrides: { defaults: { cost_attribution: { dimensions } } },
    publish: { metric_prefix: 'trace_usage' },
  };
  const { groups } = await rulesOf({}, config);
  const text = JSON.stringify(groups);
  const perDimension = groups.map(({ name }) => name).filter((name) => name.startsWith('tracetally-dimension-'));
  expect(perDimension).toEqual(['_st_thing', 'feature', 'team'].map((label) => `tracetally-dimension-${label}`));
  expect(text).toContain('trace_usage_bytes_received_total');
  expect(text).not.toContain('tempo_usage_tracker');
  const chosen = await rulesOf({ dimensions: ['team'] }, config);
  expect(JSON.stringify(chosen)).not.toContain('feature');
});

test('with merge, the rules read what is merged, and merging reads what is scraped', async () => {
  const { groups } = await rulesOf({ merge: true });
  const merge = groups.filter(({ name }) => name.includes('merge'));
  const others = groups.filter(({ name }) => !name.includes('merge'));
  expect(merge).toHaveLength(1);
  expect(JSON.stringify(merge)).toContain('max_over_time(tempo_usage_tracker_bytes_received_total');
  expect(JSON.stringify(others)).not.toMatch(/(?<!merged:)tempo_usage_tracker/);
});

test('alerts can be left out, labelled, and point to a runbook', async () => {
  const values = {
    disabledAlerts: ['TracetallyAbsent'],
    alertLabels: { team: 'x' },
    runbookUrl: 'https://wiki.example/r',
  };
  const spec = await rulesOf(values);
  expect(namesOf(spec)).not.toContain('TracetallyAbsent');
  for (const rule of spec.groups.flatMap(({ rules }) => rules)) {
    if (!('alert' in rule)) continue;
    expect(rule.labels.team).toBe('x');
    expect(rule.labels.severity).toBeDefined();
    expect(rule.annotations.runbook_url).toBe(`https://wiki.example/r#${rule.alert.toLowerCase()}`);
  }
});

test('each dashboard is a ConfigMap, unchanged', async () => {
  const objects = await render({ dashboards: { enabled: true } });
  const files = readdirSync(join(CHART, 'files/dashboards'));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const map = objects.find(({ kind, data }) => kind === 'ConfigMap' && data[file] !== undefined)!;
    expect(map.metadata.labels.grafana_dashboard).toBe('1');
    expect(JSON.parse(map.data[file])).toEqual(JSON.parse(readFileSync(join(CHART, 'files/dashboards', file), 'utf8')));
  }
});

test('the network policy lets in what scrapes, and out what the configuration names', async () => {
  const config = { kafka: { brokers: ['a:9093', 'b:9094'] }, redis: { url: 'rediss://redis' } };
  const { spec } = only(
    await render({ config, networkPolicy: { enabled: true, egressPorts: [443] } }),
    'NetworkPolicy',
  );
  expect(spec.ingress).toEqual([{ ports: [{ port: 'http', protocol: 'TCP' }] }]);
  const ports = spec.egress.flatMap(({ ports }: { ports: { port: number }[] }) => ports.map(({ port }) => port));
  expect(ports).toEqual([53, 53, 9093, 9094, 6379, 443]);
});

/** NOTES.txt, which `helm template` does not show, through a ConfigMap in a copy of the chart. */
const notes = async (values: Values): Promise<string> => {
  const copy = mkdtempSync(join(directory, 'notes-'));
  cpSync(CHART, copy, { recursive: true });
  const text = readFileSync(join(copy, 'templates/NOTES.txt'), 'utf8');
  writeFileSync(join(copy, 'templates/_notes.tpl'), `{{ define "notes" }}${text}{{ end }}`);
  const data = '{ notes: {{ include "notes" . | toJson }} }';
  const map = `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: notes }\ndata: ${data}\n`;
  writeFileSync(join(copy, 'templates/notes.yaml'), map);
  const objects = await renderObjects(directory, values, copy);
  return objects.find(({ metadata }) => metadata.name === 'notes')!.data.notes as string;
};

test('the notes say what to do next, and warn of what cannot be meant for good', async () => {
  const first = await notes({});
  expect(first).toContain('kubectl -n tracing rollout status statefulset/tracetally');
  expect(first).toContain('no Redis is set');
  expect(first).toContain('image.repository is "tracetally", without a registry');
  expect(first).toContain('config.kafka.brokers is [kafka:9092]');
  expect(first).toContain('set serviceMonitor.enabled');
  const config = { kafka: { brokers: ['a:1'] }, redis: { url: 'redis://r:1' }, publish: { metric_prefix: 'usage' } };
  const good = { config, replicaCount: 2, image: { repository: 'r.example/t' }, serviceMonitor: { enabled: true } };
  const fleet = await notes(good);
  expect(fleet).not.toContain('WARNING');
  expect(fleet).toContain('rate(usage_bytes_received_total{namespace="tracing"}[5m])');
  expect(await notes({ ...good, replicaCount: 1 })).toContain('One replica');
  const server = { tls: { existingSecret: 'c' } };
  expect(await notes({ ...good, server, kind: 'Deployment' })).toMatch(/status deployment\/[\s\S]*curl -k https:/);
});

test('names stay short enough for the labels that Kubernetes makes of them', async () => {
  const objects = await render({ fullnameOverride: 'a'.repeat(63), nameOverride: 'b'.repeat(63) });
  for (const { metadata } of objects) {
    expect(metadata.name.length).toBeLessThanOrEqual(63);
    for (const value of Object.values(metadata.labels)) expect(value.length).toBeLessThanOrEqual(63);
  }
  expect(only(objects, 'StatefulSet').metadata.name.length + '-0123456789'.length).toBeLessThanOrEqual(63);
});
