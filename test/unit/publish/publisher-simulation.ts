/** One seeded schedule of several publishers over one ledger, with faults, and what must hold of all that they show. */
import { decodeSeriesKey } from '../../../src/attribution/series-key.ts';
import type { ShardSnapshot } from '../../../src/ledger/memory-ledger.ts';
import { Publisher } from '../../../src/publish/publisher.ts';
import { PUBLISH_DEFAULTS } from '../../../src/publish/settings.ts';
import { faultyLedger, type LedgerFaults } from '../../simulation/faulty-ledger.ts';
import { type Random, seededRandom } from '../../simulation/scheduler.ts';
import { SimProcess } from '../../simulation/sim-process.ts';
import { Rig, rowsOf } from './rig.ts';

export type ScheduleOptions = {
  readonly seed: number;
  readonly faults: boolean;
  readonly untilMs?: number;
};

type Fleet = { readonly process: SimProcess; readonly publisher: Publisher; suspendedMs: number };

const SERVICES = 6;
const UNTIL_MS = 400_000;

export class Schedule {
  readonly rig: Rig;
  readonly story: string[] = [];
  shownRows = 0;
  heldRows = 0;
  handOvers = 0;
  losses = 0;
  readonly #random: Random;
  readonly #options: ScheduleOptions;
  readonly #fleet: (Fleet | null)[] = [];
  readonly #faults: LedgerFaults;
  readonly #history = new Map<number, { at: number; snapshot: ShardSnapshot }[]>();
  readonly #highest = new Map<string, number>();
  readonly #highestSums = new Map<string, number>();
  readonly #lastOwner = new Map<number, string>();
  #kafkaAway = false;
  #incarnations = 0;
  #isHealed = false;
  #stopping = false;
  #failure: string | null = null;

