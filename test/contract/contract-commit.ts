import { describe, expect, test } from '@jest/globals';
import { type CommitCall, LedgerBroken } from '../../src/ledger/port.ts';
import {
  account,
  add,
  begin,
  call,
  commit,
  entry,
  expectConserved,
  field,
  idOf,
  keyOf,
  kinds,
  read,
  SHARD,
  section,
  sum,
  valuesOf,
} from './calls.ts';
import type { Given } from './ledger-contract.ts';

const a = account('a');
const b = account('b');
const top = Number.MAX_SAFE_INTEGER;

export const commitContract = (given: () => Given): void => {
  describe('sections', () => {
    test('each gets its own outcome', async () => {
      const { ledger } = given();
      await ledger.setMarkers(
        SHARD,
        [0, 1, 2, 3, 4, 5].map((p) => [field(p), 10] as const),
        'first',
      );
      const reply = await commit(
        ledger,
        call(
          [a],
          [
            section(0, 10, 15, [entry(0, { x: [5, 1] })]),
            section(1, 5, 10, [entry(0, { x: [100, 1] })]),
            section(2, 5, 9, [entry(0, { x: [100, 1] })]),
            section(3, 5, 11, [entry(0, { x: [100, 1] })]),
            section(4, 11, 12, [entry(0, { x: [100, 1] })]),
            section(5, 10, 12, [entry(0, { y: [100, 1], z: [100, 1] }, { known: ['y'] })]),
            section(6, 0, 12, [entry(0, { x: [100, 1] })]),
          ],
        ),
      );
      expect(reply.sections).toEqual([
        { kind: 'applied', marker: 15 },
        { kind: 'already', marker: 10 },
        { kind: 'already', marker: 10 },
        { kind: 'not-applied', marker: 10 },
        { kind: 'not-applied', marker: 10 },
        { kind: 'keys-needed', marker: 10, missing: [{ account: 0, ids: idOf('y') }] },
        { kind: 'absent' },
      ]);
      const view = (await ledger.view(SHARD))!;
      expect([0, 1, 2, 3, 4, 5, 6].map((p) => view.markers.get(field(p)))).toEqual([15, 10, 10, 10, 10, 10, undefined]);
      expect((await read(ledger, SHARD, a))!.totals.total).toEqual([5, 1]);
      expect(reply).toMatchObject({ life: view.life, counter: view.counter });
    });

    test('the same call again is an acknowledgement', async () => {
      const { ledger } = given();
      await begin(ledger);
      const same = call([a], [section(0, 0, 4, [entry(0, { x: [5, 1] }, { overflow: [2, 1] })])]);
      const first = await commit(ledger, same);
      const before = await read(ledger, SHARD, a);
      const second = await commit(ledger, same);
      expect([first, second].map((reply) => reply.sections[0])).toEqual([
        { kind: 'applied', marker: 4 },
        { kind: 'already', marker: 4 },
      ]);
      expect(await read(ledger, SHARD, a)).toEqual(before);
      expect(second.counter).toBeGreaterThan(first.counter);
    });

    test('an empty one moves the marker alone', async () => {
      const { ledger } = given();
      await begin(ledger);
      const reply = await commit(ledger, call([], [section(0, 0, 7)]));
      expect(reply.sections).toEqual([{ kind: 'applied', marker: 7 }]);
      expect((await ledger.changes(SHARD, 0))!.accounts).toEqual([]);
    });

    test('a look compares the marker and adds nothing', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [5, 1] });
      const look = (at: number) => commit(ledger, call([], [section(0, at, at)]));
      expect((await look(1)).sections).toEqual([{ kind: 'applied', marker: 1 }]);
      expect((await look(0)).sections).toEqual([{ kind: 'already', marker: 1 }]);
      expect((await look(2)).sections).toEqual([{ kind: 'not-applied', marker: 1 }]);
      expect((await ledger.view(SHARD))!.markers.get(field(0))).toBe(1);
    });

    test('a section counts as a whole or not at all', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [5, 1] });
      const parts = (known: string[]) => [
        entry(0, { x: [7, 1], new: [8, 1] }, { known, overflow: [9, 1] }),
        entry(1, { z: [1, 1] }),
      ];
      const reply = await commit(ledger, call([a, b], [section(0, 1, 2, parts(['x', 'new']))]));
      expect(reply.sections[0]).toMatchObject({ kind: 'keys-needed', missing: [{ account: 0, ids: idOf('new') }] });
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({ total: [5, 1], overflow: [0, 0] });
      expect(await read(ledger, SHARD, b)).toBeNull();

      expect(kinds(await commit(ledger, call([a, b], [section(0, 1, 2, parts(['x']))])))).toEqual(['applied']);
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({ total: [29, 4], overflow: [9, 1], admissions: 2 });
      expect((await read(ledger, SHARD, b))!.totals.total).toEqual([1, 1]);
    });

    test('a section without a key waits while its neighbour, which brings it, applies', async () => {
      const { ledger } = given();
      await ledger.setMarkers(
        SHARD,
        [0, 1].map((p) => [field(p), 0] as const),
        'first',
      );
      const sections = [
        section(0, 0, 1, [entry(0, { x: [1, 1] }, { known: ['x'] })]),
        section(1, 0, 1, [entry(0, { x: [2, 1] })]),
      ];
      expect(kinds(await commit(ledger, call([a], sections)))).toEqual(['keys-needed', 'applied']);
      expect(kinds(await commit(ledger, call([a], sections)))).toEqual(['applied', 'already']);
      expect(await valuesOf(ledger, a, 'x')).toEqual([[3, 2]]);
      const other = [
        section(0, 1, 2, [entry(0, { y: [1, 1] })]),
        section(1, 1, 2, [entry(0, { y: [2, 1] }, { known: ['y'] })]),
      ];
      expect(kinds(await commit(ledger, call([a], other)))).toEqual(['applied', 'keys-needed']);
    });

    test('several add to one series, which is created once', async () => {
      const { ledger } = given();
      const partitions = [0, 1, 2];
      await ledger.setMarkers(
        SHARD,
        partitions.map((p) => [field(p), 0] as const),
        'first',
      );
      const reply = await commit(
        ledger,
        call(
          [account('a', { limit: 1 })],
          partitions.map((p) => section(p, 0, 1, [entry(0, { x: [1 + p, 1], [`own${p}`]: [10, 1] })])),
        ),
      );
      expect(reply.accounts[0]).toMatchObject({ live: 1, room: 0, admissions: 1 });
      expect(reply.accounts[0]!.overflowed).toEqual(Buffer.concat(['own0', 'own1', 'own2'].map(idOf)));
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({ total: [36, 6], overflow: [30, 3] });
      expect(await valuesOf(ledger, a, 'x')).toEqual([[6, 3]]);
    });

    test('labels are those of the admission, byte by byte', async () => {
      const { ledger } = given();
      await begin(ledger);
      const odd = Buffer.from([0, 255, 10, 13, 0, 128]);
      const keys = [Buffer.alloc(0), odd];
      const both = {
        account: 0,
        ids: Buffer.concat([idOf('x'), idOf('y')]),
        values: Float64Array.of(1, 1, 2, 1),
        overflow: null,
      };
      await commit(ledger, call([a], [section(0, 0, 1, [{ ...both, keys }])]));
      await add(ledger, 1, a, { x: [1, 1] });
      expect(await ledger.keys(SHARD, a, Buffer.concat([idOf('y'), idOf('gone'), idOf('x')]))).toEqual([
        odd,
        null,
        keys[0],
      ]);
    });
  });

  describe('what no worker sends', () => {
    const good = entry(0, { x: [5, 1] });
    const calls: [string, CommitCall][] = [
      ['a section that ends before its start', call([a], [section(0, 5, 4, [good])])],
      ['a look that adds', call([a], [section(0, 0, 0, [good])])],
      ['two sections of a partition', call([a], [section(0, 0, 1, [good]), section(0, 1, 2, [good])])],
      ['an account twice', call([a, a], [section(0, 0, 1, [good])])],
      ['an account twice in a section', call([a], [section(0, 0, 1, [good, good])])],
      ['an account that is not there', call([a], [section(0, 0, 1, [entry(1, { x: [5, 1] })])])],
      ['a negative amount', call([a], [section(0, 0, 1, [entry(0, { x: [5, -1] })])])],
      ['half a byte', call([a], [section(0, 0, 1, [entry(0, { x: [0.5, 1] })])])],
      ['too few amounts', call([a], [section(0, 0, 1, [entry(0, { x: [5] })])])],
      ['too much overflow', call([a], [section(0, 0, 1, [entry(0, {}, { overflow: [1, 1, 1] })])])],
      ['half an id', call([a], [section(0, 0, 1, [{ ...good, ids: good.ids.subarray(8) }])])],
      ['a marker that is no offset', call([a], [section(0, 0, 1.5, [good])])],
      ['one tracker with different measures', call([a, account('b', { measures: 3 })], [section(0, 0, 1, [good])])],
    ];
    test.each(calls)('%s: refused', async (_what, wrong) => {
      const { ledger } = given();
      await begin(ledger);
      const before = await ledger.view(SHARD);
      await expect(ledger.commit(wrong)).rejects.toThrow(LedgerBroken);
      expect(await ledger.view(SHARD)).toEqual(before);
      expect((await ledger.changes(SHARD, 0))!.accounts).toEqual([]);
    });
  });

  describe('sums', () => {
    test('reach 2^53 - 1 and not more; a call that would pass it writes nothing', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [top - 10, 1] });
      await add(ledger, 1, a, { x: [10, 0] }, { known: ['x'] });
      expect(await valuesOf(ledger, a, 'x')).toEqual([[top, 1]]);
      const before = [await ledger.view(SHARD), await read(ledger, SHARD, a)];
      const one = (amounts: Record<string, number[]>, overflow?: number[]) =>
        ledger.commit(
          call([a, b], [section(0, 2, 3, [entry(1, { z: [1, 1] }), entry(0, amounts, overflow && { overflow })])]),
        );
      await expect(one({ x: [1, 0] })).rejects.toThrow(LedgerBroken);
      await expect(one({ y: [1, 0] })).rejects.toThrow(LedgerBroken);
      await expect(one({}, [1, 0])).rejects.toThrow(LedgerBroken);
      await expect(one({ y: [top, 0] })).rejects.toThrow(LedgerBroken);
      expect([await ledger.view(SHARD), await read(ledger, SHARD, a)]).toEqual(before);
      expect(await read(ledger, SHARD, b)).toBeNull();
      await add(ledger, 2, a, { x: [0, 5] }, { known: ['x'] });
      expect(await valuesOf(ledger, a, 'x')).toEqual([[top, 6]]);
    });

    test.each([1e14, 2 ** 52 + 1, top - 1])('%p stays what it is on every way', async (amount) => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, account('a', { limit: 1 }), { x: [amount, 1] });
      await add(ledger, 1, account('b', { limit: 1 }), { x: [1, 1], y: [amount, 1] });
      expect(await valuesOf(ledger, a, 'x')).toEqual([[amount, 1]]);
      expect((await read(ledger, SHARD, b))!.totals).toMatchObject({ total: [amount + 1, 2], overflow: [amount, 1] });
      await ledger.retireAll(SHARD);
      expect((await read(ledger, SHARD, a))!.totals).toMatchObject({
        total: [amount, 1],
        retired: [amount, 1],
        live: 0,
      });
    });

    test('vectors have any length', async () => {
      const { ledger } = given();
      await begin(ledger);
      const wide = account('wide', { tracker: 'buckets', measures: 40 });
      const values = Array.from({ length: 40 }, (_, i) => i * 1000);
      await add(ledger, 0, wide, { x: values, y: values });
      await add(ledger, 1, account('one', { tracker: 'calls', measures: 1 }), { x: [3] });
      expect(await valuesOf(ledger, wide, 'x')).toEqual([values]);
      expect((await read(ledger, SHARD, wide))!.totals.total).toEqual(values.map((value) => 2 * value));
    });

    test('an account keeps the number of its measures', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [5, 1] });
      const wider = account('a', { measures: 3 });
      await expect(ledger.commit(call([wider], [section(0, 1, 2, [entry(0, { x: [5, 1, 1] })])]))).rejects.toThrow(
        LedgerBroken,
      );
      await expectConserved(ledger, SHARD, a);
    });

    test('10,000 series in one call', async () => {
      const { ledger } = given();
      await begin(ledger);
      const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`s${i}`, [i, 1]]));
      const big = account('a', { limit: 9_000 });
      const first = await add(ledger, 0, big, many);
      expect(first.accounts[0]).toMatchObject({ live: 9_000, room: 0, admissions: 9_000 });
      expect(first.accounts[0]!.overflowed.length).toBe(16 * 1000);
      const known = Object.keys(many).slice(0, 9_000);
      await commit(
        ledger,
        call(
          [big],
          [section(0, 1, 2, [entry(0, Object.fromEntries(known.map((name) => [name, many[name]!])), { known })])],
        ),
      );
      const whole = (await read(ledger, SHARD, a, 700))!;
      expect(whole.rows.length).toBe(9_000);
      expect(
        sum(
          whole.rows.map(({ values }) => values),
          2,
        ),
      ).toEqual([9_000 * 8_999, 18_000]);
      expect(
        (await ledger.keys(SHARD, a, Buffer.concat(known.map(idOf)))).every((key, i) => key!.equals(keyOf(known[i]!))),
      ).toBe(true);
    }, 20_000);
  });

  describe('time', () => {
    test('the clock runs with the calls, never faster than a minute between two', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      const look = () => commit(ledger, call([], [section(0, 0, 0)]));
      const clockS = async () => (await ledger.view(SHARD))!.clockS;
      await fixture.passTime(ledger, SHARD, 20);
      expect(await clockS()).toBe(0);
      await look();
      expect(await clockS()).toBe(20);
      await fixture.passTime(ledger, SHARD, 3600);
      await look();
      expect(await clockS()).toBe(80);
      await fixture.passTime(ledger, SHARD, 20);
      await ledger.take(SHARD, 'r', 't', 1000);
      await ledger.purge(SHARD, a, 1, null, 10);
      expect(await clockS()).toBe(80);
    });

    test('the change counter rises and the clock stands where the time of the server steps back', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      await add(ledger, 0, a, { x: [5, 1] });
      const before = (await ledger.view(SHARD))!;
      await fixture.stepBack(ledger, SHARD, 1000);
      const raised = (await ledger.view(SHARD))!.counter;
      const second = await add(ledger, 1, a, { y: [5, 1] });
      expect(second.counter).toBe(raised + 1);
      const third = await add(ledger, 2, a, { y: [5, 1] });
      expect(third.counter).toBe(raised + 2);
      expect((await ledger.view(SHARD))!.clockS).toBe(before.clockS);
      expect((await ledger.changes(SHARD, second.counter))!.accounts).toHaveLength(1);
      await ledger.take(SHARD, 'r', 't', 60_000);
      await ledger.renew(SHARD, 't', 60_000);
      expect((await ledger.view(SHARD))!.counter).toBe(raised + 4);
    });

    test('a birth is the change counter of the admission', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      const born = await add(ledger, 0, a, { x: [5, 1] });
      await fixture.passTime(ledger, SHARD, 10);
      await add(ledger, 1, a, { x: [5, 1] });
      const [row] = (await read(ledger, SHARD, a))!.rows;
      expect(row).toMatchObject({ birthS: Math.floor(born.counter / 1e6), lastSeenS: 10 });
    });

    test('a replay is noted, where it applies', async () => {
      const { ledger } = given();
      await begin(ledger);
      const replayedAt = async () => (await ledger.view(SHARD))!.replayedAt;
      await commit(ledger, call([], [section(0, 5, 6, [], true)]));
      await commit(ledger, call([], [section(0, 0, 0, [], true)]));
      expect(await replayedAt()).toBe(0);
      const reply = await commit(ledger, call([a], [section(0, 0, 5, [entry(0, { x: [1, 1] })], true)]));
      expect(await replayedAt()).toBe(reply.counter);
      expect((await read(ledger, SHARD, a))!.rows[0]!.birthS * 1e6).toBeLessThanOrEqual(reply.counter);
      await commit(ledger, call([], [section(0, 5, 6)]));
      expect(await replayedAt()).toBe(reply.counter);
    });
  });
};
