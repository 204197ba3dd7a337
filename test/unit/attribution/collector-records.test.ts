/** Records that a real Collector wrote to a real Kafka: test/fixtures/otlp/README.md. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { Attributor } from '../../../src/attribution/attribute.ts';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { Decoder } from '../../../src/otlp/decode.ts';
import { exactSplit } from '../../support/otlp-oracle.ts';

type CollectorRecord = {
  readonly case: string;
  readonly encoding: string;
  readonly value_len: number;
  readonly value_b64: string;
  readonly spans?: number;
  readonly tenant_ids?: readonly (string | null)[];
};

const fixture = join(import.meta.dirname, '../../fixtures/otlp/collector-records.jsonl.gz');
const records = gunzipSync(readFileSync(fixture))
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as CollectorRecord);

const { dimensions } = parseDimensions(
  [
    ['service.name', ''],
    ['resource.tenant.id', 'who'],
    ['team.id', 'team'],
    ['span.gen_ai.request.model', 'model'],
  ],
  { sharedLabels: 'refuse' },
);
const table = new SeriesTable({
  settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 100, staleS: 900 }] }),
  maxLabelValueLength: 2048,
});
const plan = table.plan('acme');
const attributor = new Attributor();

const rows = (): Map<string, [number, number]> =>
  new Map(
    Array.from({ length: attributor.rows }, (_, row) => [
      JSON.stringify(decodeSeriesKey(table.keyOf(attributor.slots[row]!))),
      [attributor.values[2 * row]!, attributor.values[2 * row + 1]!],
    ]),
  );

const otlp = records.filter((record) => record.encoding === 'otlp_proto');

test(`each of ${otlp.length} OTLP records decodes to its series, spans and length`, () => {
  expect(otlp.length).toBeGreaterThan(100);
  for (const record of otlp) {
    const value = Buffer.from(record.value_b64, 'base64');
    expect(attributor.attribute(value, table, plan)).toBeNull();
    const split = rows();
    const sum = [...split.values()].reduce((total, [bytes]) => total + bytes, 0);
    expect([record.case, sum, attributor.spans]).toEqual([record.case, record.value_len, record.spans]);
    expect(split).toEqual(exactSplit(value, dimensions));
  }
});

test('each JSON record has the series and spans of the protobuf that it stands for', () => {
  const chosen = records.filter((record) => record.encoding === 'otlp_json');
  expect(chosen.length).toBeGreaterThan(10);
  const decoder = new Decoder();
  for (const record of chosen) {
    const value = decoder.decode(Buffer.from(record.value_b64, 'base64'), 'auto') as Buffer;
    expect(attributor.attribute(value, table, plan)).toBeNull();
    expect([record.case, attributor.spans]).toEqual([record.case, record.spans]);
    expect(rows()).toEqual(exactSplit(value, dimensions));
  }
});
