/** Records of a test's own, one series each: then all bytes of the record are those of the series. */
import { encodeRequest, type OtlpSpan, type OtlpValue } from './otlp-encode.ts';
import type { TrafficRecord } from './traffic.ts';

const MISSING = '__missing__';

/** A record of `spans` spans that differ in nothing but their ids. */
export function plainRecord(tenant: string, route: string, spans = 1, service: OtlpValue = 'svc'): TrafficRecord {
  const make = (index: number): OtlpSpan => ({
    traceId: Buffer.alloc(16, 1),
    spanId: Buffer.alloc(8, 1 + (index % 250)),
    name: 'work',
    attributes: [['http.route', route]],
  });
  return recordOf(
    tenant,
    service,
    Array.from({ length: spans }, (_, i) => make(i)),
    [route],
  );
}

/** A record whose every span is of a series of its own. */
export function manySeriesRecord(tenant: string, routes: readonly string[]): TrafficRecord {
  const spans = routes.map(
    (route): OtlpSpan => ({ spanId: Buffer.alloc(8, 1), name: 'work', attributes: [['http.route', route]] }),
  );
  return recordOf(tenant, 'svc', spans, routes);
}

/** The labels under `DIMENSIONS` of `plainRecord`. */
export function plainLabels(route: string, service = 'svc'): Record<string, string> {
  return { env: MISSING, route, service, team: MISSING };
}

function recordOf(
  tenant: string,
  service: OtlpValue,
  spans: readonly OtlpSpan[],
  routes: readonly string[],
): TrafficRecord {
  const request = {
    resourceSpans: [{ resource: { attributes: [['service.name', service]] as const }, scopeSpans: [{ spans }] }],
  };
  return {
    value: encodeRequest(request, 'ascending'),
    headers: { 'X-Scope-OrgID': tenant },
    tenant,
    discard: null,
    spans: spans.length,
    series: new Set(routes.map((route) => JSON.stringify(Object.entries(plainLabels(route))))),
  };
}
