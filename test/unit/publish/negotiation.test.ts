import { expect, test } from '@jest/globals';
import { acceptsGzip, formatFor } from '../../../src/publish/negotiation.ts';

const PROMETHEUS_2 =
  'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1';
const PROMETHEUS_3 =
  'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';
const PROTOBUF_FIRST =
  'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1';

test.each([
  [undefined, 'text'],
  ['', 'text'],
  ['*/*', 'text'],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', 'text'],
  [PROMETHEUS_2, 'openmetrics'],
  [PROMETHEUS_3, 'openmetrics'],
  [PROTOBUF_FIRST, 'openmetrics'],
  ['text/plain', 'text'],
  ['Application/OpenMetrics-Text', 'openmetrics'],
  ['application/openmetrics-text; version="1.0.0"; charset=utf-8', 'openmetrics'],
  ['application/openmetrics-text;version=0.0.1', 'text'],
  ['application/openmetrics-text;q=0', 'text'],
  ['application/openmetrics-text;q=0.3,text/plain;q=0.4', 'text'],
  ['application/openmetrics-text,*/*', 'openmetrics'],
  ['text/plain;q=0,*/*', 'openmetrics'],
  ['application/openmetrics-text;q=nonsense', 'text'],
  [';;,,=,;q=1', 'text'],
])('Accept %p is answered with %s', (accept, format) => {
  expect(formatFor(accept)).toBe(format);
});

test.each([
  [undefined, false],
  ['', false],
  ['gzip', true],
  ['GZIP, deflate, br', true],
  ['deflate', false],
  ['gzip;q=0', false],
  ['*', true],
  ['*;q=0.5, gzip;q=0', false],
  ['identity;q=1, *;q=0', false],
])('Accept-Encoding %p: gzip %s', (header, expected) => {
  expect(acceptsGzip(header)).toBe(expected);
});
