/** Limits hold at every instant, over all replicas, on real traffic. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { overflowTenant } from '../../src/attribution/reserved.ts';
import { maxTenantsPerShard, shardOf } from '../../src/ledger/keys.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import { parseExposition } from '../support/exposition.ts';
import { type Fleet, PREFIX, startFleet, untilNoLag } from '../support/fleet.ts';
import { type FleetLedger, isOfTenant, openFleetLedger, readTotals } from '../support/fleet-ledger.ts';
import { manySeriesRecord, plainLabels, plainRecord } from '../support/fleet-records.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { waitUntil } from '../support/wait-for.ts';

const LIMIT = 10;
const TRACKER = 'cost-attribution';
const MAX_TENANTS = 64;

let fleet: Fleet;
let ledger: FleetLedger;

beforeAll(async () => {
  fleet = await startFleet({
    name: 'limit',
    brokers: sharedKafka(),
    config: {
      ledger: { flush_interval: '100ms', max_tenants: MAX_TENANTS },
      usage: { cost_attribution: { max_cardinality: LIMIT } },
    },
  });
  ledger = openFleetLedger(fleet.redis.url, PREFIX);
}, 120_000);

afterAll(async () => {
  await ledger?.close();
  await fleet?.stop();
}, 60_000);

/** The most series that a third party has ever seen of a tenant, looking all the time until told to end. */
function watchLive(tenants: readonly string[]): { end(): Promise<ReadonlyMap<string, number>> } {
  let ended = false;
  const most = new Map<string, number>();
  const look = async (tenant: string) => {
    const page = await ledger.page(shardOf(tenant), { tenant, tracker: TRACKER }, null, 1000);
    const seen = Math.max(page?.rows.length ?? 0, page?.totals.live ?? 0);
    most.set(tenant, Math.max(most.get(tenant) ?? 0, seen));
  };
  const loop = (async () => {
    while (!ended) await Promise.all(tenants.map(look));
  })();
  return {
    end: async () => {
      ended = true;
      await loop;
      return most;
    },
  };
}

