/** Operations on a shard of a ledger, in any order, and what must be the same of two ledgers after each. */
import { expect } from '@jest/globals';
import fc from 'fast-check';
import type { Creation } from '../../src/ledger/port.ts';
import { type AnyLedger, account, call, entry, field, idOf, marksOf, read, SHARD, section } from './calls.ts';
import { type Fixture, IDENTITY } from './fixture.ts';

const STEP_S = 20;
const STALE_S = 30;
const TENANTS = ['a', 'b', '{c}', '__records__', '__overflow_5__'];
const LONG_MS = 10_000_000;

/** Both run in real time: a counter is told by the operation that made it, a clock by its steps. */
export class Side {
  readonly fixture: Fixture;
  readonly ledger: AnyLedger;
  readonly counters: number[] = [];
  constructor(fixture: Fixture, prefix: string) {
    this.fixture = fixture;
    this.ledger = fixture.open(prefix);
  }

  when(counter: number): number {
    return counter === 0 ? 0 : this.counters.findIndex((end) => end >= counter) + 1;
  }

  async view() {
    const view = await this.ledger.view(SHARD);
    if (view === null) return null;
    const { afterLoss, clockS, replayedAt, markers } = view;
    return { afterLoss, steps: Math.round(clockS / STEP_S), replayed: this.when(replayedAt), markers: sorted(markers) };
  }

