/** What a ledger keeps beside totals: what had no value for a label, and a sketch of what overflowed. */
import { describe, expect, test } from '@jest/globals';
import { overflowTenant } from '../../src/attribution/reserved.ts';
import { estimate, REGISTERS, WINDOWS, windowS } from '../../src/ledger/demand.ts';
import { account, add, begin, call, commit, entry, marksOf, read, SHARD, section } from './calls.ts';
import type { Given } from './ledger-contract.ts';

const STALE_S = 40;
const A = account('a', { staleS: STALE_S });

export const demandContract = (given: () => Given): void => {
  const unattributed = async (tenant: string): Promise<object> =>
    Object.fromEntries((await read(given().ledger, SHARD, account(tenant)))!.totals.unattributed);
  /** Oldest first: about how many were marked in each window. */
  const windows = async (): Promise<number[]> =>
    (await read(given().ledger, SHARD, A))!.demand.map(({ registers }) => Math.round(estimate(registers)));

  describe('what had no value for a label', () => {
    test('adds up over sections and calls, once', async () => {
      const { ledger } = given();
      await begin(ledger);
      const what = call(
        [A, account('b')],
        [
          section(0, 0, 1, [
            entry(0, { x: [5, 1] }, { unattributed: { team: 5, region: 2 } }),
            entry(1, { x: [1, 1] }),
          ]),
        ],
      );
      await commit(ledger, what);
      await commit(ledger, what);
      await add(ledger, 1, A, { x: [4, 1] }, { unattributed: { team: 4 } });
      await add(ledger, 2, A, { x: [4, 1] });
      expect(await unattributed('a')).toEqual({ team: 9, region: 2 });
      expect(await unattributed('b')).toEqual({});
    });

    test('is not lost to retired series, and may be as much as a total', async () => {
      const { ledger } = given();
      await begin(ledger);
      const most = Number.MAX_SAFE_INTEGER;
      await add(ledger, 0, A, { x: [most, 1] }, { unattributed: { team: most } });
      await ledger.retireAll(SHARD);
      expect(await unattributed('a')).toEqual({ team: most });
      expect((await ledger.cut(SHARD))!.accounts[0]!.totals.unattributed).toEqual(new Map([['team', most]]));
    });

    test('of a tenant without a place is that of the one that stands for it', async () => {
      const { ledger } = given();
      await begin(ledger);
      const none = call([A], [section(0, 0, 1, [entry(0, { x: [5, 1] }, { unattributed: { team: 5 } })])], {
        maxTenants: 0,
      });
      await commit(ledger, none);
      expect(await unattributed(overflowTenant(SHARD))).toEqual({ team: 5 });
    });

    test('begins again with a tenant that was removed', async () => {
      const { ledger } = given();
      await begin(ledger);
      await add(ledger, 0, A, { x: [5, 1] }, { unattributed: { team: 5 } });
      await ledger.retireAll(SHARD);
      await ledger.removeAccount(SHARD, A, -1);
      await add(ledger, 1, A, { x: [5, 1] });
      expect(await unattributed('a')).toEqual({});
    });
  });

  describe('a sketch of what overflowed', () => {
    const see = (from: number, ...names: readonly (string | number)[]) =>
      add(given().ledger, from, { ...A, demand: marksOf(...names) }, {}, { overflow: [1, 1] });

    test('counts distinct series, whoever sends them and how often', async () => {
      const { ledger } = given();
      await begin(ledger);
      expect((await read(ledger, SHARD, A)) ?? { demand: [] }).toMatchObject({ demand: [] });
      await see(0, 'x', 'y');
      await see(1, 'y', 'z', 'x');
      await add(ledger, 2, A, {}, { overflow: [1, 1] });
      expect(await windows()).toEqual([3]);
      const many = Array.from({ length: REGISTERS }, (_, i) => i);
      await see(3, ...many);
      const [about] = await windows();
      expect(Math.abs(about! - many.length - 3)).toBeLessThan(many.length * 0.2);
    });

    test('begins again each quarter of the stale time, and keeps what may still count', async () => {
      const { ledger, fixture } = given();
      await begin(ledger);
      for (let from = 0; from < 2 * WINDOWS; from++) {
        await see(from, ...Array.from({ length: from + 1 }, (_, i) => `${from}/${i}`));
        expect((await windows()).length).toBeLessThanOrEqual(WINDOWS);
        await fixture.passTime(ledger, SHARD, windowS(STALE_S));
      }
      expect((await windows()).at(-1)).toBe(2 * WINDOWS);
      await fixture.passTime(ledger, SHARD, 55);
      await see(2 * WINDOWS, 'x');
      expect(await windows()).toEqual([1]);
    });

    test('takes nothing in from a call that adds nothing, or of a tenant without a place', async () => {
      const { ledger } = given();
      await begin(ledger);
      await see(0, 'x');
      const again = call([{ ...A, demand: marksOf('y') }], [section(0, 0, 1, [entry(0, { x: [1, 1] })])]);
      await commit(ledger, again);
      expect(await windows()).toEqual([1]);
      const refused = call([account('b', { demand: marksOf('y') })], [section(0, 1, 2, [entry(0, { x: [1, 1] })])], {
        maxTenants: 1,
      });
      await commit(ledger, refused);
      expect((await read(ledger, SHARD, { ...A, tenant: overflowTenant(SHARD) }))!.demand).toEqual([]);
    });

    test('refuses marks that are none', async () => {
      const { ledger } = given();
      await begin(ledger);
      for (const demand of [Buffer.alloc(1), Buffer.alloc(2), Buffer.from('ffff', 'hex')])
        await expect(ledger.commit(call([{ ...A, demand }], []))).rejects.toThrow('marks that are none');
    });
  });
};
