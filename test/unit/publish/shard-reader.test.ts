import { describe, expect, test } from '@jest/globals';
import type { Labels } from '../../../src/attribution/series-key.ts';
import { commitsOf } from '../../../src/publish/markers.ts';
import { rowsOf } from './rig.ts';
import { FIELD, OneShard } from './tables.ts';

const service = (name: string): Labels => [['service', name]];
const one = (tenant = 't', limit = 100, options = {}): Promise<OneShard> =>
  new OneShard(tenant, limit, ['service'], options).begin();

const shown = (shard: OneShard, forScraper = false): Record<string, number> =>
  Object.fromEntries(
    rowsOf(shard.snapshot(forScraper)).map(({ labels, shown: value }) => [/service="(.*?)"/.exec(labels)![1]!, value]),
  );

const pass = (shard: OneShard, seconds: number): void => {
  shard.nowMs += seconds * 1000;
};

/** Moves the change counter, as a renewal would. */
const renew = async (shard: OneShard): Promise<void> => {
  await shard.ledger.take(shard.shard, 'me', 'token', 15_000);
};

describe('what a shard shows', () => {
  test('waits until the group has committed what was read', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.look();
    await shard.look();
    expect(shard.reader.table).toBeNull();
    await shard.add('t', [[service('a'), 2, 1]]);
    shard.committed = 1;
    await shard.look();
    // What was read waits as it was: a busy shard would else never show anything.
    expect(shown(shard)).toEqual({ a: 5 });
    shard.committed = 2;
    await shard.look();
    expect(shown(shard)).toEqual({ a: 7 });
  });

  test('waits for a usable lease, and then for a reading that reaches the commits asked for since', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    shard.committed = 1;
    await shard.look(false);
    expect(shard.reader.table).toBeNull();
    await shard.add('t', [[service('a'), 2, 1]]);
    // The last owner may have shown 7: the reading of 5 must not follow.
    shard.committed = 2;
    await shard.look();
    expect(shard.reader.table).toBeNull();
    await shard.look();
    expect(shown(shard)).toEqual({ a: 7 });
  });

  test('does not take commits that were asked for before the lease became usable', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.reader.look(commitsOf(new Map([[FIELD, 1]]), 99), 100);
    expect(shard.reader.table).toBeNull();
  });

  test('shows nothing newer without commits, and where a partition has none', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.reader.look(null, 0);
    await shard.reader.look(commitsOf(new Map([[FIELD, -1]]), shard.nowMs), 0);
    expect(shown(shard)).toEqual({ a: 5 });
  });

  test('keeps its table while nothing is done to the shard, and makes another at once when something is', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    const before = shard.reader.table;
    for (let i = 0; i < 3; i++) await shard.look();
    expect(shard.reader.table).toBe(before);
    await shard.add('t', [[service('a'), 2, 1]]);
    shard.committed = shard.marker;
    await shard.look();
    expect(shown(shard)).toEqual({ a: 7 });
  });

  test('reads again what moved no more than a marker', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    await shard.add('t', []);
    shard.committed = shard.marker;
    await shard.look();
    expect(shard.reader.table!.markers.get(FIELD)).toBe(shard.marker);
  });

  test('does not wait for partitions of topics that nobody consumes', async () => {
    const shard = await one();
    await shard.ledger.setMarkers(shard.shard, [['gone/0' as typeof FIELD, 17]], 'no');
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    expect(shown(shard)).toEqual({ a: 5 });
    await shard.ledger.setMarkers(shard.shard, [['topic/1' as typeof FIELD, 17]], 'no');
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    // A new partition of a topic that is consumed, of which the commits do not know yet.
    expect(shown(shard)).toEqual({ a: 5 });
  });

  test('stays as it was after lost writes, until they are made up for', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    const before = shard.ledger.snapshotShard(shard.shard);
    await shard.add('t', [[service('a'), 2, 1]]);
    await shard.show();
    expect(shown(shard)).toEqual({ a: 7 });
    shard.ledger.restoreShard(shard.shard, before);
    shard.marker = 1;
    await shard.look();
    await shard.look();
    expect(shown(shard)).toEqual({ a: 7 });
    await shard.add('t', [[service('a'), 4, 1]], { replay: true });
    await shard.look();
    await shard.look();
    expect(shown(shard)).toEqual({ a: 9 });
  });

  test('goes on where the log became shorter, and the markers and the commit with it', async () => {
    const shard = await one();
    for (const bytes of [5, 2, 1]) await shard.add('t', [[service('a'), bytes, 1]]);
    await shard.show();
    shard.committed = 1;
    await shard.ledger.move(shard.shard, FIELD, 3, 1, 'truncated');
    shard.marker = 1;
    await shard.look();
    await shard.add('t', [[service('a'), 10, 1]]);
    await shard.show();
    expect(shown(shard)).toEqual({ a: 18 });
  });

  test('another owner shows nothing before lost writes are made up for', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    const before = shard.ledger.snapshotShard(shard.shard);
    await shard.add('t', [[service('b'), 2, 1]]);
    await shard.show();
    shard.ledger.restoreShard(shard.shard, before);
    shard.marker = 1;
    shard.newReader();
    await shard.look();
    await shard.look();
    expect(shard.reader.table).toBeNull();
    await shard.add('t', [[service('b'), 2, 1]], { replay: true });
    await shard.show();
    // Both may have been shown with their values before: no hold.
    expect(shown(shard, true)).toEqual({ a: 5, b: 2 });
  });

  test('counts what was written while it was read, too, as to be covered', async () => {
    const shard = await one('t', 100, { pageSeries: 1 });
    await shard.add('t', [
      [service('a'), 5, 1],
      [service('b'), 5, 1],
    ]);
    const page = shard.ledger.page.bind(shard.ledger);
    shard.ledger.page = async (...args) => {
      // Between the two pages.
      if (args[2] !== null && shard.marker === 1) await shard.add('t', [[service('b'), 2, 1]]);
      return page(...args);
    };
    shard.committed = 1;
    await shard.look();
    await shard.look();
    expect(shard.reader.table).toBeNull();
    shard.committed = 2;
    await shard.look();
    expect(shown(shard)).toEqual({ a: 5, b: 7 });
  });

  test('throws a reading away when writes were lost in the middle of it', async () => {
    const shard = await one('t', 100, { pageSeries: 1 });
    const before = shard.ledger.snapshotShard(shard.shard);
    await shard.add('t', [
      [service('a'), 5, 1],
      [service('b'), 5, 1],
    ]);
    const page = shard.ledger.page.bind(shard.ledger);
    shard.ledger.page = async (...args) => {
      if (args[2] !== null && shard.counts.fallbacks === 0) {
        shard.ledger.restoreShard(shard.shard, before);
        shard.marker = 0;
        await shard.add('t', [[service('b'), 5, 1]], { replay: true });
      }
      return page(...args);
    };
    shard.committed = 1;
    await shard.look();
    expect(shard.reader.table).toBeNull();
    await shard.look();
    expect(shown(shard)).toEqual({ b: 5 });
  });

  test('notices lost writes that were made up for between two looks', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    pass(shard, 50);
    const before = shard.ledger.snapshotShard(shard.shard);
    await shard.add('u', [[service('b'), 5, 1]]);
    await shard.ledger.purge(shard.shard, { tenant: 't', tracker: 'cost-attribution' }, 40, null, 100);
    await shard.show();
    expect(shown(shard)).toEqual({ b: 5 });
    // The purge is lost and done by nobody again; what t has did not change since.
    shard.ledger.restoreShard(shard.shard, before);
    shard.marker = 1;
    pass(shard, 1);
    await shard.add('u', [[service('b'), 5, 1]], { replay: true });
    await shard.show();
    expect(shown(shard)).toEqual({ a: 5, b: 5 });
  });

  test('drops series that were purged, and accounts that were removed', async () => {
    const shard = await one();
    await shard.add('t', [
      [service('a'), 5, 1],
      [service('b'), 6, 1],
    ]);
    await shard.show();
    for (let i = 0; i < 20; i++) {
      pass(shard, 50);
      await shard.add('t', [[service('b'), 1, 1]]);
    }
    await shard.ledger.purge(shard.shard, { tenant: 't', tracker: 'cost-attribution' }, 900, null, 100);
    await shard.show();
    await shard.show();
    expect(shown(shard)).toEqual({ b: 26 });
    shard.reader.forget({ tenant: 't', tracker: 'cost-attribution' });
    await shard.show();
    expect(shown(shard)).toEqual({});
    expect(shard.errors).toEqual([]);
  });

  test('follows a ledger that was made anew', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    shard.ledger.restoreShard(shard.shard, null);
    await shard.look();
    await shard.ledger.setMarkers(shard.shard, [[FIELD, 1]], 'after-loss');
    await shard.add('t', [[service('a'), 3, 1]]);
    pass(shard, 1);
    await shard.show();
    await shard.show();
    expect(shown(shard)).toEqual({ a: 3 });
    expect(shown(shard, true)).toEqual({ a: 0 });
  });

  test('reads everything again after ten minutes, and compacts what is gone', async () => {
    const shard = await one();
    await shard.add(
      't',
      Array.from({ length: 90 }, (_, i) => [service(`s${i}`), i, 1] as const),
    );
    await shard.show();
    for (let i = 0; i < 20; i++) {
      pass(shard, 50);
      await shard.add('t', [[service('s7'), 1, 1]]);
    }
    await shard.ledger.purge(shard.shard, { tenant: 't', tracker: 'cost-attribution' }, 900, null, 100);
    await shard.show();
    await shard.show();
    expect(shown(shard)).toEqual({ s7: 27 });
    expect([...shard.reader.accounts][0]!.labels.count).toBe(1);
    expect(shard.counts.fullReadings).toBe(2);
  });

  test('alerts when an account read at rest does not balance', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    expect(shard.counts.auditFailures).toBe(0);
    await shard.add('t', [[service('a'), 5, 1]]);
    [...shard.ledger.inspectShard(shard.shard)!.accounts.values()][0]!.total[0]! += 1;
    await shard.show();
    expect(shard.counts.auditFailures).toBe(1);
    expect(shard.errors).toEqual(['audit_failed']);
  });

  test('alerts after five minutes without commits, once', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    for (let i = 0; i < 40; i++) {
      pass(shard, 10);
      await shard.look();
    }
    expect(shard.reader.behindMs).toBe(390_000);
    expect(shard.errors).toHaveLength(1);
  });
});

