import { describe, expect, test } from '@jest/globals';
import { LedgerBroken, LedgerRefused } from '../../src/ledger/port.ts';
import { account, begin, call, field, SHARD, section } from './calls.ts';
import { IDENTITY } from './fixture.ts';
import type { Given } from './ledger-contract.ts';

export const identityContract = (given: () => Given): void => {
  describe('whose it is', () => {
    test('an installation claims it again and again', async () => {
      const { ledger, fixture, prefix } = given();
      await ledger.claim(IDENTITY);
      await fixture.open(prefix).claim(IDENTITY);
    });

    test.each([
      { ...IDENTITY, groupId: 'group-b' },
      { ...IDENTITY, clusterId: 'cluster-b' },
    ])('another one is told whose it is and what to do: %j', async (other) => {
      const { fixture, prefix, ledger } = given();
      await begin(ledger);
      const refusal = fixture.open(prefix).claim(other);
      await expect(refusal).rejects.toThrow(LedgerRefused);
      for (const word of ['group-a', 'cluster-a', other.groupId, other.clusterId, prefix, 'key_prefix', 'group_id'])
        await expect(refusal).rejects.toThrow(word);
      expect(await ledger.view(SHARD)).not.toBeNull();
    });

    test('shards whose record was lost keep their installation', async () => {
      const { fixture, prefix, ledger } = given();
      await begin(ledger);
      await fixture.loseRecord(ledger);
      await expect(fixture.open(prefix).claim({ ...IDENTITY, groupId: 'group-b' })).rejects.toThrow(LedgerRefused);
      await ledger.claim(IDENTITY);
    });

    test('an operator joins the one that is there, and binds nothing', async () => {
      const { fixture, prefix, ledger } = given();
      const other = { ...IDENTITY, groupId: 'group-b' };
      await expect(fixture.open(`${prefix}-empty`).join(IDENTITY)).rejects.toThrow(/there is no ledger .*key_prefix/);
      await fixture.open(`${prefix}-empty`).claim(other);
      await begin(ledger);
      await expect(fixture.open(prefix).join(other)).rejects.toThrow(/group-a.*group-b/);
      await fixture.loseRecord(ledger);
      await expect(fixture.open(prefix).join(other)).rejects.toThrow(LedgerRefused);
      const operator = fixture.open(prefix);
      await operator.join(IDENTITY);
      expect(await operator.move(SHARD, field(0), 0, 3, 'seek')).toBe(3);
    });

    test('nothing is written before the claim', async () => {
      const { fixture } = given();
      const other = fixture.open('never-claimed');
      await expect(other.setMarkers(SHARD, [[field(0), 0]], 'first')).rejects.toThrow(LedgerRefused);
      await expect(other.commit(call([], [section(0, 0, 0)]))).rejects.toThrow(LedgerRefused);
      await expect(other.firstSight('topic', 3)).rejects.toThrow(LedgerRefused);
      expect(await other.view(SHARD)).toBeNull();
    });

    test('a server that answers is looked at', async () => {
      const findings = await given().ledger.examine();
      expect(findings.filter(({ severity }) => severity === 'refuse')).toEqual([]);
    });
  });

  describe('the partitions that a topic had at first sight', () => {
    test('are told by whoever comes first', async () => {
      const { ledger } = given();
      expect(await ledger.firstSight('topic', 8)).toBe(8);
      expect(await ledger.firstSight('topic', 12)).toBe(8);
      expect(await ledger.firstSight('other', 12)).toBe(12);
    });

    test('are those with markers where the record was lost', async () => {
      const { ledger, fixture } = given();
      await ledger.firstSight('topic', 8);
      await ledger.setMarkers(3, [[field(2), 0]], 'first');
      await ledger.setMarkers(SHARD, [[field(7), 0]], 'first');
      await fixture.loseRecord(ledger);
      await ledger.claim(IDENTITY);
      expect(await ledger.firstSight('topic', 12)).toBe(8);
    });
  });

  describe('what cannot be asked', () => {
    test.each([-1, 64, 1.5, Number.NaN])('a shard %p', async (shard) => {
      const { ledger } = given();
      await expect(ledger.view(shard)).rejects.toThrow(LedgerBroken);
      await expect(ledger.commit(call([], [], { shard }))).rejects.toThrow(LedgerBroken);
      await expect(ledger.page(shard, account('a'), null, 10)).rejects.toThrow(LedgerBroken);
      await expect(ledger.free('a', [shard])).rejects.toThrow(LedgerBroken);
    });
  });
};