/** The sum over what all replicas show. */
async function usage(name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const shown = await Promise.all(fleet.replicas.map((replica) => replica.scrape('/usage_metrics')));
  return shown
    .flatMap((text) => parseExposition(text))
    .filter((one) => one.name === `tempo_usage_tracker_${name}`)
    .filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

describe('limits', () => {
  test('two replicas race for the last of 10 places, and there is never an 11th series', async () => {
    const tenants = Array.from({ length: 6 }, (_, i) => `race-${i}`);
    const watch = watchLive(tenants);
    for (let series = 0; series < 24; series += 1) {
      // Each partition brings other series, so that both replicas want places for them in the same moment.
      await Promise.all(
        Array.from({ length: fleet.partitions }, async (_, partition) => {
          for (const tenant of tenants)
            await fleet.send(plainRecord(tenant, `/p${partition}/${series}`, 1 + (series % 3)), partition);
        }),
      );
    }
    await fleet.settle();
    const most = await watch.end();
    expect(Object.fromEntries(most)).toEqual(Object.fromEntries(tenants.map((tenant) => [tenant, LIMIT])));
  }, 60_000);

  test('a series that has its place keeps counting exactly while new ones overflow', async () => {
    const tenant = 'keeps';
    let known = 0;
    for (let round = 0; round < 30; round += 1) {
      const record = plainRecord(tenant, '/known', 2);
      await fleet.send(record, round % fleet.partitions);
      known += record.value!.length;
      if (round === 0) await fleet.settle();
      await fleet.send(manySeriesRecord(tenant, routes(`/new-${round}`, 20)), (round + 1) % fleet.partitions);
    }
    await fleet.settle();
    const account = (await readTotals(ledger)).find((one) => one.tenant === tenant)!;
    const series = account.series.find(({ labels }) => labels.route === '/known')!;
    expect(series).toEqual({ labels: plainLabels('/known'), values: [known, 60] });
    expect(account.live).toBe(LIMIT);
    expect(account.overflow[0]).toBeGreaterThan(0);
  }, 60_000);

  test('a tenant with a new series in every span costs Redis next to nothing, and the others are exact', async () => {
    const spans = 40_000;
    const explode = async (wave: string) => {
      for (let first = 0; first < spans; first += 2000)
        await fleet.send(
          manySeriesRecord('bomb', routes(`/${wave}-${first}`, 2000)),
          (first / 2000) % fleet.partitions,
        );
    };
    const flow = await fleet.flow(20);
    await explode('first');
    await flow.end();
    await fleet.settle();
    // By now every replica knows that there is no room; how much it sent to learn that depends on who was faster.
    const before = await fleet.metric('tracetally_ledger_series_committed_total');
    await explode('second');
    await fleet.settle();
    const bomb = (await readTotals(ledger)).find((one) => one.tenant === 'bomb')!;
    expect(bomb.live).toBe(LIMIT);
    expect(bomb.total[1]).toBe(2 * spans);
    const committed = (await fleet.metric('tracetally_ledger_series_committed_total')) - before;
    expect(committed).toBeLessThan(spans / 100);
    // Both replicas saw overflow what neither knows of the other; what they say of it is merged.
    const of = { tenant: 'bomb', tracker: TRACKER };
    await waitUntil(
      async () => {
        const demand = await usage('series_demand_estimate', of);
        expect(Math.abs(demand / (2 * spans) - 1)).toBeLessThan(0.2);
        for (const [dimension, part] of [
          ['team', 1],
          ['env', 1],
          ['route', 0],
        ] as const)
          expect(await usage('unattributed_bytes_total', { ...of, dimension })).toBe(part * bomb.total[0]);
        return true;
      },
      { timeoutMs: 20_000, what: 'how many series there would be, and what has no team' },
    );
  }, 60_000);

  test('a client that makes up tenants fills its places, and those that were there stay exact', async () => {
    const shard = shardOf('keeps');
    const places = maxTenantsPerShard(MAX_TENANTS);
    const madeUp: string[] = [];
    for (let i = 0; madeUp.length < 3 * places; i += 1)
      if (shardOf(`made-up-${i}`) === shard) madeUp.push(`made-up-${i}`);
    for (const [i, tenant] of madeUp.entries()) {
      await fleet.send(plainRecord(tenant, '/x'), i % fleet.partitions);
      if (i % 5 === 0) await fleet.send(plainRecord('keeps', '/known'), i % fleet.partitions);
    }
    await untilNoLag({ brokers: fleet.brokers, group: fleet.group, topic: fleet.topic });
    const bytesOf = (tenant: string) => fleet.truth.tenants.get(tenant)?.bytes ?? 0;
    await waitUntil(
      async () => {
        const totals = (await readTotals(ledger)).filter(isOfTenant);
        const inShard = totals.filter(({ tenant }) => shardOf(tenant) === shard && !tenant.startsWith('__'));
        const sum = totals.reduce((all, { total }) => all + total[0], 0);
        const beyond = totals.find(({ tenant }) => tenant === overflowTenant(shard));
        const left = madeUp.filter((tenant) => !inShard.some((one) => one.tenant === tenant));
        expect(inShard).toHaveLength(places);
        expect(sum).toBe(fleet.truth.acceptedBytes);
        expect(beyond?.total[0]).toBe(left.reduce((all, tenant) => all + bytesOf(tenant), 0));
        for (const { tenant, total } of inShard) expect([tenant, total[0]]).toEqual([tenant, bytesOf(tenant)]);
        return true;
      },
      { timeoutMs: 20_000, what: 'the tenants that have places, and the rest in one' },
    );
    expect(shard).toBeLessThan(SHARDS);
  }, 60_000);
});

function routes(begin: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${begin}/${i}`);
}
