/** The replicas: the real worker, and where the plan says so the real publisher, each in a process of virtual time. */
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import { groupCommits } from '../../src/ledger/group-commits.ts';
import { RECORDS_MEASURES, RECORDS_TRACKER } from '../../src/ledger/keys.ts';
import { Worker } from '../../src/ledger/worker.ts';
import type { WorkerEvent } from '../../src/ledger/worker-events.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { Publisher } from '../../src/publish/publisher.ts';
import { PUBLISH_DEFAULTS, type PublishSettings } from '../../src/publish/settings.ts';
import { type AnyLedger, faultyLedger } from './faulty-ledger.ts';
import type { Random } from './scheduler.ts';
import { SimSource } from './sim-kafka.ts';
import { SimProcess } from './sim-process.ts';
import { type Stage, TOPIC } from './stage.ts';
import { DEFAULT_TENANT } from './traffic.ts';

export type Replica = {
  readonly process: SimProcess;
  readonly source: SimSource;
  readonly worker: Worker;
  readonly publisher: Publisher | null;
};

/** No record has a value for the second. */
const { dimensions: DIMENSIONS } = parseDimensions(
  [
    ['service.name', 'service'],
    ['team', ''],
  ],
  { sharedLabels: 'refuse' },
);
const TRACKER = 'cost-attribution';
/** A fifth of what is usual, so that a schedule sees all of it. */
export const LEASE_MS = 3_000;
export const HOLD_MS = 5_000;
const DRAIN_MS = 5_000;

export class Fleet {
  readonly replicas: (Replica | null)[] = [];
  readonly #stage: Stage;
  /** Shards that hold anything in a schedule: the others are not worth a lease. */
  readonly #shownShards: ReadonlySet<number>;
  starts = 0;

  constructor(stage: Stage, shownShards: ReadonlySet<number>) {
    this.#stage = stage;
    this.#shownShards = shownShards;
  }

  get living(): Replica[] {
    return this.replicas.filter((replica) => replica !== null);
  }

  any(random: Random): Replica | undefined {
    const { living } = this;
    return living[Math.floor(random() * living.length)];
  }