describe('birth at zero', () => {
  test('a series shows 0 to scrapers until the counter has passed its hold, and its value to people', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    expect([shown(shard, true), shown(shard)]).toEqual([{ a: 0 }, { a: 5 }]);
    pass(shard, 74);
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 0 });
    pass(shard, 2);
    // Time alone is not enough: the counter stands.
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 0 });
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 5 });
    await shard.add('t', [[service('a'), 1, 1]]);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 6 });
  });

  test('a hold that is not over begins again with another owner; one that is over stays over', async () => {
    const shard = await one();
    await shard.add('t', [[service('old'), 5, 1]]);
    pass(shard, 50);
    await shard.add('t', [[service('young'), 5, 1]]);
    pass(shard, 70);
    await renew(shard);
    shard.newReader();
    await shard.show();
    expect(shown(shard, true)).toEqual({ old: 5, young: 0 });
    pass(shard, 74);
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ old: 5, young: 0 });
    pass(shard, 2);
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ old: 5, young: 5 });
  });

  test('a hold that another owner saw end is not begun again by one whose take was lost, with the time before it', async () => {
    const shard = await one();
    await shard.add('t', [[service('a'), 5, 1]]);
    pass(shard, 70);
    await renew(shard);
    const before = shard.ledger.snapshotShard(shard.shard);
    pass(shard, 10);
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 5 });
    const answer = await shard.ledger.take(shard.shard, 'me', 'token', 15_000);
    shard.newReader(answer.kind === 'taken' ? answer.counter : 0);
    shard.ledger.restoreShard(shard.shard, before);
    await shard.show();
    // Whoever shows it now would show 0 once more.
    expect(shard.reader.table).toBeNull();
    pass(shard, 1);
    await renew(shard);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 5 });
  });

  test('holds the sums of what is new, and the overflow when it begins', async () => {
    const shard = await one('t', 1);
    const holds = (): boolean[] => {
      const [version] = [...shard.reader.table!.accounts.values()];
      return [version!.totalHold > shard.reader.table!.counter, version!.overflowHold > shard.reader.table!.counter];
    };
    await shard.add('t', [[service('a'), 5, 1]]);
    await shard.show();
    expect(holds()).toEqual([true, false]);
    pass(shard, 80);
    await renew(shard);
    await shard.add('t', [[service('b'), 5, 1]]);
    await shard.show();
    expect(holds()).toEqual([false, true]);
    shard.newReader();
    await shard.show();
    // Another owner cannot know that it is new.
    expect(holds()).toEqual([false, false]);
  });

  test('holds the sums, overflow too, that the first table of an owner shows of an account whose series are all held', async () => {
    const shard = await one('t', 1);
    const holds = (): boolean[] => {
      const [version] = [...shard.reader.table!.accounts.values()];
      return [version!.totalHold > shard.reader.table!.counter, version!.overflowHold > shard.reader.table!.counter];
    };
    await shard.add('t', [
      [service('a'), 5, 1],
      [service('b'), 5, 1],
    ]);
    shard.newReader();
    await shard.show();
    expect(holds()).toEqual([true, true]);
    pass(shard, 80);
    await renew(shard);
    shard.newReader();
    await shard.show();
    expect(holds()).toEqual([false, false]);
  });

  test('there is none with a hold of 0', async () => {
    const shard = await one('t', 1, { holdMs: 0 });
    await shard.add('t', [
      [service('a'), 5, 1],
      [service('b'), 5, 1],
    ]);
    await shard.show();
    expect(shown(shard, true)).toEqual({ a: 5 });
    const [version] = [...shard.reader.table!.accounts.values()];
    expect([version!.totalHold, version!.overflowHold]).toEqual([0, 0]);
  });
});
