/** The schema of the chart's values: strict where the chart gives the words, open where Kubernetes does. */
import { configSchema, type Schema } from './config-schema.ts';

const object = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  additionalProperties: false,
  properties,
});
const oneOf = (...values: readonly string[]): Schema => ({ enum: values });
const integer = (minimum: number, maximum?: number): Schema => ({
  type: 'integer',
  minimum,
  ...(maximum === undefined ? {} : { maximum }),
});
const text: Schema = { type: 'string' };
const name: Schema = { type: 'string', pattern: '^$|^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$' };
const secretKey: Schema = { type: 'string', pattern: '^[A-Za-z0-9._-]*$' };
const flag: Schema = { type: 'boolean' };
/** Prometheus's: no spaces, units from large to small. */
const interval: Schema = { type: 'string', pattern: '^([0-9]+(ms|s|m|h|d))+$' };
const texts: Schema = { type: 'array', items: text };
const labelNames: Schema = {
  type: 'array',
  items: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_]*$' },
  uniqueItems: true,
};
const stringMap: Schema = { type: 'object', additionalProperties: text };
/** As Kubernetes has it. */
const free: Schema = { type: 'object' };
const freeList: Schema = { type: 'array', items: free };
const named: Schema = {
  type: 'array',
  items: { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 1 } } },
};
const numberOrPercent: Schema = {
  anyOf: [integer(0), { type: 'string', pattern: '^(100|[1-9]?[0-9])%$' }, { type: 'null' }],
};

const quantities: Schema = {
  type: 'object',
  additionalProperties: {
    anyOf: [
      { type: 'string', pattern: '^[0-9]+(\\.[0-9]+)?(m|[kMGTPE]i?|e[0-9]+)?$' },
      { type: 'number', minimum: 0 },
    ],
  },
};

const tlsSecret = object({ existingSecret: name, caKey: secretKey, certKey: secretKey, keyKey: secretKey });
const probe = object({
  initialDelaySeconds: integer(0),
  periodSeconds: integer(1),
  timeoutSeconds: integer(1),
  failureThreshold: integer(1),
  successThreshold: integer(1),
  terminationGracePeriodSeconds: integer(1),
});
const monitor = object({ enabled: flag, labels: stringMap, annotations: stringMap, namespace: name, jobLabel: text });
const endpoint = {
  enabled: flag,
  interval,
  scrapeTimeout: interval,
  sampleLimit: integer(0),
  honorLabels: flag,
  relabelings: freeList,
  metricRelabelings: freeList,
};

const IDENTITY: Readonly<Record<string, Schema>> = {
  // What a chart above this one gives: its globals, and the switch that its `condition` looks at.
  global: free,
  enabled: flag,
  nameOverride: { type: 'string', pattern: '^$|^[a-z0-9]([a-z0-9-]*[a-z0-9])?$' },
  fullnameOverride: { type: 'string', pattern: '^$|^[a-z]([a-z0-9-]*[a-z0-9])?$' },
  namespaceOverride: name,
  commonLabels: stringMap,
  image: object({
    repository: { type: 'string', pattern: '^[a-z0-9][A-Za-z0-9._:/-]*$' },
    tag: { type: 'string', pattern: '^[A-Za-z0-9._-]{0,128}$' },
    digest: { type: 'string', pattern: '^$|^sha256:[0-9a-f]{64}$' },
    pullPolicy: oneOf('Always', 'IfNotPresent', 'Never'),
  }),
  imagePullSecrets: named,
};

const WORKLOAD: Readonly<Record<string, Schema>> = {
  kind: oneOf('StatefulSet', 'Deployment'),
  replicaCount: integer(0, 1000),
  updateStrategy: free,
  podManagementPolicy: oneOf('OrderedReady', 'Parallel'),
  minReadySeconds: integer(0),
  revisionHistoryLimit: integer(0),
  terminationGracePeriodSeconds: integer(1),
  // As Tempo has it, with whatever else Tempo keeps for a tenant: the service says what is wrong.
  overrides: { type: 'object', additionalProperties: { type: ['object', 'null'] } },
  restartOnConfigChange: flag,
  resources: object({ requests: quantities, limits: quantities, claims: freeList }),
  heapPercent: integer(0, 90),
  livenessProbe: probe,
  readinessProbe: probe,
  startupProbe: probe,
  podSecurityContext: free,
  securityContext: free,
  nodeSelector: stringMap,
  tolerations: freeList,
  affinity: free,
  topologySpreadConstraints: freeList,
  priorityClassName: name,
  runtimeClassName: name,
  schedulerName: text,
  dnsPolicy: oneOf('', 'ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'),
  dnsConfig: free,
  hostAliases: freeList,
  podAnnotations: stringMap,
  podLabels: stringMap,
  annotations: stringMap,
  lifecycle: free,
};

