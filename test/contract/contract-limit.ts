import { describe, expect, test } from '@jest/globals';
import { overflowTenant, RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { account, add, begin, call, commit, entry, idOf, read, SHARD, section, TRACKER, valuesOf } from './calls.ts';
import type { Given } from './ledger-contract.ts';

const at = (limit: number, tenant = 'a') => account(tenant, { limit });
const overflowed = (...names: string[]): Buffer => Buffer.concat(names.map(idOf));

export const limitContract = (given: () => Given): void => {
  describe('the limit', () => {
    test('admits in the order of the call, and known series go on counting', async () => {
      const { ledger } = given();
      await begin(ledger);
      const first = await add(ledger, 0, at(2), { x: [1, 1], y: [2, 1], z: [4, 1] });
      expect(first.accounts[0]).toEqual({
        live: 2,
        room: 0,
        admissions: 2,
        overflowed: overflowed('z'),
        tenantRefused: false,
      });
      const second = await add(ledger, 1, at(2), { z: [8, 1], x: [16, 1], y: [32, 1] });
      expect(second.accounts[0]!.overflowed).toEqual(overflowed('z'));
      expect(await valuesOf(ledger, at(2), 'x', 'y', 'z')).toEqual([[17, 2], [34, 2], undefined]);
      expect((await read(ledger, SHARD, at(2)))!.totals).toMatchObject({ total: [63, 6], overflow: [12, 2] });
    });

    test('of 0 leaves everything to overflow', async () => {
      const { ledger } = given();
      await begin(ledger);
      const reply = await add(ledger, 0, at(0), { x: [1, 1] }, { overflow: [2, 1] });
      expect(reply.accounts[0]).toMatchObject({ live: 0, room: 0, admissions: 0, overflowed: overflowed('x') });
      expect((await read(ledger, SHARD, at(0)))!.totals).toMatchObject({ total: [3, 2], overflow: [3, 2] });
    });

    test('lowered takes nothing away and lets nothing in; raised it lets in again', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, at(3), { x: [1, 1], y: [1, 1], z: [1, 1] });
      const lowered = await add(ledger, 1, at(1), { y: [1, 1], new: [1, 1] });
      expect(lowered.accounts[0]).toMatchObject({ live: 3, room: 0, overflowed: overflowed('new') });
      const raised = await add(ledger, 2, at(5), { new: [1, 1] });
      expect(raised.accounts[0]).toMatchObject({ live: 4, room: 1, admissions: 4, overflowed: Buffer.alloc(0) });
    });

    test('tells room also to a call that adds nothing there', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, at(2), { x: [1, 1] });
      const reply = await commit(ledger, call([at(2), at(7, 'b')], [section(0, 1, 1)]));
      expect(reply.accounts.map(({ live, room, admissions }) => [live, room, admissions])).toEqual([
        [1, 1, 1],
        [0, 7, 0],
      ]);
      expect(await ledger.tenants(SHARD, TRACKER)).toEqual(['a']);
    });

    test('what the caller diverted makes no series', async () => {
      const { ledger } = given();
      await begin(ledger);
      const reply = await add(ledger, 0, at(2), {}, { overflow: [7, 3] });
      expect(reply.accounts[0]).toMatchObject({ live: 0, room: 2, admissions: 0 });
      expect((await read(ledger, SHARD, at(2)))!.totals).toMatchObject({ total: [7, 3], overflow: [7, 3] });
    });

    test('live ids are those that have a place', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, at(1), { x: [1, 1], y: [1, 1] });
      expect(await ledger.liveIds(SHARD, at(1))).toEqual({ admissions: 1, ids: idOf('x') });
      expect(await ledger.liveIds(SHARD, at(1, 'nobody'))).toEqual({ admissions: 0, ids: Buffer.alloc(0) });
    });
  });

  describe('where room is needed', () => {
    test('stale series give it, and are born again from zero', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      await add(ledger, 0, at(2), { x: [1, 1], y: [2, 1] });
      await fixture.passTime(ledger, SHARD, 20);
      await add(ledger, 1, at(2), { y: [2, 1] });
      await fixture.passTime(ledger, SHARD, 20);
      const reply = await add(ledger, 2, at(2), { z: [8, 1] });
      expect(reply.accounts[0]).toMatchObject({ live: 2, admissions: 3, overflowed: Buffer.alloc(0) });
      expect(await valuesOf(ledger, at(2), 'x', 'y', 'z')).toEqual([undefined, [4, 2], [8, 1]]);
      expect((await read(ledger, SHARD, at(2)))!.totals.retired).toEqual([1, 1]);
      expect(await ledger.keys(SHARD, at(2), idOf('x'))).toEqual([null]);

      await fixture.passTime(ledger, SHARD, 40);
      await add(ledger, 3, at(2), { x: [16, 1] });
      expect(await valuesOf(ledger, at(2), 'x')).toEqual([[16, 1]]);
    });

    test('none is taken where there is room', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      await add(ledger, 0, at(2), { x: [1, 1] });
      await fixture.passTime(ledger, SHARD, 50);
      await add(ledger, 1, at(2), { y: [1, 1] });
      expect(await valuesOf(ledger, at(2), 'x', 'y')).toEqual([
        [1, 1],
        [1, 1],
      ]);
    });

    test('no series of the call itself is taken, also of a section that waits for keys', async () => {
      const { ledger, fixture } = given();
      await ledger.setMarkers(
        SHARD,
        [0, 1].map((p) => [`topic/${p}` as never, 0] as const),
        'first',
      );
      await add(ledger, 0, at(2), { x: [1, 1], y: [1, 1] });
      await fixture.passTime(ledger, SHARD, 50);
      const reply = await commit(
        ledger,
        call(
          [at(2)],
          [
            section(0, 1, 2, [entry(0, { z: [4, 1], x: [2, 1] })]),
            section(1, 0, 1, [entry(0, { y: [2, 1], w: [2, 1] }, { known: ['y', 'w'] })]),
          ],
        ),
      );
      expect(reply.sections.map(({ kind }) => kind)).toEqual(['applied', 'keys-needed']);
      expect(reply.accounts[0]!.overflowed).toEqual(overflowed('z'));
      expect(await valuesOf(ledger, at(2), 'x', 'y')).toEqual([
        [3, 2],
        [1, 1],
      ]);
    });

    test('a series is stale after its time, not at it', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      await add(ledger, 0, at(1), { x: [1, 1] });
      await fixture.passTime(ledger, SHARD, 30);
      expect((await add(ledger, 1, at(1), { y: [1, 1] })).accounts[0]!.overflowed).toEqual(overflowed('y'));
      await fixture.passTime(ledger, SHARD, 1);
      expect((await add(ledger, 2, at(1), { y: [1, 1] })).accounts[0]!.admissions).toBe(2);
    });

    test('1,500 stale ones are found over some calls', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      const many = (prefix: string) =>
        Object.fromEntries(Array.from({ length: 1500 }, (_, i) => [`${prefix}${i}`, [1, 1]]));
      await add(ledger, 0, at(1500), many('old'));
      await fixture.passTime(ledger, SHARD, 50);
      const first = await add(ledger, 1, at(1500), many('new'));
      expect(first.accounts[0]).toMatchObject({ live: 1500, admissions: 3000 });
      expect((await read(ledger, SHARD, at(1500)))!.totals.retired).toEqual([1500, 1500]);
    });
  });

  describe('the number of tenants', () => {
    const two = { maxTenants: 2 };
    const one = (tenant: string, from: number, tracker = TRACKER) =>
      call(
        [account(tenant, { tracker })],
        [section(0, from, from + 1, [entry(0, { x: [1, 1] }, { overflow: [4, 1] })])],
        two,
      );
    const overflow = account(overflowTenant(SHARD));

    test('is bounded; those beyond are counted under one name', async () => {
      const { ledger } = given();
      await begin(ledger);
      await commit(ledger, one('a', 0));
      await commit(ledger, one('b', 1));
      const refused = await commit(ledger, one('c', 2));
      expect(refused.accounts[0]).toEqual({
        live: 0,
        room: 0,
        admissions: 0,
        overflowed: idOf('x'),
        tenantRefused: true,
      });
      await commit(ledger, one('a', 3));
      expect((await read(ledger, SHARD, overflow))!.totals).toMatchObject({
        live: 0,
        admissions: 0,
        total: [5, 2],
        overflow: [5, 2],
        retired: [0, 0],
      });
      expect((await read(ledger, SHARD, account('a')))!.totals.total).toEqual([10, 4]);
      expect(await read(ledger, SHARD, account('c'))).toBeNull();
      expect([...(await ledger.tenants(SHARD, TRACKER))].sort()).toEqual([overflow.tenant, 'a', 'b']);
    });

    test('holds within one call, and for each tracker by itself', async () => {
      const { ledger } = given();
      await begin(ledger);
      const accounts = ['a', 'b', 'c', 'd'].map((tenant) => account(tenant));
      const other = account('c', { tracker: 'llm' });
      const all = [...accounts, other].map((_, i) => entry(i, { x: [1, 1] }));
      const reply = await commit(ledger, call([...accounts, other], [section(0, 0, 1, all)], two));
      expect(reply.accounts.map(({ tenantRefused }) => tenantRefused)).toEqual([false, false, true, true, false]);
      expect((await read(ledger, SHARD, overflow))!.totals.total).toEqual([2, 2]);
    });

    test('an account that a call names without adding to it takes no place', async () => {
      const { ledger } = given();
      await begin(ledger);
      const reply = await commit(
        ledger,
        call([account('a'), account('b'), account('c')], [section(0, 0, 1, [entry(2, { x: [1, 1] }), entry(1, {})])], {
          maxTenants: 1,
        }),
      );
      expect(reply.accounts.map(({ tenantRefused }) => tenantRefused)).toEqual([false, false, false]);
      expect(await ledger.tenants(SHARD, TRACKER)).toEqual(['c']);
    });

    test('records are always counted; other names of ours never get a place', async () => {
      const { ledger } = given();
      await begin(ledger);
      const none = { maxTenants: 0 };
      const accounts = [account(RECORDS_TENANT, { tracker: 'records' }), overflow, account('__removed_5__')];
      const entries = accounts.map((_, i) => entry(i, { x: [1, 1] }));
      for (const from of [0, 1]) {
        const reply = await commit(ledger, call(accounts, [section(0, from, from + 1, entries)], none));
        expect(reply.accounts.map(({ tenantRefused }) => tenantRefused)).toEqual([false, true, true]);
      }
      expect((await read(ledger, SHARD, overflow))!.totals).toMatchObject({ total: [4, 4], overflow: [4, 4], live: 0 });
    });

    test('a place that was given up is given again', async () => {
      const { ledger } = given();
      await begin(ledger);
      await commit(ledger, one('a', 0));
      await commit(ledger, one('b', 1));
      await ledger.retireAll(SHARD);
      expect(await ledger.removeAccount(SHARD, account('a'), -1)).toBe(true);
      expect((await commit(ledger, one('c', 2))).accounts[0]!.tenantRefused).toBe(false);
      expect((await commit(ledger, one('a', 3))).accounts[0]!.tenantRefused).toBe(true);
    });
  });

  describe('tenants of any name', () => {
    const names = [
      '',
      '{',
      '}',
      '{}',
      '{a}',
      'a:b',
      'a',
      ':',
      '%',
      '%3A',
      ' ',
      '\0',
      '\n',
      '\ud800',
      '\udc00',
      '\ufffd',
      'x'.repeat(10_000),
      'ä',
      '__x',
    ];

    test('never share a series, and are told as they are', async () => {
      const { ledger } = given();
      await begin(ledger);
      const accounts = names.flatMap((tenant) => [account(tenant), account(tenant, { tracker: `${TRACKER}:a` })]);
      const entries = accounts.map((_, i) => entry(i, { x: [i + 1, 1] }));
      const reply = await commit(ledger, call(accounts, [section(0, 0, 1, entries)]));
      expect(reply.accounts.every(({ live, admissions }) => live === 1 && admissions === 1)).toBe(true);
      for (const [i, name] of accounts.entries()) expect(await valuesOf(ledger, name, 'x')).toEqual([[i + 1, 1]]);
      expect([...(await ledger.tenants(SHARD, TRACKER))].sort()).toEqual([...names].sort());
      const changed = (await ledger.changes(SHARD, 0))!.accounts;
      expect(changed).toHaveLength(accounts.length);
      expect(changed).toEqual(expect.arrayContaining(accounts.map(({ tenant, tracker }) => ({ tenant, tracker }))));
    });
  });
};
