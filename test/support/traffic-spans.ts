/** Requests as instrumented services send them: some twenty attributes a span, events, links, a status. */
import type { OtlpAttributes, OtlpEvent, OtlpLink, OtlpRequest, OtlpResourceSpans, OtlpSpan } from './otlp-encode.ts';
import type { Random } from './random.ts';
import type { ServiceModel, TenantModel } from './traffic-world.ts';

export type MadeRequest = {
  readonly request: OtlpRequest;
  readonly spans: number;
  /** The distinct label sets under `DIMENSIONS`, each as JSON: `[[label, value], ...]`, sorted by label. */
  readonly series: ReadonlySet<string>;
};

type Attributes = OtlpAttributes[number][];

const MISSING = '__missing__';
const INTERNAL = 1;
const SERVER = 2;
const CLIENT = 3;

/** A request with `spans` spans of one tenant, over one to four resources. */
export function makeRequest(random: Random, tenant: TenantModel, spans: number, nowMs: number): MadeRequest {
  const series = new Set<string>();
  const resourceSpans: OtlpResourceSpans[] = [];
  const regions = Math.min(spans, random.between(1, 4));
  for (let i = 0; i < regions; i += 1) {
    const share = Math.floor(((i + 1) * spans) / regions) - Math.floor((i * spans) / regions);
    resourceSpans.push(makeRegion(random, tenant, share, nowMs, series));
  }
  return { request: { resourceSpans }, spans, series };
}

function makeRegion(
  random: Random,
  tenant: TenantModel,
  spans: number,
  nowMs: number,
  series: Set<string>,
): OtlpResourceSpans {
  const service = random.weighted(tenant.services);
  const environment = random.weighted(tenant.environments).name;
  const first = random.between(0, spans);
  const traceId = random.bytes(16);
  const make = (count: number) =>
    Array.from({ length: count }, () => {
      const route = routeOf(random, tenant, service);
      series.add(seriesOf(service, environment, route));
      return makeSpan(random, service, route, traceId, nowMs);
    });
  return {
    resource: { attributes: resourceAttributes(random, tenant, service, environment) },
    scopeSpans: [
      { scope: { name: `@acme/instrumentation-http`, version: '1.30.0' }, spans: make(first) },
      { scope: { name: `${service.name}.manual` }, spans: make(spans - first) },
    ],
    schemaUrl: 'https://opentelemetry.io/schemas/1.37.0',
  };
}

/** The labels that `DIMENSIONS` gives a span, sorted by name. */
function seriesOf(service: ServiceModel, environment: string, route: string | null): string {
  return JSON.stringify([
    ['env', environment],
    ['route', route ?? MISSING],
    ['service', service.name],
    ['team', service.team],
  ]);
}

function routeOf(random: Random, tenant: TenantModel, service: ServiceModel): string | null {
  if (service.routes.length === 0 || random.chance(0.25)) return null;
  const route = random.pick(service.routes);
  return tenant.longTail && random.chance(0.6) ? `${route}/q-${random.between(0, 4000)}` : route;
}

function resourceAttributes(
  random: Random,
  tenant: TenantModel,
  service: ServiceModel,
  environment: string,
): OtlpAttributes {
  const pod = `${service.name}-${random.pick(['7d9f8b6c5', '5c4d8f7b9'])}-${random.between(10_000, 99_999)}`;
  return [
    ['telemetry.sdk.name', 'opentelemetry'],
    ['telemetry.sdk.language', service.language],
    ['telemetry.sdk.version', '2.1.0'],
    ['service.name', service.name],
    ['service.namespace', tenant.tenant],
    ['service.version', `4.${random.between(0, 9)}.${random.between(0, 30)}`],
    ['service.instance.id', random.bytes(16).toString('hex')],
    ['team.name', service.team],
    ['deployment.environment.name', environment],
    ['host.name', `node-${random.between(1, 40)}.eu-central-1.compute.internal`],
    ['os.type', 'linux'],
    ['process.pid', random.between(1, 60_000)],
    ['process.command_args', { array: ['/usr/bin/serve', '--port', '8080', `--service=${service.name}`] }],
    ['k8s.pod.name', pod],
    ['k8s.namespace.name', service.team],
    ['k8s.node.name', `ip-10-0-${random.between(0, 255)}-${random.between(0, 255)}`],
    ['cloud.region', 'eu-central-1'],
  ];
}

