import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { SeriesTable } from '../../../src/attribution/series-table.ts';
import { PartitionPending, RowCount, Segment } from '../../../src/ledger/pending.ts';

const table = (): SeriesTable => new SeriesTable({ settings: () => ({ trackers: [] }), maxLabelValueLength: 2048 });

describe('a segment', () => {
  test('adds up per slot like a map does', () => {
    const addition = fc.tuple(
      fc.integer({ min: 0, max: 300 }),
      fc.integer({ min: 0, max: 1e9 }),
      fc.integer({ min: 0, max: 9 }),
    );
    fc.assert(
      fc.property(fc.array(addition, { maxLength: 600 }), (additions) => {
        const segment = new Segment(table(), 0);
        const expected = new Map<number, [number, number]>();
        for (const [slot, first, second] of additions) {
          const isNew = segment.add(slot, first, second);
          expect(isNew).toBe(!expected.has(slot));
          const [a, b] = expected.get(slot) ?? [0, 0];
          expected.set(slot, [a + first, b + second]);
        }
        const found = new Map<number, [number, number]>();
        for (let row = 0; row < segment.rows; row++)
          found.set(segment.slots[row]!, [segment.values[2 * row]!, segment.values[2 * row + 1]!]);
        expect(found).toEqual(expected);
      }),
    );
  });

  test('keeps what was diverted by account, apart from the rows', () => {
    const segment = new Segment(table(), 0);
    segment.divert(3, 10, 1);
    segment.divert(3, 5, 1);
    segment.add(3, 7, 1);
    expect(segment.diverted?.get(3)).toEqual(Float64Array.of(15, 2));
    expect(segment.rows).toBe(1);
    expect(segment.isEmpty).toBe(false);
  });
});

describe('the segments of a partition', () => {
  test('follow one another without a hole, whatever ends them', () => {
    const tables = [table(), table()];
    const step = fc.record({
      shard: fc.integer({ min: 0, max: 2 }),
      slot: fc.nat(20),
      table: fc.integer({ min: 0, max: 1 }),
      seal: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const count = new RowCount(1000);
        const pending = new PartitionPending(count);
        steps.forEach(({ shard, slot, table: which, seal }, offset) => {
          pending.add(shard, pending.open(shard, tables[which]!, 0, offset), slot, 1, 1);
          if (seal) pending.sealAll(offset + 1);
        });
        pending.sealAll(steps.length);
        let added = 0;
        for (const shard of [0, 1, 2]) {
          let at = 0;
          for (let segment = pending.first(shard); segment !== undefined; segment = pending.first(shard)) {
            expect(segment.from).toBe(at);
            expect(segment.to).toBeGreaterThan(segment.from);
            at = segment.to!;
            for (let row = 0; row < segment.rows; row++) added += segment.values[2 * row]!;
            pending.settle(shard);
          }
        }
        expect(added).toBe(steps.length);
        expect(count.total).toBe(0);
      }),
    );
  });

  test('what is dropped is not counted any more, and a crowd is known', () => {
    const count = new RowCount(3);
    const pending = new PartitionPending(count);
    const segment = pending.open(1, table(), 0, 0);
    for (let slot = 0; slot < 4; slot++) pending.add(1, segment, slot, 1, 1);
    expect([count.total, count.byShard[1], count.crowded]).toEqual([4, 4, 1]);
    pending.clear();
    expect([count.total, count.byShard[1], count.crowded]).toEqual([0, 0, 0]);
    expect(pending.first(1)).toBeUndefined();
  });
});
