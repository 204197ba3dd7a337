import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { isMapFormat } from '../../src/config/formats.ts';
import { place, ROWS } from '../../src/config/schema.ts';
import { only, renderObjects, renderText, type Values } from '../support/chart/chart.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';

let directory: string;
beforeAll(() => {
  directory = scratchDirectory('chart-values');
});
afterAll(() => removeScratch(directory));

const REDIS = { redis: { url: 'redis://redis:6379' } };
const MONITOR = { serviceMonitor: { enabled: true } };

/** What each is refused with. */
const REFUSED: readonly (readonly [what: string, values: Values, says: string])[] = [
  // values.schema.json
  ['an unknown value', { replicas: 3 }, "'replicas' not allowed"],
  ['an unknown value further down', { scrape: { usage: { intervall: '5s' } } }, "'intervall' not allowed"],
  ['an unknown setting', { config: { kafka: { topic: ['a'] } } }, "'topic' not allowed"],
  ['a text for a number', { replicaCount: '3' }, 'got string, want integer'],
  ['a number for a text', { fullnameOverride: 7 }, 'got number, want string'],
  ['a text for a list', { config: { kafka: { brokers: 'kafka:9092' } } }, 'got string, want array'],
  ['a broker without a port', { config: { kafka: { brokers: ['kafka'] } } }, 'does not match pattern'],
  ['no broker', { config: { kafka: { brokers: [] } } }, 'minItems'],
  ['a wrong choice', { config: { log: { level: 'loud' } } }, '/config/log/level'],
  ['a number out of bounds', { config: { server: { port: 70_000 } } }, '/config/server/port'],
  ['a duration without a unit', { config: { publish: { lease: '15' } } }, '/config/publish/lease'],
  ['a wrong size', { config: { ledger: { max_pending_bytes: '1 gigabyte' } } }, '/config/ledger/max_pending_bytes'],
  ['a wrong kind', { kind: 'DaemonSet' }, '/kind'],
  ['a wrong digest', { image: { digest: 'sha256:abc' } }, '/image/digest'],
  ['scaling to nothing', { keda: { minReplicaCount: 0 } }, '/keda/minReplicaCount'],
  ['a misspelt request', { resources: { request: { cpu: 1 } } }, "'request' not allowed"],
  ['a wrong quantity', { resources: { limits: { memory: '1 GB' } } }, '/resources/limits/memory'],
  // Combinations
  ['replicas without a Redis', { replicaCount: 2 }, 'replicaCount is 2, and without a Redis'],
  [
    'scaling without a Redis',
    { autoscaling: { enabled: true } },
    'autoscaling or keda is enabled, and without a Redis',
  ],
  [
    'two scalers',
    { config: REDIS, autoscaling: { enabled: true }, keda: { enabled: true, serverAddress: 'http://p:9090' } },
    'autoscaling and keda are both enabled',
  ],
  [
    'bounds the wrong way round',
    { config: REDIS, autoscaling: { enabled: true, minReplicas: 7 } },
    'autoscaling.minReplicas is above',
  ],
  [
    'bounds of keda the wrong way round',
    { config: REDIS, keda: { enabled: true, serverAddress: 'http://p:9090', minReplicaCount: 7 } },
    'keda.minReplicaCount is above',
  ],
  [
    'a scaler with nothing to go by',
    { config: REDIS, autoscaling: { enabled: true, targetCPUUtilizationPercentage: 0 } },
    'autoscaling has nothing to go by',
  ],
  [
    'a part of no request',
    { config: REDIS, autoscaling: { enabled: true }, resources: { requests: { cpu: null } } },
    'set resources.requests.cpu',
  ],
  ['keda without a Prometheus', { config: REDIS, keda: { enabled: true } }, 'set keda.serverAddress'],
  ['a grace period that is too short', { terminationGracePeriodSeconds: 29 }, 'set it to 30 or more'],
  [
    'a shutdown that is too long',
    { config: { server: { shutdown_timeout: '1m0.5s' } } },
    'terminationGracePeriodSeconds is 45, and config.server.shutdown_timeout is 1m0.5s',
  ],
  ['a port nobody knows', { config: { server: { port: 0 } } }, 'config.server.port is 0'],
  ['an address nobody reaches', { config: { server: { host: '127.0.0.1' } } }, 'config.server.host is 127.0.0.1'],
  [
    'more pending than memory',
    { config: { ledger: { max_pending_bytes: '1GiB' } } },
    'config.ledger.max_pending_bytes is 1GiB, more than three quarters of the heap of 614 MiB',
  ],
  [
    'what the chart has to know',
    { extraEnv: [{ name: 'TRACETALLY_SERVER_PORT', value: '80' }] },
    'extraEnv has TRACETALLY_SERVER_PORT, which the chart needs to know',
  ],
  ['a second heap', { extraEnv: [{ name: 'NODE_OPTIONS', value: '' }] }, 'set heapPercent to 0'],
  ['root', { podSecurityContext: { runAsUser: 0 } }, 'needs no root'],
  [
    'a password in the ConfigMap',
    { config: { redis: { url: 'redis://redis:6379', password: 'hunter2' } } },
    'config.redis.password holds a password',
  ],
  [
    'a password in a URL',
    { config: { redis: { url: 'redis://:hunter2@redis:6379' } } },
    'config.redis.url holds a password',
  ],
  [
    'a password of Kafka',
    { config: { kafka: { sasl: { mechanism: 'plain', username: 'u', password: 'hunter2' } } } },
    'config.kafka.sasl.password holds a password',
  ],
  [
    'a password twice',
    { config: { redis: { url: 'redis://r:1', password_file: '/x' } }, redis: { auth: { existingSecret: 's' } } },
    'config.redis.password_file is set, and the Secret s gives it, too',
  ],
  [
    'a URL twice',
    { config: REDIS, redis: { auth: { existingSecret: 's', urlKey: 'url' } } },
    'redis.auth.urlKey gives it',
  ],
  ['a login without a way', { kafka: { auth: { existingSecret: 's', usernameKey: 'u' } } }, 'mechanism is not'],
  [
    'a login without a name',
    { kafka: { auth: { existingSecret: 's' } }, config: { kafka: { sasl: { mechanism: 'plain' } } } },
    'without a user name',
  ],
  ['credentials for no registry', { schemaRegistry: { auth: { existingSecret: 's' } } }, 'and there is no registry'],
  ['credentials for no Redis', { redis: { auth: { existingSecret: 's' } } }, 'and there is no Redis'],
  ['half a certificate', { kafka: { tls: { existingSecret: 's', certKey: 'tls.crt' } } }, 'go together'],
  [
    'tokens without a key',
    { server: { auth: { existingSecret: 's' } } },
    'server.auth.existingSecret is set, and no key',
  ],
  [
    'TLS on and off',
    { kafka: { tls: { existingSecret: 's' } }, config: { kafka: { tls: { enabled: false } } } },
    'config.kafka.tls.enabled is false',
  ],
  ['everything twice', { ...MONITOR, podMonitor: { enabled: true } }, 'serviceMonitor and podMonitor are both enabled'],
  [
    'a monitor of nothing',
    { ...MONITOR, scrape: { usage: { enabled: false }, self: { enabled: false } } },
    'scrape.usage.enabled and scrape.self.enabled are both false',
  ],
  [
    'a timeout above the interval',
    { ...MONITOR, scrape: { self: { interval: '5s' } } },
    'scrape.self.scrapeTimeout (10s) is longer than scrape.self.interval (5s)',
  ],
  [
    'a scrape that misses births',
    { ...MONITOR, scrape: { usage: { interval: '75s' } } },
    'is not shorter than config.publish.birth_hold (75s)',
  ],
  [
    'a limit below one tenant',
    { ...MONITOR, scrape: { usage: { sampleLimit: 20_000 } } },
    'one tenant may have 10000 series with two samples each',
  ],
  ['targets that merge', { scrape: { usage: { dropTargetLabels: ['instance'] } } }, 'targets would merge'],
  ['two budgets', { podDisruptionBudget: { minAvailable: 1 } }, 'set maxUnavailable to null'],
  ['no budget', { podDisruptionBudget: { maxUnavailable: null } }, 'needs maxUnavailable or minAvailable'],
  [
    'a budget that blocks drains',
    { podDisruptionBudget: { maxUnavailable: null, minAvailable: 1 } },
    'lets no replica go',
  ],
  ['a budget of nothing', { podDisruptionBudget: { maxUnavailable: 0 } }, 'lets no replica go'],
];

