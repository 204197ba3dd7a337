import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decidePosition, type PositionFacts } from '../../../src/ledger/decide-position.ts';
import { markerField } from '../../../src/ledger/keys.ts';
import { SHARDS, type ShardView } from '../../../src/ledger/port.ts';

const field = markerField('id', 0);

const view = (marker: number | null, afterLoss = false): ShardView => ({
  life: 'life',
  counter: 1,
  replayedAt: 0,
  afterLoss,
  clockS: 0,
  markers: new Map(marker === null ? [] : [[field, marker]]),
});

const all = (make: (shard: number) => ShardView | null): (ShardView | null)[] =>
  Array.from({ length: SHARDS }, (_, shard) => make(shard));

const facts = (changes: Partial<PositionFacts>): PositionFacts => ({
  field,
  commit: { offset: 50, start: 10 },
  views: all(() => view(50)),
  log: { start: 0, end: 100 },
  newStart: 10,
  groupHasProgress: true,
  onLoss: 'continue',
  patienceOver: false,
  ...changes,
});

describe('where to go on with a partition', () => {
  test('nobody has begun it: it begins, with every marker at the start', () => {
    const decision = decidePosition(facts({ commit: null, views: all(() => null), groupHasProgress: false }));
    expect(decision).toMatchObject({ kind: 'begin', start: 10 });
    expect(decision.kind === 'begin' && decision.markers).toEqual(
      all(() => null).map((_, shard) => ({ shard, to: 10, create: 'first' })),
    );
  });

  test('a new partition of a group that has got somewhere, over a lost shard: the shard is made as one after a loss', () => {
    const decision = decidePosition(facts({ commit: null, views: all((shard) => (shard === 3 ? null : view(null))) }));
    expect(decision).toMatchObject({ kind: 'begin' });
    expect(decision.kind === 'begin' && decision.markers[3]).toEqual({ shard: 3, to: 10, create: 'after-loss' });
  });

  test('a new partition over a lost shard stops where a loss shall stop', () => {
    const views = all((shard) => (shard === 3 ? null : view(null)));
    expect(decidePosition(facts({ commit: null, views, onLoss: 'stop' }))).toEqual({ kind: 'stop', lost: [3] });
  });

  test('all markers are there: go on from them, also without a commit, also below it', () => {
    for (const commit of [null, { offset: 50, start: 10 }, { offset: 90, start: 10 }]) {
      const decision = decidePosition(facts({ commit, views: all((shard) => view(40 + (shard % 2))) }));
      expect(decision).toMatchObject({ kind: 'go' });
      expect(decision.kind === 'go' && decision.markers[1]).toBe(41);
    }
  });

  test('a marker is missing in a shard that is there: it goes to the start, and nothing is a loss', () => {
    const decision = decidePosition(facts({ views: all((shard) => view(shard === 5 ? null : 50)) }));
    expect(decision).toEqual({ kind: 'restore', markers: [{ shard: 5, to: 10, create: 'no' }], lost: [] });
  });

  test('a set-up that was interrupted goes on', () => {
    const decision = decidePosition(
      facts({
        commit: { offset: 10, start: 10 },
        views: all((shard) => (shard < 20 ? view(10) : null)),
        groupHasProgress: false,
      }),
    );
    expect(decision).toMatchObject({ kind: 'restore', lost: [] });
    expect(decision.kind === 'restore' && decision.markers).toHaveLength(SHARDS - 20);
  });

  test.each([
    ['continue', 50],
    ['recount', 3],
  ] as const)('a lost shard, on_loss %s: it goes on at %d', (onLoss, to) => {
    const views = all((shard) => (shard === 7 ? null : view(50)));
    expect(decidePosition(facts({ views, onLoss, log: { start: 3, end: 100 } }))).toEqual({
      kind: 'restore',
      markers: [{ shard: 7, to, create: 'after-loss' }],
      lost: [7],
    });
  });

  test('a lost shard that another partition has made again is a loss of this one, too', () => {
    const views = all((shard) => (shard === 7 ? view(null, true) : view(50)));
    expect(decidePosition(facts({ views }))).toMatchObject({ kind: 'restore', lost: [7] });
  });

  test('a partition that stands at its start makes a lost shard as one after a loss: others had counted there', () => {
    const views = all((shard) => (shard === 7 ? null : view(10)));
    expect(decidePosition(facts({ commit: { offset: 10, start: 10 }, views }))).toEqual({
      kind: 'restore',
      markers: [{ shard: 7, to: 10, create: 'after-loss' }],
      lost: [7],
    });
  });

  test('on_loss stop stops', () => {
    const views = all((shard) => (shard === 7 ? null : view(50)));
    expect(decidePosition(facts({ views, onLoss: 'stop' }))).toEqual({ kind: 'stop', lost: [7] });
  });

  test('no commit and markers in some shards: looked at again, then a loss at the highest marker', () => {
    const views = all((shard) => view(shard === 0 ? 60 : shard === 1 ? 70 : null));
    expect(decidePosition(facts({ commit: null, views }))).toMatchObject({ kind: 'look-again' });
    const decision = decidePosition(facts({ commit: null, views, patienceOver: true }));
    expect(decision.kind === 'restore' && decision.markers[0]).toEqual({ shard: 2, to: 70, create: 'after-loss' });
  });

  test('retention passed the markers: a gap of as many records as the lowest marker lies behind', () => {
    const views = all((shard) => view(shard === 0 ? 20 : 50));
    expect(decidePosition(facts({ views, log: { start: 45, end: 100 } }))).toEqual({
      kind: 'gap',
      records: 25,
      moves: [{ shard: 0, expected: 20, to: 45 }],
      retire: [0],
    });
  });

  test('a gap in a shard that was not catching up retires nothing', () => {
    const views = all(() => view(50));
    expect(decidePosition(facts({ views, log: { start: 60, end: 100 } }))).toMatchObject({
      kind: 'gap',
      records: 10,
      retire: [],
    });
  });

  test('the log ends below what was counted: looked at again, then moved to its end', () => {
    const views = all((shard) => view(shard === 0 ? 120 : 90));
    expect(decidePosition(facts({ views }))).toMatchObject({ kind: 'look-again' });
    expect(decidePosition(facts({ views, patienceOver: true }))).toEqual({
      kind: 'truncated',
      records: 20,
      moves: [{ shard: 0, expected: 120, to: 100 }],
      end: 100,
    });
  });

  test('whatever the facts: acting on the decisions ends in go or stop, within the log', () => {
    const offset = fc.integer({ min: 0, max: 30 });
    const marker = fc.option(offset, { freq: 3 });
    const arbitrary = fc.record({
      commit: fc.option(fc.record({ offset, start: fc.option(offset, { freq: 5 }) })),
      markers: fc.array(marker, { minLength: SHARDS, maxLength: SHARDS }),
      gone: fc.array(fc.integer({ min: 0, max: SHARDS - 1 }), { maxLength: 3 }),
      start: fc.integer({ min: 0, max: 20 }),
      length: fc.integer({ min: 0, max: 20 }),
      onLoss: fc.constantFrom('continue' as const, 'recount' as const, 'stop' as const),
      groupHasProgress: fc.boolean(),
    });
    fc.assert(
      fc.property(arbitrary, ({ commit, markers, gone, start, length, onLoss, groupHasProgress }) => {
        const log = { start, end: start + length };
        const views = markers.map((value, shard) => (gone.includes(shard) ? null : view(value)));
        let current = commit;
        for (let round = 0; round < 12; round++) {
          const decision = decidePosition(
            facts({ commit: current, views, log, onLoss, groupHasProgress, newStart: start, patienceOver: round > 1 }),
          );
          if (decision.kind === 'stop') return onLoss === 'stop';
          if (decision.kind === 'go') return [...decision.markers].every((at) => at >= log.start && at <= log.end);
          if (decision.kind === 'begin') current = { offset: decision.start, start: decision.start };
          if (decision.kind === 'begin' || decision.kind === 'restore') {
            for (const { shard, to, create } of decision.markers) {
              if (views[shard] !== null && !views[shard]!.markers.has(field))
                views[shard] = view(to, views[shard]!.afterLoss);
              else if (views[shard] === null && create !== 'no') views[shard] = view(to, create === 'after-loss');
            }
          }
          if (decision.kind === 'gap' || decision.kind === 'truncated')
            for (const { shard, to } of decision.moves) views[shard] = view(to);
        }
        return false;
      }),
    );
  });
});
