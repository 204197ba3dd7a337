/** What comes when: traffic all the time, and faults, each with numbers of its own, so that one left out changes no other. */
import { Faults } from './faults.ts';
import type { Fleet } from './fleet.ts';
import { type Random, seededRandom, seedOf } from './scheduler.ts';
import { type Stage, TOPIC } from './stage.ts';
import { anyRecord, bombRecord, madeUpRecord, type SimRecord } from './traffic.ts';

const TRAFFIC = 1;
const FAULT_TIMES = 2;
const FIRST_FAULT = 1000;

export class Troubles {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  readonly #faults: Faults;
  readonly #traffic: Random;
  records = 0;
  /** Faults that were due, those that the plan leaves out among them. */
  faults = 0;

  constructor(stage: Stage, fleet: Fleet) {
    this.#stage = stage;
    this.#fleet = fleet;
    this.#traffic = seededRandom(seedOf(stage.seed, TRAFFIC));
    this.#faults = new Faults(stage, fleet, (partition, random) => {
      stage.kafka.append({ topic: TOPIC, partition }, this.#record(random));
    });
  }

  /** Both go on until then. */
  begin(until: number): void {
    const { plan, seed } = this.#stage;
    this.#again(until, this.#traffic, [0, 400], () => this.#burst());
    this.#again(until, seededRandom(seedOf(seed, FAULT_TIMES)), plan.faultEveryMs, () => {
      const index = this.faults++;
      if (plan.faults?.includes(index) ?? true) this.#faults.strike(seededRandom(seedOf(seed, FIRST_FAULT + index)));
    });
  }

  /** All that lasts is over. */
  heal(): void {
    const { away, kafka, kafkaFaults, ledgerFaults, plan } = this.#stage;
    this.#stage.note(() => 'healed');
    away.clear();
    kafka.isAway = false;
    kafkaFaults.callFailure = 0;
    ledgerFaults.callFailure = 0;
    if (plan.onLoss === 'stop') this.#restartAll();
    this.#fleet.replicas.forEach((replica, index) => {
      if (replica === null) this.#fleet.start(index);
      else replica.source.discover();
    });
  }

  /** The operator chose to go on, and starts everything again. */
  #restartAll(): void {
    this.#stage.onLoss = 'continue';
    for (const replica of this.#fleet.living) this.#fleet.kill(replica);
  }

  #again(until: number, random: Random, [leastMs, mostMs]: readonly [number, number], act: () => void): void {
    const { scheduler } = this.#stage;
    const next = (): void => {
      if (scheduler.now >= until) return;
      act();
      scheduler.in(leastMs + random() * (mostMs - leastMs), next);
    };
    scheduler.in(random() * mostMs, next);
  }

  #burst(): void {
    const random = this.#traffic;
    const { kafka } = this.#stage;
    const { logs } = kafka.topics.get(TOPIC)!;
    const partition = Math.floor(random() * logs.length);
    const kind = random();
    if (kind < 0.03) {
      // Transactions without records: longer than a fetch.
      for (let i = 0; i < 20; i++) kafka.append({ topic: TOPIC, partition }, null);
      return;
    }
    // What a transaction that was aborted had written among the others, or compaction has taken.
    const holes = kind < 0.13 ? 0.6 : 0.05;
    const burst = 1 + Math.floor(random() * 6);
    for (let i = 0; i < burst; i++) {
      const isHole = random() < holes;
      const target = { topic: TOPIC, partition: kind < 0.13 ? partition : Math.floor(random() * logs.length) };
      kafka.append(target, isHole ? null : this.#record(random));
    }
  }

  #record(random: Random): SimRecord {
    const { plan, scheduler } = this.#stage;
    this.records++;
    if (plan.theme === 'tenants' && random() < 0.3) return madeUpRecord(random);
    if (plan.theme === 'bomb' && random() < 0.5) return bombRecord(random);
    // Where births are looked at, they come all the time.
    const grown = plan.publishing ? Math.ceil((scheduler.now / plan.trafficMs) * plan.services) : plan.services;
    return anyRecord(random, Math.max(2, grown));
  }
}
