import { describe, expect, test } from '@jest/globals';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import { type Leases, LedgerUnavailable, SHARDS } from '../../../src/ledger/port.ts';
import { Ownership } from '../../../src/publish/ownership.ts';
import { wantedOwner } from '../../../src/publish/rendezvous.ts';

const LEASE_MS = 15_000;

class World {
  nowMs = 1_700_000_000_000;
  readonly ledger = new MemoryLedger({ nowUs: () => this.nowMs * 1000 });
  #tokens = 0;

  async begin(): Promise<this> {
    await this.ledger.claim({ clusterId: 'c', groupId: 'g' });
    for (let shard = 0; shard < SHARDS; shard++) await this.ledger.setMarkers(shard, [], 'first');
    return this;
  }

  replica(name: string, leases: Leases = this.ledger): Replica {
    const shift = { monotonicMs: 0, wallMs: 0 };
    const ownership = new Ownership({
      leases,
      clock: {
        wallMs: () => this.nowMs + shift.wallMs,
        monotonicMs: () => this.nowMs + shift.monotonicMs,
        after: (ms, fn) => {
          this.nowMs += ms;
          fn();
          return () => {};
        },
        turn: async () => {},
      },
      replica: name,
      leaseMs: LEASE_MS,
      token: () => `${name}.${this.#tokens++}`,
      width: 8,
    });
    return { ownership, shift };
  }

  /** Seconds pass; everyone ticks every five. */
  async pass(seconds: number, replicas: readonly Replica[]): Promise<void> {
    for (let s = 0; s < seconds; s += 5) {
      this.nowMs += 5000;
      for (const { ownership } of replicas) await ownership.tick();
    }
  }
}

type Replica = { readonly ownership: Ownership; readonly shift: { monotonicMs: number; wallMs: number } };

const shows = ({ ownership }: Replica): number[] =>
  Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => ownership.mayShow(shard));

const wantedBy = (name: string, replicas: readonly string[]): number[] =>
  Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => wantedOwner(shard, replicas) === name);

test('the wanted owner moves only with who comes and goes, and everyone gets a share', () => {
  const three = ['a', 'b', 'c'].map((name) => wantedBy(name, ['a', 'b', 'c']));
  expect(three.every((shards) => shards.length > 8)).toBe(true);
  expect(three.flat().toSorted((a, b) => a - b)).toHaveLength(SHARDS);
  for (const shard of three[0]!) expect(wantedOwner(shard, ['a', 'b'])).toBe('a');
  expect(wantedOwner(3, [])).toBeNull();
});