function makeSpan(
  random: Random,
  service: ServiceModel,
  route: string | null,
  traceId: Uint8Array,
  nowMs: number,
): OtlpSpan {
  const kind = route === null ? random.pick([INTERNAL, CLIENT]) : SERVER;
  const startNano = BigInt(Math.floor(nowMs)) * 1_000_000n + BigInt(random.between(0, 999_999));
  const durationNano = BigInt(random.between(20_000, 900_000_000));
  const failed = random.chance(0.03);
  return {
    traceId,
    spanId: random.bytes(8),
    ...(random.chance(0.85) ? { parentSpanId: random.bytes(8) } : {}),
    ...(random.chance(0.05) ? { traceState: 'vendor=t61rcWkgMzE' } : {}),
    name: route === null ? `${service.name} work` : `GET ${route}`,
    kind,
    startTimeUnixNano: startNano,
    endTimeUnixNano: startNano + durationNano,
    attributes: kind === SERVER ? serverAttributes(random, route) : clientAttributes(random, kind),
    ...(random.chance(0.15) ? { events: [makeEvent(random, startNano, failed)] } : {}),
    ...(random.chance(0.04) ? { links: [makeLink(random)] } : {}),
    ...(failed ? { status: { code: 2, message: 'upstream timed out' } } : {}),
    ...(random.chance(0.5) ? { flags: 257 } : {}),
  };
}

function serverAttributes(random: Random, route: string | null): OtlpAttributes {
  const attributes: Attributes = [
    ['http.request.method', random.pick(['GET', 'GET', 'GET', 'POST', 'PUT'])],
    ['url.scheme', 'https'],
    ['url.path', `${(route ?? '').replaceAll(/\{\w+\}/g, String(random.between(1, 1e6)))}`],
    ['url.query', `page=${random.between(1, 20)}&sort=price`],
    ['http.response.status_code', random.weighted(STATUS_CODES).code],
    ['http.response.body.size', random.between(100, 80_000)],
    ['network.protocol.version', random.pick(['1.1', '2'])],
    ['server.address', 'api.example.internal'],
    ['server.port', 8443],
    ['client.address', `10.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(0, 255)}`],
    ['user_agent.original', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36'],
    ['enduser.id', `user-${random.between(1, 50_000)}`],
    ['session.id', random.bytes(12).toString('hex')],
    ['feature.flag.new_checkout', random.chance(0.5)],
    ['queue.wait_ms', { double: random.next() * 40 }],
    ['thread.id', random.between(1, 64)],
    ['thread.name', `worker-${random.between(1, 64)}`],
    ['code.function.name', 'handleRequest'],
    ['code.file.path', 'src/http/handlers/request-handler.ts'],
  ];
  if (route !== null) attributes.splice(random.between(0, attributes.length), 0, ['http.route', route]);
  return attributes;
}

const STATUS_CODES = [
  { code: 200, weight: 90 },
  { code: 404, weight: 6 },
  { code: 503, weight: 4 },
];

function clientAttributes(random: Random, kind: number): OtlpAttributes {
  const attributes: Attributes = [
    ['db.system.name', 'postgresql'],
    ['db.namespace', 'orders'],
    ['db.operation.name', 'SELECT'],
    ['db.collection.name', random.pick(['orders', 'order_items', 'customers'])],
    ['db.query.text', 'SELECT id, state, total FROM orders WHERE customer_id = $1 ORDER BY created_at DESC LIMIT 50'],
    ['db.response.returned_rows', random.between(0, 50)],
    ['server.address', 'orders-db.internal'],
    ['server.port', 5432],
    ['network.peer.address', `10.8.${random.between(0, 255)}.${random.between(0, 255)}`],
    ['network.peer.port', 5432],
    ['thread.id', random.between(1, 64)],
    ['thread.name', `worker-${random.between(1, 64)}`],
    ['code.function.name', 'loadOrders'],
    ['code.line.number', random.between(1, 900)],
    ['pool.size', 16],
    ['pool.wait_ms', { double: random.next() * 5 }],
    ['cache.hit', random.chance(0.7)],
    ['retry.count', random.between(0, 2)],
  ];
  if (kind === INTERNAL) attributes.push(['job.tags', { array: ['nightly', 'bulk'] }], ['job.name', 'recompute']);
  return attributes;
}

function makeEvent(random: Random, startNano: bigint, failed: boolean): OtlpEvent {
  const timeUnixNano = startNano + BigInt(random.between(1000, 20_000));
  if (!failed)
    return { timeUnixNano, name: 'cache.miss', attributes: [['cache.key', random.bytes(8).toString('hex')]] };
  const attributes: OtlpAttributes = [
    ['exception.type', 'TimeoutError'],
    ['exception.message', 'upstream timed out after 800 ms'],
    ['exception.stacktrace', 'TimeoutError: upstream timed out\n    at Client.request (client.ts:120:11)\n'.repeat(6)],
  ];
  return { timeUnixNano, name: 'exception', attributes };
}

function makeLink(random: Random): OtlpLink {
  return {
    traceId: random.bytes(16),
    spanId: random.bytes(8),
    attributes: [['messaging.batch.index', random.between(0, 99)]],
  };
}