  async state() {
    this.counters.push((await this.ledger.view(SHARD))?.counter ?? Number.POSITIVE_INFINITY);
    const names = (await this.ledger.changes(SHARD, 0))?.accounts ?? [];
    const accounts = [];
    for (const name of names) {
      const whole = (await read(this.ledger, SHARD, name))!;
      const rows = whole.rows.map(({ id, lastSeenS, values }) => [hex(id), Math.round(lastSeenS / STEP_S), ...values]);
      const demand = whole.demand.map(({ startS, registers }) => [Math.round(startS / STEP_S), hex(registers)]);
      accounts.push({ name, totals: whole.totals, changed: this.when(whole.changedAt), demand, rows: rows.sort() });
    }
    return { view: await this.view(), accounts: sorted(accounts.map((one) => [JSON.stringify(one.name), one])) };
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const sorted = <T>(pairs: Iterable<readonly [string, T]>): (readonly [string, T])[] =>
  [...pairs].sort(([x], [y]) => (x < y ? -1 : 1));

type Run = (side: Side, marker: (partition: number) => number) => Promise<unknown>;
export type Operation = { readonly run: Run };

/** `what` is how a counterexample shows it. */
const operation = (what: unknown, run: Run): Operation =>
  ({ run, [fc.toStringMethod]: () => JSON.stringify(what) }) as Operation;

const partition = fc.nat(2);
const tenant = fc.constantFrom(...TENANTS);
const series = fc.constantFrom('s0', 's1', 's2', 's3', 's4', 's5', 's6');

/** `latest`: with what the version before has not. */
const accounts = (latest: boolean) =>
  fc.array(
    fc.record({
      tenant,
      limit: fc.nat(4),
      tracker: fc.constantFrom('x', 'x', 'y'),
      seen: latest ? fc.array(series, { maxLength: 3 }) : fc.constant([]),
    }),
    { minLength: 1, maxLength: 4 },
  );
const additions = (latest: boolean) =>
  fc.record({
    account: fc.nat(3),
    series: fc.uniqueArray(fc.tuple(series, fc.nat(9), fc.boolean()), { selector: ([name]) => name, maxLength: 5 }),
    overflow: fc.option(fc.nat(9), { freq: 3 }),
    unattributed: latest ? fc.dictionary(fc.constantFrom('p', 'q'), fc.nat(9)) : fc.constant({}),
  });
const sections = (latest: boolean) =>
  fc.uniqueArray(
    fc.record({
      partition,
      offFrom: fc.constantFrom(0, 0, 0, 0, 0, -1, 1),
      length: fc.nat(3),
      replay: fc.boolean(),
      entries: fc.uniqueArray(additions(latest), { selector: (one) => one.account, maxLength: 3 }),
    }),
    { selector: (one) => one.partition, minLength: 1, maxLength: 3 },
  );

const commit = (latest: boolean) =>
  fc
    .record({
      accounts: accounts(latest),
      sections: sections(latest),
      maxTenants: fc.constantFrom(1, 2, 9),
      twice: fc.boolean(),
    })
    .map((what) => {
      const { accounts, sections, maxTenants, twice } = what;
      return operation({ commit: what }, async ({ ledger }, marker) => {
        const named = new Map(
          accounts.map(({ tenant, tracker, limit, seen }) => [
            `${tenant}/${tracker}`,
            account(tenant, { tracker, limit, staleS: STALE_S, demand: marksOf(...seen) }),
          ]),
        );
        const parts = sections.map(({ partition, offFrom, length, replay, entries }) => {
          const from = Math.max(0, marker(partition) + offFrom);
          const held = length === 0 ? [] : entries.filter((one) => one.account < named.size);
          const parts = held.map((one) =>
            entry(one.account, Object.fromEntries(one.series.map(([name, amount]) => [name, [amount, 1]])), {
              known: one.series.filter(([, , known]) => known).map(([name]) => name),
              ...(one.overflow === null ? {} : { overflow: [one.overflow, 1] }),
              unattributed: one.unattributed,
            }),
          );
          return section(partition, from, from + length, parts, replay);
        });
        const what = call([...named.values()], parts, { maxTenants });
        const replies = [await ledger.commit(what), ...(twice ? [await ledger.commit(what)] : [])];
        return replies.map((reply) => (reply.kind === 'absent' ? reply : { ...reply, life: '', counter: 0 }));
      });
    });

const name = fc.record({
  tenant: fc.constantFrom(...TENANTS, '__removed_5__'),
  tracker: fc.constantFrom('x', 'x', 'y'),
});
const replica = fc.constantFrom('one', 'two');
const token = fc.constantFrom('t1', 't2');

const others = fc.oneof(
  fc.record({ partition, to: fc.nat(9), create: fc.constantFrom<Creation>('no', 'first', 'after-loss') }).map((set) =>
    operation({ set }, async ({ ledger }) => {
      const view = await ledger.setMarkers(SHARD, [[field(set.partition), set.to]], set.create);
      return sorted(view?.markers ?? []);
    }),
  ),
  fc
    .record({ partition, off: fc.constantFrom(0, 0, 1), to: fc.option(fc.nat(9), { freq: 5 }) })
    .map((move) =>
      operation({ move }, ({ ledger }, marker) =>
        ledger.move(SHARD, field(move.partition), marker(move.partition) + move.off, move.to, 'seek'),
      ),
    ),
  fc
    .record({ name, staleS: fc.constantFrom(-1, STALE_S) })
    .map((purge) => operation({ purge }, ({ ledger }) => ledger.purge(SHARD, purge.name, purge.staleS, null, 1000))),
  fc
    .record({ name, restS: fc.constantFrom(-1, STALE_S) })
    .map((remove) => operation({ remove }, ({ ledger }) => ledger.removeAccount(SHARD, remove.name, remove.restS))),
  fc
    .record({ name, series: fc.array(series, { maxLength: 3 }) })
    .map((out) =>
      operation({ out }, ({ ledger }) => ledger.retireSeries(SHARD, out.name, Buffer.concat(out.series.map(idOf)))),
    ),
  name.map((ask) =>
    operation({ ask }, async ({ ledger }) => {
      const { admissions, ids } = await ledger.liveIds(SHARD, ask);
      const tenants = await ledger.tenants(SHARD, ask.tracker);
      return [admissions, (hex(ids).match(/.{32}/g) ?? []).sort(), [...tenants].sort()];
    }),
  ),
  fc.record({ replica, token }).map((take) =>
    operation({ take }, async ({ ledger }) => {
      const answer = await ledger.take(SHARD, take.replica, take.token, LONG_MS);
      return [answer.kind === 'taken' ? { ...answer, counter: 0 } : answer, await ledger.free(take.replica, [SHARD])];
    }),
  ),
  fc
    .record({ to: fc.option(replica), token })
    .map((release) =>
      operation({ release }, async ({ ledger }) => [
        await ledger.renew(SHARD, release.token, LONG_MS),
        await ledger.release(SHARD, release.token, release.to, LONG_MS),
      ]),
    ),
  fc.constant(operation('retire all', ({ ledger }) => ledger.retireAll(SHARD))),
  fc.constant(operation('forget', ({ ledger }) => ledger.forgetShard(SHARD))),
);
/** The totals with the notes of all moves. */
const cut = fc.constant(
  operation('cut', async ({ ledger }) => {
    const cut = await ledger.cut(SHARD);
    if (cut === null) return null;
    const moves = cut.moves.map(({ at: _, ...move }) => move);
    const accounts = cut.accounts.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    return [sorted(cut.view.markers), moves, cut.movesForgotten, accounts];
  }),
);
const passTime = fc.constant(operation('pass time', ({ fixture, ledger }) => fixture.passTime(ledger, SHARD, STEP_S)));

const sequence = (others: fc.Arbitrary<Operation>, latest: boolean): fc.Arbitrary<Operation[]> =>
  fc.array(
    fc.oneof(
      { weight: 8, arbitrary: commit(latest) },
      { weight: 4, arbitrary: passTime },
      { weight: 4, arbitrary: others },
    ),
    { minLength: 10, maxLength: 40 },
  );

/** Without those that only the present version has. */
export const lastingOperations = sequence(others, false);
export const operations = sequence(fc.oneof({ weight: 11, arbitrary: others }, { weight: 1, arbitrary: cut }), true);

/** Does the same to both, and compares answers and states after each step. */
export const holdEqual = async (sides: readonly [Side, Side], steps: readonly Operation[]): Promise<void> => {
  const [one, other] = sides;
  for (const { ledger } of sides) {
    await ledger.claim(IDENTITY);
    await ledger.setMarkers(
      SHARD,
      [0, 1].map((p) => [field(p), 0] as const),
      'first',
    );
  }
  for (const step of steps) {
    const markers = (await one.ledger.view(SHARD))?.markers;
    const marker = (p: number): number => markers?.get(field(p)) ?? 0;
    const [first, second] = [await step.run(one, marker), await step.run(other, marker)];
    expect(second).toEqual(first);
    expect(await other.state()).toEqual(await one.state());
  }
};