const SECRETS: Readonly<Record<string, Schema>> = {
  server: object({
    auth: object({ existingSecret: name, adminTokenKey: secretKey, metricsTokenKey: secretKey }),
    tls: tlsSecret,
  }),
  kafka: object({
    auth: object({ existingSecret: name, passwordKey: secretKey, usernameKey: secretKey }),
    tls: tlsSecret,
  }),
  schemaRegistry: object({
    auth: object({ existingSecret: name, passwordKey: secretKey, usernameKey: secretKey }),
    tls: object({ existingSecret: name, caKey: secretKey }),
  }),
  redis: object({
    auth: object({ existingSecret: name, passwordKey: secretKey, usernameKey: secretKey, urlKey: secretKey }),
    tls: tlsSecret,
  }),
};

const EXPOSURE: Readonly<Record<string, Schema>> = {
  service: object({
    type: oneOf('ClusterIP', 'NodePort', 'LoadBalancer'),
    port: integer(1, 65_535),
    annotations: stringMap,
    labels: stringMap,
  }),
  serviceMonitor: monitor,
  podMonitor: monitor,
  scrape: object({
    extra: free,
    usage: object({ ...endpoint, emptyLabels: labelNames, dropTargetLabels: labelNames }),
    self: object(endpoint),
  }),
  prometheusRule: object({
    enabled: flag,
    labels: stringMap,
    annotations: stringMap,
    namespace: name,
    alertLabels: stringMap,
    disabledAlerts: texts,
    dimensions: labelNames,
    merge: flag,
    runbookUrl: { type: 'string', pattern: '^$|^https?://' },
  }),
  dashboards: object({ enabled: flag, labels: stringMap, annotations: stringMap, namespace: name }),
  networkPolicy: object({
    enabled: flag,
    ingressFrom: freeList,
    egress: flag,
    egressTo: freeList,
    egressPorts: { type: 'array', items: integer(1, 65_535) },
    egressRules: freeList,
  }),
};

const SCALING: Readonly<Record<string, Schema>> = {
  autoscaling: object({
    enabled: flag,
    minReplicas: integer(1),
    maxReplicas: integer(1),
    targetCPUUtilizationPercentage: integer(0),
    metrics: freeList,
    behavior: free,
  }),
  keda: object({
    enabled: flag,
    // Not 0: totals are shown by replicas, and an idle topic has totals.
    minReplicaCount: integer(1),
    maxReplicaCount: integer(1),
    pollingInterval: integer(1),
    serverAddress: { type: 'string', pattern: '^$|^https?://' },
    lagSeconds: integer(1),
    query: text,
    authenticationRef: name,
    triggers: freeList,
    fallback: free,
    behavior: free,
    annotations: stringMap,
  }),
  podDisruptionBudget: object({
    enabled: flag,
    maxUnavailable: numberOrPercent,
    minAvailable: numberOrPercent,
    unhealthyPodEvictionPolicy: oneOf('IfHealthyBudget', 'AlwaysAllow'),
  }),
};

const MORE: Readonly<Record<string, Schema>> = {
  serviceAccount: object({ create: flag, name, annotations: stringMap }),
  extraEnv: named,
  extraEnvFrom: freeList,
  extraVolumes: named,
  extraVolumeMounts: named,
  extraContainers: named,
  initContainers: named,
  extraArgs: texts,
  extraObjects: { type: 'array', items: { type: ['object', 'string'] } },
  tests: object({ enabled: flag }),
};

/** values.schema.json */
export const valuesSchema = (): string => {
  const properties = { ...IDENTITY, ...WORKLOAD, config: configSchema(), ...SECRETS, ...EXPOSURE, ...SCALING, ...MORE };
  const $schema = 'http://json-schema.org/draft-07/schema#';
  return `${JSON.stringify({ $schema, title: 'Values of the chart tracetally', ...object(properties) }, null, 2)}\n`;
};