describe('a lease', () => {
  test('that was not released to us is usable one lease after the answer', async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    await a.ownership.tick();
    expect(a.ownership.held).toHaveLength(SHARDS);
    expect(a.ownership.tookAt(0)).toBe((await world.ledger.view(0))!.counter);
    await world.pass(10, [a]);
    world.nowMs += 4_999;
    expect(shows(a)).toEqual([]);
    world.nowMs += 1;
    expect(shows(a)).toHaveLength(SHARDS);
  });

  test('goes to the wanted one by name, at once, when begun answers are over', async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    const b = world.replica('b');
    await a.ownership.tick();
    await world.pass(20, [a]);
    const theirs = wantedBy('b', ['a', 'b']);
    const end = a.ownership.beginAnswer(theirs[0]!);
    await b.ownership.tick();
    await a.ownership.tick();
    expect(shows(a)).toEqual(wantedBy('a', ['a', 'b']));
    await b.ownership.handOver();
    expect(shows(b)).toEqual(theirs.slice(1));
    end();
    await a.ownership.handOver();
    await b.ownership.handOver();
    expect(shows(b)).toEqual(theirs);
  });

  test('not yet usable is deleted, so that the next one waits too', async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    const b = world.replica('b');
    await a.ownership.tick();
    await world.pass(5, [b, a, b]);
    expect(b.ownership.held).toEqual(wantedBy('b', ['a', 'b']));
    expect(shows(b)).toEqual([]);
  });

  test('ends for a machine that slept, whichever clock says so, and needs a new take', async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    await a.ownership.tick();
    await world.pass(20, [a]);
    const tenure = a.ownership.tenure(0);
    world.nowMs += 14_000;
    expect(shows(a)).toHaveLength(SHARDS);
    a.shift.wallMs += 1_000;
    expect(shows(a)).toEqual([]);
    a.shift.wallMs -= 1_000;
    a.shift.monotonicMs += 1_000;
    expect(shows(a)).toEqual([]);
    await a.ownership.tick();
    expect(shows(a)).toEqual([]);
    await world.pass(20, [a]);
    expect(shows(a)).toHaveLength(SHARDS);
    expect(a.ownership.tenure(0)).not.toBe(tenure);
  });

  test('counts from when the renewal was sent, not from its answer, and not at all when it is refused', async () => {
    const world = await new World().begin();
    let delayMs = 0;
    const slow = slowly(world.ledger, () => {
      world.nowMs += delayMs;
    });
    const a = world.replica('a', slow);
    await a.ownership.tick();
    await world.pass(20, [a]);
    delayMs = 200;
    await a.ownership.tick();
    // 64 renewals, a sign-in and the like took more than 13 s: the first ones were sent that long ago.
    expect(a.ownership.mayShow(0)).toBe(true);
    world.nowMs += 2_500;
    expect(a.ownership.mayShow(0)).toBe(false);
    expect(a.ownership.mayShow(SHARDS - 1)).toBe(true);
    delayMs = 0;
    await world.ledger.take(SHARDS - 1, 'x', 'stolen', LEASE_MS);
    world.ledger.restoreShard(SHARDS - 1, null);
    await a.ownership.tick();
    expect(a.ownership.mayShow(SHARDS - 1)).toBe(false);
  });

  test('is renewed for the others when one shard cannot be reached', async () => {
    const world = await new World().begin();
    let isAway = false;
    const leases: Leases = slowly(world.ledger, (method, shard) => {
      if (isAway && method === 'renew' && shard === 0) throw new LedgerUnavailable('away');
    });
    const a = world.replica('a', leases);
    await a.ownership.tick();
    await world.pass(20, [a]);
    isAway = true;
    for (let i = 0; i < 4; i++) {
      world.nowMs += 5_000;
      await a.ownership.tick().catch(() => {});
    }
    expect(shows(a)).toHaveLength(SHARDS - 1);
  });

  test("that the wanted one leaves free for two leases is anybody's, and is kept then", async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    const asleep = async (): Promise<void> => void (await world.ledger.signIn('b', LEASE_MS));
    for (let s = 0; s < 60; s += 5) {
      await asleep();
      await world.pass(5, [a]);
      if (s === 20) expect(shows(a)).toEqual(wantedBy('a', ['a', 'b']));
    }
    expect(shows(a)).toHaveLength(SHARDS);
    const b = world.replica('b');
    for (let s = 0; s < 180; s += 5) await world.pass(5, [a, b]);
    expect(shows(b)).toEqual(wantedBy('b', ['a', 'b']));
  });

  test('released to us twice, by a ledger that lost its newest writes, is not usable at once', async () => {
    const world = await new World().begin();
    await world.ledger.take(0, 'x', 'theirs', LEASE_MS);
    await world.ledger.release(0, 'theirs', 'a', LEASE_MS);
    const released = world.ledger.snapshotShard(0);
    const a = world.replica('a');
    await a.ownership.tick();
    expect(shows(a)).toEqual([0]);
    world.ledger.restoreShard(0, released);
    world.nowMs += 5_000;
    await a.ownership.tick();
    expect(a.ownership.held).toHaveLength(SHARDS);
    expect(shows(a)).toEqual([]);
  });

  test('shutdown hands everything to those who stay, and ends in time with an answer that does not', async () => {
    const world = await new World().begin();
    const a = world.replica('a');
    const b = world.replica('b');
    await a.ownership.tick();
    await world.pass(40, [a, b]);
    const mine = shows(a);
    a.ownership.beginAnswer(mine[0]!);
    await a.ownership.releaseAll(1_000);
    expect(shows(a)).toEqual([]);
    await b.ownership.tick();
    const expected = Array.from({ length: SHARDS }, (_, shard) => shard).filter((shard) => shard !== mine[0]);
    expect(shows(b)).toEqual(expected);
    await a.ownership.tick();
    expect(a.ownership.held).toEqual([]);
  });
});

const slowly = (ledger: MemoryLedger, before: (method: string, shard: unknown) => void): Leases => {
  const wrapped: Record<string, unknown> = {};
  for (const method of ['signIn', 'signOut', 'take', 'renew', 'release', 'free'] as const)
    wrapped[method] = async (...args: unknown[]) => {
      before(method, args[0]);
      return (ledger[method] as (...all: unknown[]) => Promise<unknown>).apply(ledger, args);
    };
  return wrapped as unknown as Leases;
};