  start(index: number): void {
    const { scheduler, random, kafka, ledger, ledgerFaults, plan } = this.#stage;
    const process = new SimProcess(`r${index}.${this.starts++}`, scheduler, random);
    process.wallSkewMs = (random() - 0.5) * 10_000;
    const source = new SimSource(kafka, process);
    const reached = faultyLedger(ledger, process, scheduler, random, ledgerFaults);
    const worker = this.#worker(process, source, reached);
    const publisher = plan.publishing ? this.#publisher(process, source, reached) : null;
    this.replicas[index] = { process, source, worker, publisher };
    worker.start();
    publisher?.start();
    void source.start(worker.handler);
    this.#stage.note(() => `${process.name} starts`);
    if (this.#stage.isSeeking) this.#stage.count('began in a seek');
  }

  /** SIGKILL: what it has sent may still take effect. */
  kill(replica: Replica): number {
    const index = this.replicas.indexOf(replica);
    replica.process.kill();
    replica.worker.stop();
    this.replicas[index] = null;
    this.#stage.kafka.watch(replica.source);
    return index;
  }

  /** SIGTERM. */
  async drain({ process, source, worker, publisher }: Replica): Promise<void> {
    await source.quiesce();
    await Promise.all([worker.drain(DRAIN_MS), publisher?.stop(DRAIN_MS)]);
    await source.stop();
    process.kill();
  }

  #worker(process: SimProcess, source: SimSource, ledger: AnyLedger): Worker {
    const stage = this.#stage;
    const { plan } = stage;
    const { limit } = stage;
    const pipeline = new Pipeline({
      tenants: new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], DEFAULT_TENANT),
      settings: () => ({ trackers: [{ name: TRACKER, dimensions: DIMENSIONS, limit, staleS: plan.staleS }] }),
      maxLabelValueLength: 2048,
      watch: { accepted: () => {}, discarded: () => {}, regionDiscarded: () => {} },
    });
    return new Worker({
      source,
      ledger,
      topics: [TOPIC],
      clock: process.clock,
      gather: pipeline.gather,
      tablesFootprint: () => 0,
      flushIntervalMs: plan.flushIntervalMs,
      lookIntervalMs: 10_000,
      maxPendingBytes: 1 << 15,
      bounds: plan.bounds,
      maxTenantsPerShard: plan.maxTenantsPerShard,
      fromBeginning: plan.fromBeginning,
      onLoss: stage.onLoss,
      patienceMs: 10_000,
      watch: (event) => this.#heard(process, event),
      fatal: (error) => this.#died(process, error),
    });
  }

  #publisher(process: SimProcess, source: SimSource, ledger: AnyLedger): Publisher {
    const { plan, limit } = this.#stage;
    const settings: PublishSettings = {
      account: () => ({ limit, staleS: plan.staleS }),
      dimensionLabels: () => ['service', 'team'],
      measures: (tracker) => (tracker === RECORDS_TRACKER ? RECORDS_MEASURES : ['bytes', 'spans']),
    };
    let tokens = 0;
    const leases: AnyLedger = {
      ...ledger,
      free: async (replica, shards) => {
        const mine = shards.filter((shard) => this.#shownShards.has(shard));
        const free = mine.length === 0 ? [] : await ledger.free(replica, mine);
        const isFree = new Map(mine.map((shard, i) => [shard, free[i]!]));
        return shards.map((shard) => isFree.get(shard) ?? false);
      },
    };
    return new Publisher(
      {
        reader: ledger,
        leases,
        clock: process.clock,
        token: () => `${process.name}/${tokens++}`,
        commits: () => groupCommits(source, [TOPIC]),
        settings,
        log: {
          info: () => {},
          warn: () => {},
          error: (_, message) => {
            this.#stage.count(message.slice(0, 5));
            if (message.startsWith('audit')) this.#stage.fail(new Error(`invariant 2: ${message}`));
          },
        },
      },
      {
        ...PUBLISH_DEFAULTS,
        replica: process.name,
        leaseMs: LEASE_MS,
        readEveryMs: 400,
        holdMs: HOLD_MS,
        fullReadEveryMs: 20_000,
        pageSeries: 5,
        purgeEveryMs: 3_000,
      },
    );
  }

  #heard(process: SimProcess, event: WorkerEvent): void {
    if (event.kind === 'committed' || event.kind === 'kafka_committed' || event.kind === 'ledger_unavailable') return;
    const stage = this.#stage;
    stage.count(event.kind === 'dropped' ? `dropped:${event.cause}` : event.kind);
    stage.note(
      () =>
        `${process.name} ${JSON.stringify(event, (_, value: unknown) => (value instanceof Error ? value.message : value))}`,
    );
    const isExpected =
      (event.kind !== 'ledger_loss' || stage.losses > 0) &&
      (event.kind !== 'gap' || stage.plan.theme === 'retention') &&
      (event.kind !== 'truncated' || stage.plan.theme === 'cut' || stage.plan.theme === 'loss') &&
      (event.kind !== 'lost_writes' ||
        stage.rollbacks > 0 ||
        stage.counts['commit moved'] !== undefined ||
        stage.counts['commit reset'] !== undefined ||
        isSoughtBehind(stage));
    if (!isExpected) stage.fail(new Error(`invariant 3: unexpected ${event.kind}`));
    if (event.kind === 'gap') stage.gaps.push(event.records);
  }

  #died(process: SimProcess, error: Error): void {
    const stage = this.#stage;
    if (!('code' in error) || error.code !== 'LEDGER_LOST' || stage.plan.onLoss !== 'stop' || stage.losses === 0) {
      stage.fail(error);
      return;
    }
    stage.count('stopped on a loss');
    const replica = this.living.find((living) => living.process === process);
    if (replica === undefined) return;
    const index = this.kill(replica);
    stage.scheduler.in(1000, () => {
      if (this.replicas[index] === null) this.start(index);
    });
  }
}

/** Somebody knew of a commit from before a recount: a replica that was asleep, or that began while markers were moved. */
const isSoughtBehind = ({ counts }: Stage): boolean =>
  counts['seek recount'] !== undefined &&
  ['stop', 'suspend', 'began in a seek'].some((kind) => counts[kind] !== undefined);