test.each(REFUSED)('refused: %s', async (_what, values, says) => {
  await expect(renderText(directory, values)).rejects.toThrow(says);
});

test('all that does not fit is said at once', async () => {
  const values = { replicaCount: 2, terminationGracePeriodSeconds: 1, podDisruptionBudget: { maxUnavailable: 0 } };
  const refused = renderText(directory, values);
  await expect(refused).rejects.toThrow(/replicaCount is 2[\s\S]*lets no replica go[\s\S]*set it to 30 or more/);
});

/** As it stands in values: `${NAME}`. */
const variable = (name: string): string => `$\{${name}}`;

const TAKEN: readonly (readonly [what: string, values: Values])[] = [
  ['nothing', {}],
  ['what a chart above gives', { global: { registry: 'x' }, enabled: true }],
  [
    'a Redis in the environment',
    { replicaCount: 2, extraEnv: [{ name: 'TRACETALLY_REDIS_CLUSTER', value: 'r:6379' }] },
  ],
  ['a Redis in a Secret', { replicaCount: 2, extraEnvFrom: [{ secretRef: { name: 'redis' } }] }],
  ['a password in a variable', { config: { redis: { url: `redis://u:${variable('P')}@r:6379`, password: '' } } }],
  ['a Redis Cluster', { replicaCount: 5, config: { redis: { cluster: ['a:6379', 'b:6379'] } } }],
  [
    'settings in variables',
    { config: { log: { level: variable('LEVEL:info') }, server: { shutdown_timeout: variable('T') } } },
  ],
  ['no heap', { heapPercent: 0, extraEnv: [{ name: 'NODE_OPTIONS', value: '--max-old-space-size=100' }] }],
  ['no memory limit', { resources: { limits: { memory: null } } }],
  ['no hold', { ...MONITOR, config: { publish: { birth_hold: 0 } }, scrape: { usage: { interval: '2m' } } }],
  ['a higher limit than a tenant', { ...MONITOR, scrape: { usage: { sampleLimit: 20_001 } } }],
  ['an exact grace period', { terminationGracePeriodSeconds: 30 }],
  ['a topic with a dot', { config: { kafka: { topics: ['a.b', variable('TOPIC')] } } }],
];

test.each(TAKEN)('taken: %s', async (_what, values) => {
  expect(await renderText(directory, values)).toContain('kind: StatefulSet');
});

test('every setting of the service can stand in the values, with its default', async () => {
  const config: Record<string, unknown> = {};
  for (const row of ROWS) {
    const value = isMapFormat(row.format) ? Object.fromEntries(row.default as [string, string][]) : row.default;
    place(config, row.path, value);
  }
  const map = only(await renderObjects(directory, { config }), 'ConfigMap');
  for (const row of ROWS) expect(map.data['config.yaml']).toContain(`${row.path.split('.').at(-1)}:`);
});
