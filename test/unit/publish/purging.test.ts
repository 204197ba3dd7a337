import { describe, expect, test } from '@jest/globals';
import { LedgerBroken } from '../../../src/ledger/port.ts';
import { Publisher } from '../../../src/publish/publisher.ts';
import { Purging } from '../../../src/publish/purging.ts';
import { PUBLISH_DEFAULTS } from '../../../src/publish/settings.ts';
import { type Scheduler, seededRandom } from '../../simulation/scheduler.ts';
import { SimProcess } from '../../simulation/sim-process.ts';
import { Rig } from './rig.ts';
import { OneShard } from './tables.ts';

const series = (name: string) => [[['service', name]], 5, 1] as const;

const tidy = (shard: OneShard, tenantRetentionS = 3_600) => {
  const calls: string[] = [];
  const { ledger, settings, options } = shard;
  const reader = new Proxy(ledger, {
    get: (target, name) => {
      const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        calls.push(String(name));
        return method.apply(target, args);
      };
    },
  });
  let isOurs = true;
  const purging = new Purging({
    reader,
    settings,
    options: { ...options, pageSeries: 2, tenantRetentionS },
    isOurs: () => isOurs,
  });
  return {
    purging,
    calls,
    loseShard: () => {
      isOurs = false;
    },
  };
};

/** Shard clock passes with commits alone, a minute each at most. */
const age = async (shard: OneShard, minutes: number): Promise<void> => {
  for (let i = 0; i < minutes; i++) {
    shard.nowMs += 60_000;
    await shard.add('other', [series('busy')]);
  }
};

describe('a pass', () => {
  test('retires what is stale, in steps, and asks nothing where nothing can be stale', async () => {
    const shard = await new OneShard('t').begin();
    await shard.add('t', [series('a'), series('b'), series('c'), series('d'), series('e')]);
    await age(shard, 10);
    await shard.show();
    const { purging, calls } = tidy(shard);
    await purging.pass(shard.shard, shard.reader);
    expect(calls).toEqual([]);
    await age(shard, 6);
    await shard.show();
    await purging.pass(shard.shard, shard.reader);
    expect(purging.purgedSeries).toBe(5);
    expect(calls).toEqual(['purge', 'purge', 'purge']);
    await shard.show();
    const [version] = [...shard.reader.accounts].filter(({ account }) => account.tenant === 't');
    expect(version!.totals).toMatchObject({ live: 0, retired: [25, 5] });
  });

  test('leaves what is not stale where something else is', async () => {
    const shard = await new OneShard('t').begin();
    await shard.add('t', [series('old'), series('young')]);
    await age(shard, 8);
    await shard.add('t', [series('young')]);
    await age(shard, 8);
    await shard.show();
    const { purging } = tidy(shard);
    await purging.pass(shard.shard, shard.reader);
    expect(purging.purgedSeries).toBe(1);
    await shard.show();
    const [version] = [...shard.reader.accounts].filter(({ account }) => account.tenant === 't');
    expect(version!.totals).toMatchObject({ live: 1, retired: [5, 1] });
  });

  test('removes an account without series after its time, and shows it no more', async () => {
    const shard = await new OneShard('t').begin();
    await shard.add('t', [series('a')]);
    await age(shard, 20);
    await shard.show();
    const { purging } = tidy(shard);
    await purging.pass(shard.shard, shard.reader);
    await age(shard, 65);
    for (let i = 0; i < 11; i++) {
      await shard.show();
      await purging.pass(shard.shard, shard.reader);
    }
    expect(purging.removedAccounts).toBe(1);
    await shard.show();
    expect([...shard.reader.table!.accounts.values()].map(({ account }) => account.tenant)).not.toContain('t');
  });

  test("stops as soon as the shard is another one's", async () => {
    const shard = await new OneShard('t').begin();
    await shard.add('t', [series('a')]);
    await age(shard, 20);
    await shard.show();
    const { purging, calls, loseShard } = tidy(shard);
    loseShard();
    await purging.pass(shard.shard, shard.reader);
    expect(calls).toEqual([]);
  });

  test('leaves the fates of records alone', async () => {
    const shard = await new OneShard('__records__').begin();
    await shard.add('__records__', [[[['outcome', 'malformed']], 5, 1]], { tracker: 'records' });
    await age(shard, 20);
    await shard.show();
    const { purging } = tidy(shard);
    await purging.pass(shard.shard, shard.reader);
    expect(purging.purgedSeries).toBe(0);
  });
});

test('a publisher says an outage once, goes on by itself, and ends the process over what cannot be', async () => {
  const rig = await new Rig().begin();
  const scheduler: Scheduler = rig.scheduler;
  const process = new SimProcess('p', scheduler, seededRandom(1));
  const logged: string[] = [];
  const fatal: Error[] = [];
  let failure: Error | null = new Error('away');
  const free = rig.ledger.free.bind(rig.ledger);
  rig.ledger.free = (...args) => (failure === null ? free(...args) : Promise.reject(failure));
  const publisher = new Publisher(
    {
      reader: rig.ledger,
      leases: rig.ledger,
      clock: process.clock,
      token: () => `token${scheduler.events}`,
      commits: async () => rig.commits,
      settings: rig.settings,
      log: { info: () => {}, warn: (_, text) => void logged.push(text), error: () => {} },
      fatal: (error) => void fatal.push(error),
    },
    { ...PUBLISH_DEFAULTS, replica: 'p' },
  );
  publisher.start();
  await scheduler.run(30_000);
  expect([logged, publisher.stats().failures > 5, publisher.stats().heldShards]).toEqual([['publish_waits'], true, 0]);
  failure = null;
  await rig.take({ tenant: 'a', service: 's', bytes: 5 });
  await scheduler.run(60_000);
  expect(publisher.stats()).toMatchObject({ heldShards: rig.shards.length, shownShards: rig.shards.length, series: 1 });
  failure = new LedgerBroken('a sum beyond 2^53');
  await scheduler.run(70_000);
  expect(fatal[0]).toBe(failure);
  const stopped = publisher.stop(1_000);
  await scheduler.run(72_000);
  await stopped;
  expect(publisher.snapshot(true).tables).toEqual([]);
});
