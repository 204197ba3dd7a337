/** The examples in deploy/: programs that read such files accept them, and what they say of each other holds. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { usageProblems } from '../../src/overrides/static.ts';
import { alerts, RULES } from '../support/rules.ts';
import { installAmtool, installPrometheus } from '../support/services/install-prometheus.ts';
import { NODE_ENVIRONMENT, NODE_FLAGS } from '../support/services/replica.ts';
import { run } from '../support/services/tools.ts';
import { shippedScrapeConfig } from '../support/shipped-scrape.ts';

const ROOT = join(import.meta.dirname, '../..');
const DEPLOY = join(ROOT, 'deploy');
const text = (file: string): string => readFileSync(join(DEPLOY, file), 'utf8');
const yaml = <T>(file: string): T => parse(text(file), { merge: true }) as T;

const configOf = (file: string) => {
  const loaded = loadConfig({ file: join(DEPLOY, file), env: {}, isElsewhere: true }, usageProblems);
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};

type Relabeling = { readonly source_labels: readonly string[]; readonly regex: string; readonly target_label: string };
type Job = {
  readonly job_name: string;
  readonly metrics_path: string;
  readonly honor_labels?: boolean;
  readonly metric_relabel_configs?: readonly Relabeling[];
  readonly static_configs: readonly { readonly targets: readonly string[] }[];
};
type Prometheus = { readonly rule_files: readonly string[]; readonly scrape_configs: readonly Job[] };

describe('prometheus.yml', () => {
  test('promtool accepts it with the shipped rules, and what tests and the demo make of it', async () => {
    const { promtool } = await installPrometheus();
    const dir = mkdtempSync(join(tmpdir(), 'tracetally-deploy-'));
    try {
      cpSync(join(DEPLOY, 'prometheus.yml'), join(dir, 'prometheus.yml'));
      cpSync(RULES, join(dir, 'rules'), { recursive: true });
      const said = await run(promtool, ['check', 'config', join(dir, 'prometheus.yml')]);
      expect(said).toMatch(/SUCCESS: .*4 rule files found/);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
    const made = parse(shippedScrapeConfig(['127.0.0.1:1'], '2s')) as Prometheus;
    expect(made.rule_files).toBeUndefined();
    expect(made.scrape_configs.map(({ metric_relabel_configs }) => metric_relabel_configs)).toEqual(
      yaml<Prometheus>('prometheus.yml').scrape_configs.map(({ metric_relabel_configs }) => metric_relabel_configs),
    );
  }, 300_000);

  test('labels that follow the replica are emptied, on usage metrics alone, by name', () => {
    const [usage, self] = yaml<Prometheus>('prometheus.yml').scrape_configs;
    expect([usage!.metrics_path, usage!.honor_labels]).toEqual(['/usage_metrics', false]);
    const relabelings = ['instance', 'pod', 'node'].map((target_label) => ({
      source_labels: ['__name__'],
      regex: 'tempo_usage_tracker_.+',
      target_label,
    }));
    expect(usage!.metric_relabel_configs).toEqual(relabelings);
    expect([self!.metrics_path, self!.metric_relabel_configs]).toEqual(['/metrics', undefined]);
  });
});

describe('alertmanager.yml', () => {
  const check = async (...args: string[]) => run(await installAmtool(), args);
  const file = join(DEPLOY, 'alertmanager.yml');

  test('amtool accepts it', async () => {
    expect(await check('check-config', file)).toContain('SUCCESS');
  }, 300_000);

  test.each([
    ['TracetallyGap', 'critical', 'pager'],
    ['TracetallyOverflow', 'warning', 'tickets'],
    ['TracetallyUsageDoubled', 'info', 'finance'],
    ['SomebodyElses', 'critical', 'tickets'],
  ])('%s (%s) goes to %s', async (alertname, severity, receiver) => {
    const labels = [`alertname=${alertname}`, `severity=${severity}`];
    const said = await check('config', 'routes', 'test', `--config.file=${file}`, ...labels);
    expect(said.split('\n')).toContain(receiver);
  });

  test('the alerts that it names exist', () => {
    const shipped = new Set(alerts().map(({ alert }) => alert));
    const named = text('alertmanager.yml').match(/\bTracetally[A-Z]\w+/g) ?? [];
    expect(named.length).toBeGreaterThan(8);
    expect(named.filter((name) => !shipped.has(name))).toEqual([]);
  });
});

describe('collector.yaml', () => {
  type Protocol = { readonly include_metadata: boolean };
  type Collector = {
    readonly receivers: { readonly otlp: { readonly protocols: Readonly<Record<string, Protocol>> } };
    readonly exporters: {
      readonly kafka: {
        readonly include_metadata_keys: readonly string[];
        readonly traces: { readonly topic: string; readonly encoding: string };
        readonly sending_queue: {
          readonly batch: { readonly partition: { readonly metadata_keys: readonly string[] } };
        };
      };
    };
    readonly service: { readonly pipelines: { readonly traces: { readonly processors?: readonly string[] } } };
  };
  const { receivers, exporters, service } = yaml<Collector>('collector.yaml');
  const { kafka } = exporters;

  test('keeps tenants apart: received, batched and written by one key, which is what we look for', () => {
    const { topics } = configOf('tracetally.yaml').kafka;
    const { from } = configOf('tracetally.yaml').tenants;
    expect(Object.values(receivers.otlp.protocols).map(({ include_metadata }) => include_metadata)).toEqual([
      true,
      true,
    ]);
    expect(kafka.sending_queue.batch.partition.metadata_keys).toEqual(kafka.include_metadata_keys);
    expect(JSON.stringify(from)).toContain(kafka.include_metadata_keys[0]!);
    expect([kafka.traces.topic, kafka.traces.encoding]).toEqual([topics[0], 'otlp_proto']);
    // The batch processor would need the keys once more.
    expect(service.pipelines.traces.processors ?? []).toEqual([]);
  });
});

describe('compose.yaml', () => {
  type Service = {
    readonly image: string;
    readonly command?: readonly string[];
    readonly volumes?: readonly string[];
    readonly ports?: readonly string[];
    readonly depends_on?: readonly string[] | Readonly<Record<string, unknown>>;
    readonly stop_grace_period?: string;
    readonly read_only?: boolean;
  };
  type Compose = {
    readonly services: Readonly<Record<string, Service>>;
    readonly volumes: Readonly<Record<string, unknown>>;
  };
  const compose = yaml<Compose>('compose.yaml');
  const services = Object.entries(compose.services);

  test.each(services)('%s: a pinned image, ports on loopback, files and services that are there', (_, service) => {
    expect(service.image).toMatch(/^[a-z0-9./-]+:(?!latest$)[\w.-]+$/);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
    for (const volume of service.volumes ?? []) {
      const [from] = volume.split(':');
      const isThere = from!.startsWith('.') ? existsSync(resolve(DEPLOY, from!)) : from! in compose.volumes;
      expect([volume, isThere]).toEqual([volume, true]);
    }
    const needs = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {});
    expect(needs.filter((name) => !(name in compose.services))).toEqual([]);
  });

  test('Prometheus gets every rule file but the one for those who keep `instance`, and scrapes all replicas', () => {
    const mounted = compose.services.prometheus!.volumes!.filter((volume) => volume.includes('files/rules/'));
    expect(mounted.map((volume) => volume.split(':')[0]!.split('/').at(-1)).sort()).toEqual([
      'alerts.yaml',
      'dimension.yaml',
      'usage.yaml',
    ]);
    const replicas = Object.keys(compose.services).filter((name) => name.startsWith('tracetally-'));
    for (const { static_configs } of yaml<Prometheus>('prometheus.yml').scrape_configs)
      expect(static_configs[0]!.targets).toEqual(replicas.map((name) => `${name}:3200`));
  });

  test('a replica has time to flush, the ledger does not evict and has a file, the topic is the one that is read', () => {
    const config = configOf('tracetally.yaml');
    const replica = compose.services['tracetally-0']!;
    expect(Number.parseInt(replica.stop_grace_period!, 10) * 1000).toBeGreaterThan(config.server.shutdownTimeoutMs);
    expect(replica.read_only).toBe(true);
    const ledger = compose.services.redis!.command!.join(' ');
    expect(ledger).toMatch(/--appendonly yes .*--maxmemory-policy noeviction/);
    expect(compose.services['kafka-topic']!.command).toContain(`--topic=${config.kafka.topics[0]}`);
  });
});

describe('kustomize', () => {
  type Container = { readonly name: string; readonly image: string; readonly securityContext: unknown };
  type Pod = {
    readonly terminationGracePeriodSeconds: number;
    readonly securityContext: { readonly runAsUser: number; readonly runAsNonRoot: boolean };
    readonly containers: readonly Container[];
  };
  type Workload = { readonly spec: { readonly serviceName: string; readonly template: { readonly spec: Pod } } };
  type Kustomization = {
    readonly resources: readonly string[];
    readonly images: readonly { readonly newTag: string }[];
  };
  const kustomization = yaml<Kustomization>('kustomize/kustomization.yaml');
  const workload = yaml<Workload>('kustomize/workload.yaml').spec;

  test('what it lists is there, and its version is this one', () => {
    for (const file of kustomization.resources) expect(existsSync(join(DEPLOY, 'kustomize', file))).toBe(true);
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
    expect(kustomization.images[0]!.newTag).toBe(version);
  });

  test('the pod has time to flush, and runs as the image does, with nothing that it does not need', () => {
    const pod = workload.template.spec;
    const { shutdownTimeoutMs } = configOf('kustomize/tracetally.yaml').server;
    expect(pod.terminationGracePeriodSeconds * 1000).toBeGreaterThan(shutdownTimeoutMs);
    expect(text('Dockerfile')).toContain(`USER ${pod.securityContext.runAsUser}:`);
    expect(pod.securityContext.runAsNonRoot).toBe(true);
    expect(pod.containers[0]!.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
  });

  test('its services are documents with names, and the workload refers to one', () => {
    const names = parseAllDocuments(text('kustomize/services.yaml')).map(
      (document) => (document.toJS() as { metadata: { name: string } }).metadata.name,
    );
    expect(names).toContain(workload.serviceName);
  });
});

describe('Dockerfile', () => {
  const stages = text('Dockerfile')
    .split(/^FROM /m)
    .slice(1);
  const last = stages.at(-1)!;

  test('the last stage runs nothing, so it is built for any platform; its user is a number', () => {
    expect(stages).toHaveLength(4);
    expect(last).not.toMatch(/^RUN /m);
    expect(last).toMatch(/^USER [1-9][0-9]*:[1-9][0-9]*$/m);
  });

  test('it starts Node as the replicas of the tests are started', () => {
    const [, entry] = /^ENTRYPOINT (\[.+\])$/m.exec(last)!;
    expect(JSON.parse(entry!)).toEqual(['/usr/local/bin/node', ...NODE_FLAGS, '/app/dist/main.js']);
    const malloc = [...last.matchAll(/\b(MALLOC_\w+)=(\S+)/g)].map(([, name, value]) => [name!, value!]);
    expect(Object.fromEntries(malloc)).toEqual(NODE_ENVIRONMENT);
  });

  test('it has the Node that the project is pinned to, and images with a version', () => {
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
      devDependencies: Record<string, string>;
    };
    const images = [...text('Dockerfile').matchAll(/^ARG (\w+)_IMAGE=(.+)$/gm)].map(([, , image]) => image!);
    expect(images).toHaveLength(2);
    expect(images[0]).toContain(`/node:${devDependencies.node}-`);
    for (const image of images) expect(image).toMatch(/:(?!latest)[\w.-]+$/);
  });

  test('what it copies is let in by .dockerignore', () => {
    const ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    const copied = [...text('Dockerfile').matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files]) =>
      files!.split(' '),
    );
    expect(copied.length).toBeGreaterThan(6);
    expect(copied.filter((file) => !ignore.includes(`!${file}`))).toEqual([]);
    expect(ignore[0]).toBe('*');
  });
});

test('no dependency of production is the library of a cloud', () => {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { name?: string; dev?: boolean; devOptional?: boolean }>;
  };
  // `name`: what lies there in truth (docs/decisions/0010).
  const names = Object.entries(lock.packages).flatMap(([path, { name, dev, devOptional }]) =>
    dev === true || devOptional === true || path === '' ? [] : [name ?? path.replace(/^.*node_modules\//, '')],
  );
  expect(names.length).toBeGreaterThan(10);
  expect(
    names.filter((name) => /^@(?:aws-sdk|aws-crypto|azure|google-cloud|smithy)\/|^googleapis|^google-auth/.test(name)),
  ).toEqual([]);
});

test('the lock file has the compiled parts of dependencies for both architectures of the image', () => {
  const lock = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  for (const architecture of ['x64', 'arm64'])
    for (const name of ['@napi-rs/snappy', '@antoniomuso/lz4-napi'])
      expect(lock).toContain(`"node_modules/${name}-linux-${architecture}-gnu"`);
});
