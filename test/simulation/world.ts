/**
 * One schedule: a fleet of real workers and publishers, a simulated Kafka, a ledger, traffic with known truth, and
 * faults, all out of one seed. While it runs, and when all faults are over, the invariants of docs/ledger.md are checked.
 */
import { shardOf } from '../../src/ledger/keys.ts';
import { checkComplete, checkGaps, checkPurged, checkShard, describe, isSettled } from './checks.ts';
import type { AnyLedger } from './faulty-ledger.ts';
import { Fleet } from './fleet.ts';
import { type Plan, type PlanLimits, planOf } from './plan.ts';
import { RECORDS_SHARD } from './reading.ts';
import { seededRandom } from './scheduler.ts';
import { Scrapes, SHOWN_WITHIN_MS } from './scrapes.ts';
import { Stage, TOPIC } from './stage.ts';
import { DEFAULT_TENANT, TENANTS } from './traffic.ts';
import { Troubles } from './trouble.ts';

export type WorldOptions = PlanLimits & {
  readonly seed: number;
  /** A ledger of its own, empty; default: in memory, which can also lose writes. */
  readonly ledger?: AnyLedger;
  readonly verbose?: boolean;
};

export type WorldReport = {
  readonly records: number;
  readonly samples: number;
  readonly faults: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly events: number;
  readonly virtualMs: number;
};

const SETTLE_MS = 240_000;
/** Share of commits after which a shard is read as a whole. */
const READ_BACK = 0.02;
const SHOWN_SHARDS = new Set([...[...TENANTS, DEFAULT_TENANT].map(shardOf), RECORDS_SHARD]);

/** The message tells all; `what` is what must be the same in a smaller schedule. */
export class ScheduleFailed extends Error {
  override readonly name = 'ScheduleFailed';
  readonly what: string;
  readonly atMs: number;
  /** Faults that were due until then. */
  readonly faults: number;
  readonly plan: Plan;

  constructor(stage: Stage, faults: number, cause: unknown) {
    const { seed, plan, scheduler } = stage;
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const settings = JSON.stringify({ ...plan, troubles: [...plan.troubles] });
    super(`seed ${seed}: ${text}\n${settings}\n${stage.ending(60)}`);
    this.what = kindOf(cause instanceof Error ? cause.message : String(cause));
    this.atMs = scheduler.now;
    this.faults = faults;
    this.plan = plan;
  }
}

/** Without what differs from one run to the next: numbers, ids, names, quoted values. */
const kindOf = (message: string): string =>
  message
    .split('\n')[0]!
    .replaceAll(/[0-9a-f]{32}|\[[^\]]*\)|\S*\d\S*|\b(acme|globex|initech|single-tenant)\S*/g, '#')
    .replaceAll(/[:{].*$/g, (rest) => (rest.startsWith('{') ? '' : rest))
    .slice(0, 60);

export const runSchedule = async (options: WorldOptions): Promise<WorldReport> => {
  const { seed, ledger, verbose = false } = options;
  const plan = planOf(seededRandom(seed), options, ledger !== undefined);
  const stage = new Stage(seed, plan, ledger, verbose);
  const fleet = new Fleet(stage, SHOWN_SHARDS);
  const troubles = new Troubles(stage, fleet);
  try {
    return await play(stage, fleet, troubles);
  } catch (error) {
    throw new ScheduleFailed(stage, troubles.faults, error);
  } finally {
    for (const { worker, process } of fleet.living) {
      worker.stop();
      process.kill();
    }
  }
};

const play = async (stage: Stage, fleet: Fleet, troubles: Troubles): Promise<WorldReport> => {
  const { plan, kafka, scheduler, random } = stage;
  stage.onWritten = (method, shard) => {
    if (shard === null) return undefined;
    if (stage.memory !== null) checkPurged(stage, shard);
    return method === 'commit' && random() < READ_BACK ? checkShard(stage, shard) : undefined;
  };
  kafka.createTopic(TOPIC, plan.partitions);
  stage.noteTopic();
  await stage.ledger.claim({ clusterId: 'sim', groupId: 'tracetally' });
  for (let index = 0; index < plan.replicas; index++) fleet.start(index);
  const scrapes = new Scrapes(stage, fleet);
  if (plan.publishing) scrapes.begin();
  troubles.begin(plan.trafficMs);
  await runTo(stage, plan.trafficMs);
  troubles.heal();
  await runTo(stage, scheduler.now + SETTLE_MS, () => isSettled(stage));
  if (!isSettled(stage)) throw new Error(`invariant 3: not settled after ${SETTLE_MS} ms: ${describe(stage, fleet)}`);
  await checkComplete(stage);
  if (plan.theme === 'retention') checkGaps(stage);
  if (plan.publishing) await waitForShown(stage, scrapes);
  return {
    records: troubles.records,
    samples: scrapes.samples,
    faults: troubles.faults,
    counts: stage.counts,
    events: scheduler.events,
    virtualMs: scheduler.now,
  };
};

const waitForShown = async (stage: Stage, scrapes: Scrapes): Promise<void> => {
  // A hold ends by the server's clock: one that stepped back has to come to where it was.
  const lateMs = Math.max(0, ...[...SHOWN_SHARDS].map((shard) => stage.counterLeadMs(shard)));
  const deadline = stage.scheduler.now + SHOWN_WITHIN_MS + 2 * stage.plan.flushIntervalMs + lateMs;
  while (!(await scrapes.isComplete(SHOWN_SHARDS))) {
    if (stage.scheduler.now >= deadline) throw new Error('invariant 7: what the ledger holds is not shown in time');
    await runTo(stage, stage.scheduler.now + 500);
  }
  scrapes.end();
  await runTo(stage, stage.scheduler.now + 3_500);
  scrapes.checkIncrease();
  if (stage.failure !== null) throw stage.failure;
};

const runTo = async (stage: Stage, until: number, done?: () => boolean): Promise<void> => {
  await stage.scheduler.run(until, () => stage.failure !== null || (done?.() ?? false));
  if (stage.failure !== null) throw stage.failure;
};
