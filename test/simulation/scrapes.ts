/**
 * A Prometheus in virtual time. It scrapes every replica; an answer is fixed when its request arrives, is stamped with
 * the time at which the request was sent, and may come late or not at all. Samples older than the newest of their
 * series are refused, as Prometheus does without an out-of-order window. The identity of a series does not name the
 * replica.
 */
import type { AccountVersion, ShardTable } from '../../src/publish/shard-table.ts';
import { type Fleet, HOLD_MS, LEASE_MS, type Replica } from './fleet.ts';
import { readShard } from './reading.ts';
import type { SimProcess } from './sim-process.ts';
import type { Stage } from './stage.ts';
import { SERVICES } from './traffic.ts';

const INTERVAL_MS = 1_500;
const TIMEOUT_MS = 1_400;

type Shown = {
  readonly key: string;
  readonly shard: number;
  readonly life: string;
  readonly birthS: number;
  readonly replayedAt: number;
  /** Change counter of the table. */
  readonly counter: number;
  readonly value: number;
};

type Stored = Shown & { readonly sentAt: number; readonly first: number; readonly increase: number };

export class Scrapes {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  readonly #stored = new Map<string, Stored>();
  /** When an owner first showed a birth: virtual ms, and as what. */
  readonly #firstShown = new Map<string, { readonly at: number; readonly value: number }>();
  /** Answers on their way. */
  readonly #begun = new Set<{
    readonly process: SimProcess;
    readonly at: number;
    readonly shards: ReadonlySet<number>;
  }>();
  /** No series is ever put out of its place: born again in a replay, it goes on where it was. */
  readonly #keepsSeries: boolean;
  samples = 0;
  /** Series whose zero was missed, as documented. */
  missed = 0;
  #until = Number.POSITIVE_INFINITY;

  constructor(stage: Stage, fleet: Fleet) {
    this.#stage = stage;
    this.#fleet = fleet;
    this.#keepsSeries = ['none', 'loss', 'from end'].includes(stage.plan.theme) && stage.plan.limit >= SERVICES;
  }

  begin(): void {
    const { scheduler, random } = this.#stage;
    const round = (): void => {
      if (scheduler.now >= this.#until) return;
      for (const replica of this.#fleet.living) scheduler.in(random() * INTERVAL_MS * 0.9, () => this.#scrape(replica));
      scheduler.in(INTERVAL_MS, round);
    };
    round();
  }

  end(): void {
    this.#until = this.#stage.scheduler.now;
  }

  #scrape({ process, publisher }: Replica): void {
    const { scheduler, random } = this.#stage;
    const sentAt = scheduler.now;
    process.in(1 + random() * 10, () => {
      const snapshot = publisher!.snapshot(true);
      const shown = snapshot.tables.flatMap(rowsOf);
      this.#checkAlone(process.name, snapshot.tables);
      for (const row of shown) this.#noteFirst(process.name, row);
      const slow = random() < 0.25 ? random() * TIMEOUT_MS : random() * 50;
      const answer = { process, at: scheduler.now, shards: new Set(snapshot.tables.map(({ shard }) => shard)) };
      this.#begun.add(answer);
      process.in(slow, () => {
        snapshot.done();
        this.#begun.delete(answer);
        if (scheduler.now - sentAt > TIMEOUT_MS || random() < 0.02) return;
        for (const row of shown) this.#store(process.name, row, sentAt);
      });
    });
  }

  /** No other process shows, now, what this one shows, or is about to end an answer with it. */
  #checkAlone(name: string, tables: readonly ShardTable[]): void {
    for (const { process, publisher } of this.#fleet.living) {
      if (process.name === name || process.isStopped || publisher === null) continue;
      const other = publisher.snapshot(true);
      other.done();
      const both = tables.find(({ shard }) => other.tables.some((table) => table.shard === shard));
      if (both !== undefined)
        this.#stage.fail(new Error(`invariant 7: ${name} and ${process.name} both show shard ${both.shard}`));
    }
    for (const { process, at, shards } of this.#begun) {
      // One that is frozen for longer than a lease is overtaken: its answer is older than what it is compared with.
      if (process.name === name || !process.isAlive || this.#stage.scheduler.now - at > TIMEOUT_MS) continue;
      const both = tables.find(({ shard }) => shards.has(shard));
      if (both !== undefined)
        this.#stage.fail(new Error(`invariant 7: ${name} shows shard ${both.shard} before ${process.name} has ended`));
    }
  }

  /**
   * What a deleted topic gave, or a log has lost, cannot be read again. Where the ledger lost writes while the coordinator
   * had gone back to older commits, nobody knows how far it had been; and where the group had no commits of ours, nobody
   * who was not there before, and not who begins with a partition, which series are born again (`isSame`: it is not).
   */
  #mayFall(shard: number, isSame: boolean): boolean {
    const { counts, rollbacks, plan } = this.#stage;
    const isAbsent = counts['commit reset'] !== undefined || counts['commit expired'] !== undefined;
    const isForgotten =
      counts['commit moved'] !== undefined || (isAbsent && (!isSame || this.#fleet.starts > plan.replicas));
    return this.#stage.isOutOfReach(shard) || ((isForgotten || plan.theme === 'cut') && rollbacks > 0);
  }

  /**
   * A shard that fell back lives on from an older change counter where the server's clock went back, too: a hold at zero
   * that was over is not over once more. With either alone the counter is past it at the next call.
   */
  #isHeldAgain(before: Shown, row: Shown): boolean {
    const { counts, rollbacks } = this.#stage;
    return row.value === 0 && row.counter < before.counter && counts['redis clock'] !== undefined && rollbacks > 0;
  }

  #noteFirst(owner: string, row: Shown): void {
    const key = birthKey(owner, row);
    if (!this.#firstShown.has(key)) this.#firstShown.set(key, { at: this.#stage.scheduler.now, value: row.value });
  }

  #store(owner: string, row: Shown, sentAt: number): void {
    this.samples++;
    const before = this.#stored.get(row.key);
    if (before !== undefined && sentAt <= before.sentAt) return;
    const isSame = before !== undefined && before.life === row.life && before.birthS === row.birthS;
    const isFall = before !== undefined && before.life === row.life && row.value < before.value;
    const isExcused = this.#mayFall(row.shard, isSame) || (isFall && this.#isHeldAgain(before, row));
    if (isFall && (isSame || this.#keepsSeries) && !isExcused)
      this.#stage.fail(
        new Error(`invariant 7: ${row.key} fell from ${before.value} to ${row.value}: ${told(before)} ${told(row)}`),
      );
    if (!isSame && row.value > 0) this.#checkBirth(owner, row);
    const risen = before === undefined ? 0 : row.value < before.value ? row.value : row.value - before.value;
    this.#stored.set(row.key, {
      ...row,
      sentAt,
      first: before?.first ?? row.value,
      increase: (before?.increase ?? 0) + risen,
    });
  }

  /** A birth that is stored above zero had been shown as zero for the hold, or has none, or is older than it. */
  #checkBirth(owner: string, row: Shown): void {
    this.missed++;
    const birthUs = row.birthS * 1e6;
    if (birthUs <= row.replayedAt) return;
    const first = this.#firstShown.get(birthKey(owner, row))!;
    const text = `invariant 7: ${row.key} was born at ${row.value}: ${told(row)}, first shown at ${first.at} as ${first.value}`;
    if (first.value > 0 && row.counter < birthUs + HOLD_MS * 1000) this.#stage.fail(new Error(text));
    const slack = 2_000 + this.#stage.serverAheadSince(first.at);
    if (first.value === 0 && this.#stage.scheduler.now - first.at < HOLD_MS - slack) this.#stage.fail(new Error(text));
  }

  /** After the last fault: all that the ledger holds is shown, each series by one replica, as it is. */
  async isComplete(shards: ReadonlySet<number>): Promise<boolean> {
    const shown = new Map<string, number>();
    for (const { publisher } of this.#fleet.living) {
      const snapshot = publisher!.snapshot(false);
      snapshot.done();
      for (const table of snapshot.tables)
        for (const row of rowsOf(table)) {
          if (shown.has(row.key)) throw new Error(`invariant 7: ${row.key} is shown twice`);
          shown.set(row.key, row.value);
        }
    }
    let series = 0;
    for (const shard of shards) {
      const read = await readShard(this.#stage.ledger, shard);
      for (const { name, rows } of read?.accounts ?? []) {
        series += rows.length;
        for (const row of rows)
          if (shown.get(`${name.tenant}/${name.tracker}/${row.id.toString('hex')}`) !== row.values[0]) return false;
      }
    }
    return series === shown.size;
  }

  /** `increase()` over the whole run: the truth, where no zero was missed. */
  checkIncrease(): void {
    if (this.missed > 0 || this.#stage.rollbacks > 0) return;
    for (const { key, first, increase, value } of this.#stored.values())
      if (first !== 0 || (this.#stage.plan.theme === 'none' && increase !== value))
        this.#stage.fail(new Error(`invariant 7: increase of ${key} is ${increase} from ${first}, its value ${value}`));
  }
}

/** Scaled: some owner shows each shard again within a minute of the last fault. */
export const SHOWN_WITHIN_MS = (60_000 * LEASE_MS) / 15_000;

const birthKey = (owner: string, { key, life, birthS }: Shown): string => `${owner}/${key}/${life}/${birthS}`;

const told = ({ life, birthS, replayedAt, counter }: Shown): string =>
  JSON.stringify({
    life,
    birthS: birthS - 1_700_000_000,
    replayedMs: replayedAt / 1000 - 17e11,
    counterMs: counter / 1000 - 17e11,
  });

const rowsOf = (table: ShardTable): Shown[] => {
  const rows: Shown[] = [];
  for (const version of table.accounts.values()) {
    for (let slot = 0; slot < version.slots; slot++) {
      const birth = version.births[slot]!;
      if (birth > 0) rows.push(shownOf(table, version, slot, birth - 1));
    }
  }
  return rows;
};

const shownOf = (table: ShardTable, version: AccountVersion, slot: number, birthS: number): Shown => {
  const { account, labels, holds, values, measures } = version;
  const isHeld = holds !== null && holds[slot]! > table.counter;
  return {
    key: `${account.tenant}/${account.tracker}/${labels.idAt(slot).toString('hex')}`,
    shard: table.shard,
    life: table.life,
    birthS,
    replayedAt: table.replayedAt,
    counter: table.counter,
    value: isHeld ? 0 : values[slot * measures]!,
  };
};
