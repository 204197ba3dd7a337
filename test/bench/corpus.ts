/**
 * Records for benchmarks: what a Collector writes for a fleet of web services, 8 to 120 spans of about 880 bytes in a
 * batch, 17 attributes in a resource, 20 in a span. The same seed gives the same bytes.
 */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  encodeRequest,
  type OtlpAttributes,
  type OtlpResourceSpans,
  type OtlpScopeSpans,
  type OtlpSpan,
} from '../support/otlp-encode.ts';
import { type Random, seeded } from '../support/random.ts';

const ENVIRONMENTS = ['production', 'staging', 'canary', 'eu-production', 'load-test'];
const DOMAINS = ['cart', 'catalog', 'payment', 'search', 'identity', 'shipping', 'billing', 'media', 'inventory'];
const ROLES = ['api', 'worker', 'cache', 'consumer', 'gateway'];
const ROUTES = DOMAINS.flatMap((domain) => [
  `/api/v1/${domain}s`,
  `/api/v1/${domain}s/{id}`,
  `/internal/${domain}/sync`,
]);
const METHODS = ['GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE'];

/** Values of a file as `test/bench` and the shared corpus keep them: each behind its length as a varint, gzip or not. */
export function readCorpus(file: string): Buffer[] {
  const raw = readFileSync(file);
  const bytes = raw[0] === 0x1f && raw[1] === 0x8b ? gunzipSync(raw) : raw;
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++]!;
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    records.push(bytes.subarray(at, at + length));
    at += length;
  }
  return records;
}

/** Records of at least `bytes` in all, one behind the other in one buffer as a decompressed fetch would hold them. */
export function makeCorpus(bytes: number, seed: number): Buffer[] {
  return make(bytes, seed, (random) => times(random.between(2, 5), () => region(random, random.between(2, 20))));
}

/** The same with one span in a record, about 1.4 kB. */
export function makeSmallCorpus(bytes: number, seed: number): Buffer[] {
  return make(bytes, seed, (random) => [region(random, 1, 1)]);
}

function make(bytes: number, seed: number, resourceSpans: (random: Random) => OtlpResourceSpans[]): Buffer[] {
  const random = seeded(seed);
  const records: Buffer[] = [];
  for (let made = 0; made < bytes; made += records.at(-1)!.length) {
    records.push(encodeRequest({ resourceSpans: resourceSpans(random) }, 'descending'));
  }
  const all = Buffer.concat(records);
  let at = 0;
  return records.map(({ length }) => {
    at += length;
    return all.subarray(at - length, at);
  });
}

function region(random: Random, spans: number, scopes = random.between(1, 2)): OtlpResourceSpans {
  const service = `${random.pick(DOMAINS)}-${random.pick(ROLES)}`;
  return {
    resource: { attributes: resourceAttributes(random, service) },
    scopeSpans: times(scopes, (): OtlpScopeSpans => {
      const scope = { name: '@opentelemetry/instrumentation-http', version: '0.203.0' };
      return { scope, spans: times(spans, () => span(random)) };
    }),
    schemaUrl: 'https://opentelemetry.io/schemas/1.37.0',
  };
}

function resourceAttributes(random: Random, service: string): OtlpAttributes {
  const pod = random.bytes(5).toString('hex');
  return [
    ['service.name', service],
    ['service.namespace', 'shop'],
    ['service.version', `1.${random.between(0, 30)}.${random.between(0, 9)}`],
    ['service.instance.id', random.bytes(16).toString('hex')],
    ['deployment.environment.name', random.pick(ENVIRONMENTS)],
    ['telemetry.sdk.language', 'nodejs'],
    ['telemetry.sdk.name', 'opentelemetry'],
    ['telemetry.sdk.version', '2.0.1'],
    ['host.name', `node-${random.between(1, 90)}`],
    ['host.arch', 'arm64'],
    ['os.type', 'linux'],
    ['process.pid', random.between(1, 32_000)],
    ['process.runtime.name', 'nodejs'],
    ['k8s.namespace.name', 'shop'],
    ['k8s.pod.name', `${service}-${pod}`],
    ['k8s.deployment.name', service],
    ['cloud.region', 'eu-central-1'],
  ];
}

function span(random: Random): OtlpSpan {
  const route = random.pick(ROUTES);
  const start = 1_790_000_000_000_000_000n + BigInt(random.between(0, 2 ** 31));
  return {
    traceId: random.bytes(16),
    spanId: random.bytes(8),
    parentSpanId: random.bytes(random.chance(0.8) ? 8 : 0),
    name: `GET ${route}`,
    kind: random.between(1, 5),
    startTimeUnixNano: start,
    endTimeUnixNano: start + BigInt(random.between(1000, 2 ** 30)),
    attributes: spanAttributes(random, route),
    events: random.chance(0.1) ? [{ timeUnixNano: start, name: 'retry', attributes: [['attempt', 2]] }] : [],
    flags: 257,
  };
}

function spanAttributes(random: Random, route: string): OtlpAttributes {
  const path = route.replace('{id}', random.bytes(4).toString('hex'));
  return [
    ['http.request.method', random.pick(METHODS)],
    ['http.response.status_code', random.pick([200, 200, 200, 204, 404, 500])],
    ...(random.chance(0.7) ? ([['http.route', route]] as const) : []),
    [
      'url.full',
      `https://${random.pick(DOMAINS)}.shop.example${path}?page=${random.between(1, 99)}&sort=price&dir=desc`,
    ],
    ['url.path', path],
    ['url.scheme', 'https'],
    ['server.address', `${random.pick(DOMAINS)}.shop.svc.cluster.local`],
    ['server.port', 8443],
    ['client.address', `10.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(0, 255)}`],
    ['network.protocol.version', '1.1'],
    ['network.peer.port', random.between(1024, 65_535)],
    ['user_agent.original', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0'],
    ['thread.id', random.between(1, 200)],
    ['thread.name', `worker-${random.between(1, 32)}`],
    ['code.function.name', 'handleRequest'],
    ['app.tenant.tier', random.pick(['free', 'team', 'enterprise'])],
    ['app.feature.flag', random.chance(0.5)],
    ['app.cart.total', { double: random.next() * 500 }],
    ['db.system.name', 'postgresql'],
    [
      'db.query.text',
      'SELECT id, name, price FROM products WHERE category = $1 AND price < $2 ORDER BY price LIMIT 50',
    ],
  ];
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}
