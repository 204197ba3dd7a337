import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import protobuf from 'protobufjs';
import { encodeRequest, type OtlpRequest } from '../../support/otlp-encode.ts';

const Request = protobuf
  .loadSync(join(import.meta.dirname, '../../fixtures/otlp/trace.proto'))
  .lookupType('otlp.ExportTraceServiceRequest');

const request: OtlpRequest = {
  resourceSpans: [
    {
      resource: { attributes: [['service.name', 'cart']] },
      scopeSpans: [
        {
          scope: { name: 'lib' },
          spans: [
            {
              name: 'a',
              traceId: Buffer.alloc(16, 1),
              attributes: [
                ['n', -1],
                ['d', 0.5],
                ['b', true],
              ],
              flags: 257,
            },
            { name: 'b'.repeat(300), kind: 2, startTimeUnixNano: 17n, attributes: [['list', { array: ['x', 1] }]] },
          ],
        },
      ],
      schemaUrl: 'http://schema',
    },
  ],
};

test.each(['ascending', 'descending'] as const)('the encoder writes what protobuf reads (%s)', (order) => {
  const decoded = Request.toObject(Request.decode(encodeRequest(request, order)), { longs: String, arrays: false });
  const [region] = decoded.resourceSpans;
  expect(region.schemaUrl).toBe('http://schema');
  expect(region.resource.attributes[0]).toEqual({ key: 'service.name', value: { stringValue: 'cart' } });
  const [a, b] = region.scopeSpans[0].spans;
  expect([a.name, a.flags, a.attributes.map((kv: { value: object }) => kv.value)]).toEqual([
    'a',
    257,
    [{ intValue: '-1' }, { doubleValue: 0.5 }, { boolValue: true }],
  ]);
  expect([b.name.length, b.kind, b.startTimeUnixNano]).toEqual([300, 2, '17']);
  expect(b.attributes[0].value.arrayValue.values).toEqual([{ stringValue: 'x' }, { intValue: '1' }]);
});

test('descending order is the order of the Collector', () => {
  const bytes = encodeRequest(
    { resourceSpans: [{ scopeSpans: [{ spans: [{ name: 'n', flags: 1 }] }] }] },
    'descending',
  );
  expect(bytes.toString('hex')).toBe(
    ['0a15', '1211', '120d', '7a00', '2a016e', '850101000000', '2200', '0a00', '0a00'].join(''),
  );
});