  constructor(options: ScheduleOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.rig = new Rig({
      partitions: 1 + Math.floor(this.#random() * 2),
      tenants: ['a', 'b', 'c'].slice(0, 1 + Math.floor(this.#random() * 3)),
      limit: 3 + Math.floor(this.#random() * SERVICES),
      staleS: 20 + Math.floor(this.#random() * 60),
    });
    this.#faults = {
      callFailure: options.faults ? 0.02 : 0,
      late: 0.3,
      isAway: () => false,
      onServed: () => this.#remember(),
    };
  }

  async run(): Promise<void> {
    const { scheduler } = this.rig;
    const until = this.#options.untilMs ?? UNTIL_MS;
    await this.rig.begin();
    const replicas = 1 + Math.floor(this.#random() * 3);
    for (let i = 0; i < replicas; i++) this.#start(i);
    this.#write();
    this.#scrape();
    this.#watchOwners();
    if (this.#options.faults) this.#trouble(until);
    await scheduler.run(until);
    this.#heal();
    await scheduler.run(until + 60_000);
    this.#checkAllShown();
    this.#stopping = true;
    // A purge may lie between the ledger and the table at any single moment.
    const deadline = scheduler.now + 40_000;
    for (let wrong = 'nothing seen'; wrong !== ''; wrong = this.#untrue()) {
      await scheduler.run(scheduler.now + 5_000);
      if (scheduler.now > deadline) this.#fail(wrong);
    }
    if (this.#failure !== null) this.#fail(this.#failure);
    for (const member of this.#fleet) {
      if (member === null) continue;
      let isOver = false;
      void member.publisher.stop(1000).then(() => {
        isOver = true;
      });
      await scheduler.run(scheduler.now + 2_000);
      if (!isOver) throw new Error('a publisher does not stop');
    }
  }

  #start(index: number): void {
    const { rig } = this;
    const process = new SimProcess(`p${index}.${this.#incarnations++}`, rig.scheduler, this.#random);
    process.wallSkewMs = (this.#random() - 0.5) * 20_000;
    const ledger = faultyLedger(rig.ledger, process, rig.scheduler, this.#random, this.#faults);
    const member = { process, suspendedMs: 0 } as { process: SimProcess; suspendedMs: number; publisher: Publisher };
    let tokens = 0;
    member.publisher = new Publisher(
      {
        reader: ledger,
        leases: ledger,
        clock: { ...process.clock, monotonicMs: () => rig.scheduler.now - member.suspendedMs },
        token: () => `${process.name}/${tokens++}`,
        commits: () =>
          new Promise((resolve, reject) => {
            process.in(1 + this.#random() * 20, () => {
              const commits = new Map(rig.commits);
              process.in(1 + this.#random() * 20, () =>
                this.#kafkaAway ? reject(new Error('away')) : resolve(commits),
              );
            });
          }),
        settings: rig.settings,
        log: {
          info: () => {},
          warn: () => {},
          error: (fields, text) => this.#alarm(`${text} ${JSON.stringify(fields)}`),
        },
      },
      { ...PUBLISH_DEFAULTS, replica: process.name, pageSeries: 2, fullReadEveryMs: 60_000, purgeEveryMs: 10_000 },
    );
    member.publisher.start();
    this.#fleet[index] = member;
    this.#note(`${process.name} starts`);
  }

  // ---- the toy worker

  #write(): void {
    const { rig } = this;
    const random = this.#random;
    const next = async (): Promise<void> => {
      if (!this.#stopping && random() < 0.7)
        for (let n = Math.floor(random() * 4); n >= 0; n--)
          rig.log[Math.floor(random() * rig.fields.length)]!.push({
            tenant: rig.tenants[Math.floor(random() * rig.tenants.length)]!,
            service: `s${Math.floor(random() * SERVICES)}`,
            bytes: 1 + Math.floor(random() * 100),
          });
      if (random() < 0.8) await rig.flush(this.#isHealed ? undefined : 1 + Math.floor(random() * 5));
      this.#remember();
      if (random() < 0.5 && !this.#kafkaAway) rig.commitGroup();
      rig.scheduler.in(random() * (random() < 0.05 && !this.#isHealed ? 30_000 : 1500), next);
    };
    rig.scheduler.in(0, next);
  }

  #remember(): void {
    for (const shard of this.rig.shards) {
      const history = this.#history.get(shard) ?? [];
      this.#history.set(shard, history);
      history.push({ at: this.rig.scheduler.now, snapshot: this.rig.ledger.snapshotShard(shard) });
      if (history.length > 600) history.splice(1, 300);
    }
  }

  // ---- trouble

  #trouble(until: number): void {
    const kinds = [
      () => this.#kill(),
      () => this.#suspend(),
      () => this.#lose(),
      () => this.#lose(),
      () => this.#partKafka(),
      () => this.#restart(),
      () => this.#skewServer(),
    ];
    const next = (): void => {
      if (this.rig.scheduler.now >= until - 5000) return;
      kinds[Math.floor(this.#random() * kinds.length)]!();
      this.rig.scheduler.in(1000 + this.#random() * 50_000, next);
    };
    this.rig.scheduler.in(20_000, next);
  }

  #pick(): number {
    return Math.floor(this.#random() * this.#fleet.length);
  }

  #kill(): void {
    const index = this.#pick();
    const member = this.#fleet[index];
    if (!member) return;
    this.#note(`kill ${member.process.name}`);
    member.process.kill();
    this.#fleet[index] = null;
    this.rig.scheduler.in(this.#random() * 30_000, () => {
      if (this.#fleet[index] === null) this.#start(index);
    });
  }

  /** A rolling restart: hands over, then another process. */
  #restart(): void {
    const index = this.#pick();
    const member = this.#fleet[index];
    if (!member) return;
    this.#note(`stop ${member.process.name}`);
    void member.publisher.stop(5_000).then(() => {
      this.#note(`${member.process.name} is out`);
      if (this.#fleet[index] === member) this.#start(index);
    });
  }

  /** The machine sleeps: its monotonic clock stands still, all others go on. */
  #suspend(): void {
    const member = this.#fleet[this.#pick()];
    if (!member || member.process.isStopped) return;
    const ms = Math.min(this.#random() * 60_000, (this.#options.untilMs ?? UNTIL_MS) - this.rig.scheduler.now);
    this.#note(`suspend ${member.process.name} for ${Math.round(ms)}`);
    member.process.stopFor(ms);
    if (this.#random() < 0.7) member.suspendedMs += ms;
  }

  #lose(): void {
    const reach = this.#random() < 0.3 ? this.#random() * 100_000 : this.#random() * 5_000;
    for (const shard of this.rig.shards) {
      if (this.#random() < 0.3) continue;
      const entry = this.#history.get(shard)?.findLast(({ at }) => at <= this.rig.scheduler.now - reach);
      if (entry === undefined) continue;
      this.losses++;
      this.#note(`shard ${shard} back to ${entry.at}`);
      this.rig.ledger.restoreShard(shard, entry.snapshot);
    }
  }

  /** Another server takes over, with another idea of the time: leases and holds are shorter or longer by it. */
  #skewServer(): void {
    this.rig.serverSkewMs = (this.#random() - 0.5) * 60_000;
    this.#note(`the server's clock is ahead by ${Math.round(this.rig.serverSkewMs)}`);
    if (this.#random() < 0.5) this.#lose();
  }

  #partKafka(): void {
    this.#note('no commits');
    this.#kafkaAway = true;
    this.rig.scheduler.in(this.#random() * 30_000, () => {
      this.#kafkaAway = false;
    });
  }

  #heal(): void {
    this.#note('healed');
    this.#isHealed = true;
    this.#faults.callFailure = 0;
    this.#kafkaAway = false;
    this.#fleet.forEach((member, index) => {
      if (member === null) this.#start(index);
    });
  }

  // ---- what must hold

  #scrape(): void {
    for (const member of this.#fleet) {
      if (!member) continue;
      const forScraper = this.#random() < 0.7;
      member.process.in(0, () => this.#check(member, forScraper));
    }
    this.rig.scheduler.in(this.#random() * 5_000, () => this.#scrape());
  }

  #check({ publisher, process }: Fleet, forScraper: boolean): void {
    const snapshot = publisher.snapshot(forScraper);
    // A begun answer takes its time.
    this.rig.scheduler.in(this.#random() * 2_000, () => snapshot.done());
    const face = forScraper ? 'scraper' : 'person';
    for (const row of rowsOf(snapshot)) {
      const key = [face, row.life, row.tenant, row.labels, row.birthS].join('|');
      const before = this.#highest.get(key);
      const where = `${process.name}: ${key}`;
      if (before !== undefined && row.shown < before) this.#fail(`${where} fell from ${before} to ${row.shown}`);
      this.#highest.set(key, row.shown);
      this.shownRows++;
      if (row.shown < row.bytes) this.heldRows++;
      const isBornYoung =
        row.birthS * 1e6 > row.replayedAt && row.counter < row.birthS * 1e6 + PUBLISH_DEFAULTS.holdMs * 1e3;
      if (forScraper && isBornYoung && row.shown > 0) this.#fail(`${where} is ${row.shown} within its hold`);
      if (forScraper && !this.#options.faults && before === undefined && row.shown > 0)
        this.#fail(`${where} was not born at zero`);
    }
    for (const { life, accounts, counter } of snapshot.tables)
      for (const { account, totals, totalHold, overflowHold } of accounts.values()) {
        const sums = new Map([['total', forScraper && totalHold > counter ? 0 : totals.total[0]!]]);
        // After lost writes another series may overflow than before.
        if (this.losses === 0) sums.set('overflow', forScraper && overflowHold > counter ? 0 : totals.overflow[0]!);
        for (const [name, value] of sums) {
          const key = [face, life, account.tenant, name].join('|');
          const before = this.#highestSums.get(key) ?? 0;
          if (value < before) this.#fail(`${process.name}: ${key} fell from ${before} to ${value}`);
          this.#highestSums.set(key, value);
        }
      }
  }

  #shownBy(): Map<number, string[]> {
    const owners = new Map<number, string[]>();
    for (const member of this.#fleet) {
      if (!member || member.process.isStopped) continue;
      const snapshot = member.publisher.snapshot(true);
      snapshot.done();
      for (const { shard } of snapshot.tables) owners.set(shard, [...(owners.get(shard) ?? []), member.process.name]);
    }
    return owners;
  }

  #watchOwners(): void {
    for (const [shard, owners] of this.#shownBy()) {
      if (owners.length > 1) this.#fail(`shard ${shard} is shown by ${owners.join(' and ')}`);
      if (this.#lastOwner.has(shard) && this.#lastOwner.get(shard) !== owners[0]) this.handOvers++;
      this.#lastOwner.set(shard, owners[0]!);
    }
    this.rig.scheduler.in(100, () => this.#watchOwners());
  }

  #checkAllShown(): void {
    const owners = this.#shownBy();
    for (const shard of this.rig.shards)
      if (!owners.has(shard)) this.#fail(`nobody shows shard ${shard} a minute after the last fault`);
  }

  /** What is shown otherwise than the ledger has it; empty: nothing. */
  #untrue(): string {
    const shown = new Map<string, number>();
    for (const member of this.#fleet) {
      const snapshot = member!.publisher.snapshot(false);
      snapshot.done();
      for (const { tenant, labels, bytes } of rowsOf(snapshot)) shown.set(tenant + labels, bytes);
    }
    let live = 0;
    for (const shard of this.rig.shards)
      for (const { name, rows } of this.rig.ledger.inspectShard(shard)!.accounts.values())
        for (const { key, values } of rows.values()) {
          const [[, service]] = decodeSeriesKey(key) as [[string, string]];
          const labels = `{service="${service}",tenant="${name.tenant}",tracker="${name.tracker}"} `;
          const amount = shown.get(name.tenant + labels);
          if (amount !== values[0]) return `${labels} is shown as ${amount}, not ${values[0]}`;
          live++;
        }
    return live === shown.size ? '' : `${shown.size} series are shown, ${live} are live`;
  }

  #note(text: string): void {
    this.story.push(`${Math.round(this.rig.scheduler.now)} ${text}`);
  }

  /** What is said inside of a publisher, which goes on by itself. */
  #alarm(text: string): void {
    if (!text.startsWith('shard_frozen')) this.#failure ??= text;
  }

  #fail(text: string): never {
    throw new Error(
      `seed ${this.#options.seed} at ${this.rig.scheduler.now}: ${text}\n${this.story.slice(-25).join('\n')}`,
    );
  }
}
