/** An operator who moves markers on purpose, by the code of `state seek`: at any time up, down with everything stopped. */
import type { CommitRequest } from '../../src/kafka/port.ts';
import { countedBetween, timesAt } from '../../src/ledger/counted.ts';
import { markerField } from '../../src/ledger/keys.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import { planSeek, seek } from '../../src/ledger/seek.ts';
import { faultyLedger } from './faulty-ledger.ts';
import type { Fleet, Replica } from './fleet.ts';
import type { Random } from './scheduler.ts';
import { addTruth } from './shadow.ts';
import { recordsIn } from './sim-kafka.ts';
import { SimProcess } from './sim-process.ts';
import { type Stage, TOPIC } from './stage.ts';
import type { SimRecord } from './traffic.ts';

/** Why a seek may be refused, or come to nothing, without anything being wrong. */
const EXPECTED: ReadonlySet<unknown> = new Set(['SEEK_REFUSED', 'LEDGER_UNAVAILABLE']);

export class Operator {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  /** Nobody else starts replicas meanwhile. */
  isStopping = false;
  #isBusy = false;
  #random: Random = () => 0;
  #seeks = 0;

  constructor(stage: Stage, fleet: Fleet) {
    this.#stage = stage;
    this.#fleet = fleet;
  }

  /** Begins a seek of one partition, up or down. */
  act(random: Random): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#random = random;
    const isDown = random() < 0.5;
    if (isDown) this.#stopAll();
    this.#seekSoon(isDown).catch((error: unknown) => {
      this.#isBusy = false;
      if (!EXPECTED.has((error as { code?: unknown }).code))
        this.#stage.fail(error instanceof Error ? error : new Error(String(error)));
    });
  }

  /** By SIGTERM, and by SIGKILL where that does not end. They are started again whatever becomes of the seek. */
  #stopAll(): void {
    const { scheduler } = this.#stage;
    const random = this.#random;
    this.isStopping = true;
    scheduler.in(12_000, async () => {
      this.isStopping = false;
    });
    for (const replica of this.#fleet.living) {
      const index = this.#fleet.replicas.indexOf(replica);
      if (random() < 0.5) this.#fleet.kill(replica);
      else void this.#fleet.drain(replica).then(() => this.#gone(index, replica));
      scheduler.in(12_000 + random() * 6000, () => {
        this.#gone(index, replica);
        if (this.#fleet.replicas[index] === null) this.#fleet.start(index);
      });
    }
  }

  #gone(index: number, replica: Replica): void {
    if (this.#fleet.replicas[index] === replica) this.#fleet.kill(replica);
  }

  async #seekSoon(isDown: boolean): Promise<void> {
    const { scheduler, ledger, ledgerFaults, kafka } = this.#stage;
    const random = this.#random;
    const process = new SimProcess(`operator${this.#seeks++}`, scheduler, random);
    // A seek asks a hundred times: most are spared, or none would ever come to its end.
    const faults = { ...ledgerFaults, callFailure: random() < 0.2 ? ledgerFaults.callFailure : 0 };
    const reached = faultyLedger(ledger, process, scheduler, random, faults);
    if (isDown) await this.#untilEmpty();
    const topic = kafka.topics.get(TOPIC)!;
    const partition = Math.floor(random() * topic.logs.length);
    const field = markerField(topic.id, partition);
    const views = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => reached.view(shard)));
    const { end } = topic.logs[partition]!;
    const highest = Math.max(0, ...views.map((view) => view?.markers.get(field) ?? 0));
    const to = isDown ? Math.floor(random() * (highest + 1)) : highest + Math.floor(random() * (end - highest + 1));
    const commit = kafka.commits.get(`${partition}/${TOPIC}`) ?? null;
    const plan = planSeek({ topic: TOPIC, partition, field, to: Math.min(to, end), commit }, views);
    this.#stage.fault(`seek ${plan.kind}`, `partition ${partition} to ${plan.to} from ${plan.lowest}-${plan.highest}`);
    this.#stage.isSeeking = plan.kind === 'recount';
    // One that has not joined yet: the group still seems to be empty.
    if (this.#stage.isSeeking && this.#fleet.living.length > 0) this.#stage.count('began in a seek');
    const moved = await seek(reached, this.#group(field), [plan], SHARDS).finally(() => {
      this.#stage.isSeeking = false;
    });
    this.#stage.count(`seek ${plan.kind} done`);
    this.#stage.note(() => `the operator has moved ${moved} markers of ${partition}`);
    this.#isBusy = false;
  }

  /** Most of the time the operator waits until the group is empty; the coordinator has the last word. */
  async #untilEmpty(): Promise<void> {
    const { scheduler, kafka } = this.#stage;
    const random = this.#random;
    const isHasty = random() < 0.2;
    const endMs = scheduler.now + (isHasty ? random() * 3000 : 11_000);
    while (scheduler.now < endMs && (isHasty || kafka.memberCount > 0))
      await new Promise<void>((resolve) => scheduler.in(100, async () => resolve()));
  }

  #group(field: ReturnType<typeof markerField>) {
    const { kafka } = this.#stage;
    return {
      members: async () => kafka.memberCount,
      commitUnheld: async (requests: readonly CommitRequest[]) => {
        for (const { offset } of requests) this.#stage.noteCommit(field, offset);
        kafka.commitUnheld(requests);
      },
    };
  }
}

/** What every shard holds is each record as often as its markers passed it, by the shard's own notes. */
export const checkSought = (stage: Stage): void => {
  stage.shadow.shards.forEach((state, shard) => {
    const moves = stage.memory!.inspectShard(shard)!.moves;
    const truth = new Map<string, readonly [number, number]>();
    for (const [field, marker] of state!.markers) {
      const counted = countedBetween(0, marker, moves, field);
      for (const record of recordsIn(stage.shadow.logOf(field), 0, Number.MAX_SAFE_INTEGER))
        for (let times = timesAt(counted, (record as { offset: number }).offset); times > 0; times--)
          addTruth(truth, shard, record as unknown as SimRecord);
    }
    for (const tenant of new Set([...truth.keys(), ...state!.amounts.keys()])) {
      const [bytes, spans] = truth.get(tenant) ?? [0, 0];
      const [x, y] = state!.amounts.get(tenant) ?? [0, 0];
      if (x !== bytes || y !== spans)
        throw new Error(
          `invariant 3: shard ${shard}, ${tenant}: counted ${[x, y]}, truth by its moves ${[bytes, spans]}`,
        );
    }
  });
};
