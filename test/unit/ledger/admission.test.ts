import { describe, expect, test } from '@jest/globals';
import { parseDimensions } from '../../../src/attribution/dimensions.ts';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { Admission, accountKey } from '../../../src/ledger/admission.ts';
import { windowS } from '../../../src/ledger/demand.ts';
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

describe('an account without room', () => {
  const NOW = 1_000_000;
  const ACCOUNT = { tenant: TENANT, tracker: 'cost-attribution', measures: 2, limit: 1, staleS: 900 };
  const full = { live: 1, room: 0, admissions: 1, tenantRefused: false };
  const idOf = (table: SeriesTable, slot: number): Buffer => {
    const id = Buffer.alloc(16);
    table.copyId(slot, id, 0);
    return id;
  };

  test('is asked for by what overflowed, in the ledger or here, each once in a window', () => {
    const table = tableOf('a');
    const admission = new Admission(shardOf);
    const [live, other, third] = ['live', 'other', 'third'].map((value) => slotOf(table, value)) as [
      number,
      number,
      number,
    ];
    const key = accountKey(ACCOUNT);
    admission.note(SHARD, ACCOUNT, { ...full, overflowed: idOf(table, other) }, NOW);
    expect(admission.takeDemand(key)).toHaveLength(2);
    admission.setLive(ACCOUNT, 1, idOf(table, live));
    expect([live, other, third].map((slot) => admission.place(table, slot))).toEqual([
      'series',
      'overflow',
      'overflow',
    ]);
    expect(admission.takeDemand(key)).toHaveLength(2);
    for (let i = 0; i < 3; i++) admission.place(table, third);
    expect(admission.takeDemand(key)).toBeUndefined();
    admission.resendDemand(ACCOUNT);
    expect(admission.takeDemand(key)).toHaveLength(4);
    admission.turnDemand(NOW + windowS(900) * 1000);
    expect(admission.takeDemand(key)).toBeUndefined();
    admission.place(table, third);
    expect(admission.takeDemand(key)).toHaveLength(2);
  });

  test('counts neither the label set of overflow itself nor a tenant without a place', () => {
    const table = tableOf('a');
    const admission = new Admission(shardOf);
    const [one, like] = [slotOf(table, 'one'), slotOf(table, '__overflow__')];
    admission.note(SHARD, ACCOUNT, { ...full, tenantRefused: true, overflowed: idOf(table, one) }, NOW);
    expect(admission.takeDemand(accountKey(ACCOUNT))).toBeUndefined();
    admission.note(SHARD, ACCOUNT, { ...full, overflowed: idOf(table, one) }, NOW);
    admission.setLive(ACCOUNT, 1, Buffer.alloc(0));
    admission.takeDemand(accountKey(ACCOUNT));
    admission.place(table, like);
    expect(admission.takeDemand(accountKey(ACCOUNT))).toBeUndefined();
  });
});

describe('what has no value for a label', () => {
  test('is summed over series and what was diverted', () => {
    const table = tableOf('a', 'b');
    const admission = new Admission(shardOf);
    const segment = new PartitionPending(new RowCount(100)).open(SHARD, table, 0, 0);
    const [both, one, none] = [slotOf(table, '', ''), slotOf(table, 'x', ''), slotOf(table, 'x', 'y')];
    segment.add(both, 100, 1);
    segment.add(one, 20, 1);
    segment.add(none, 3, 1);
    segment.divert(table.accountOf(both), 4000, 1, table.gapsOf(both));
    segment.divert(table.accountOf(none), 50_000, 1, table.gapsOf(none));
    segment.to = 1;
    const part = { field: 'topic/0' as never, from: 0, to: 1, replay: false, segment };
    const [entry] = buildCall(SHARD, 10, [part], admission).call.sections[0]!.entries;
    expect(Object.fromEntries(entry!.unattributed!)).toEqual({ a: 4100, b: 4120 });
  });
});
