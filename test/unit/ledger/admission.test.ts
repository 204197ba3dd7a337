import { describe, expect, test } from '@jest/globals';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { Admission } from '../../../src/ledger/admission.ts';
import { shardOf } from '../../../src/ledger/keys.ts';
import { PartitionPending, RowCount } from '../../../src/ledger/pending.ts';
import { buildCall } from '../../../src/ledger/sections.ts';
import { STRING } from '../../../src/otlp/scan.ts';

const TENANT = 'acme';
const SHARD = shardOf(TENANT);

const tableOf = (...labels: readonly string[]): SeriesTable => {
  const { dimensions } = parseDimensions(
    labels.map((label) => [label, ''] as const),
    { sharedLabels: 'refuse' },
  );
  const trackers = [{ name: 'cost-attribution', dimensions, limit: 10, staleS: 900 }];
  return new SeriesTable({ settings: () => ({ trackers }), maxLabelValueLength: 2048 });
};

const slotOf = (table: SeriesTable, ...values: readonly string[]): number => {
  const numbers = values.map((value) => table.value(STRING, Buffer.from(value), 0, Buffer.byteLength(value)));
  return table.slot(table.plan(TENANT).shapes[0]!, Uint32Array.from(numbers));
};

describe('a series that has the labels of the overflow', () => {
  test('is overflow from its first byte', () => {
    const table = tableOf('a', 'b');
    const admission = new Admission(shardOf);
    const places = [
      ['__overflow__', '__overflow__'],
      ['__overflow__', 'x'],
      ['__overflow__', ''],
    ].map((values) => admission.place(table, slotOf(table, ...values)));
    expect(places).toEqual(['overflow', 'series', 'series']);
  });

  test('is none where there are no labels: those are the tenant itself', () => {
    const table = tableOf();
    expect(new Admission(shardOf).place(table, slotOf(table))).toBe('series');
  });

  test('is sent as amounts without a series', () => {
    const table = tableOf('a');
    const admission = new Admission(shardOf);
    const pending = new PartitionPending(new RowCount(100));
    const segment = pending.open(SHARD, table, 0, 0);
    const slot = slotOf(table, '__overflow__');
    expect(admission.place(table, slot)).toBe('overflow');
    segment.divert(table.accountOf(slot), 7, 1);
    segment.to = 1;
    const part = { field: 'topic/0' as never, from: 0, to: 1, replay: false, segment };
    const { call } = buildCall(SHARD, 10, [part], admission);
    const [entry] = call.sections[0]!.entries;
    expect([entry!.ids.length, [...entry!.overflow!]]).toEqual([0, [7, 1]]);
  });
});
