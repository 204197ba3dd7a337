/**
 * One schedule: a fleet of real workers, a simulated Kafka, a ledger, traffic with known truth, and faults, all out of
 * one seed. While it runs, and when all faults are over, the invariants of docs/ledger.md are checked.
 */
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { decodeSeriesKey } from '../../src/attribution/series-key.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import type { TopicPartition } from '../../src/kafka/port.ts';
import { markerField, maxTenantsPerShard, RECORDS_LABEL, shardOf } from '../../src/ledger/keys.ts';
import { MemoryLedger, type OutsideSnapshot, type ShardSnapshot } from '../../src/ledger/memory-ledger.ts';
import { commitMetadata, readCommitMetadata } from '../../src/ledger/partition.ts';
import { type MarkerField, type SeriesRow, SHARDS, type ShardView, type Totals } from '../../src/ledger/port.ts';
import { Worker } from '../../src/ledger/worker.ts';
import type { WorkerEvent } from '../../src/ledger/worker-events.ts';
import { Pipeline } from '../../src/pipeline.ts';
import { type AnyLedger, faultyLedger, type LedgerFaults } from './faulty-ledger.ts';
import { type Random, Scheduler, seededRandom } from './scheduler.ts';
import { type KafkaFaults, SimKafka, type SimLog, SimSource } from './sim-kafka.ts';
import { SimProcess } from './sim-process.ts';
import { anyRecord, DEFAULT_TENANT, SERVICES, type SimRecord, type Truth } from './traffic.ts';

export type WorldOptions = {
  readonly seed: number;
  /** A ledger of its own, empty; default: in memory, which can also lose writes. */
  readonly ledger?: AnyLedger;
  readonly verbose?: boolean;
};

export type WorldReport = {
  readonly records: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly events: number;
  readonly virtualMs: number;
};

type Replica = { readonly process: SimProcess; readonly source: SimSource; readonly worker: Worker };

const TOPIC = 'otlp_spans';
const NODES = 2;
const SETTLE_MS = 240_000;
const KEPT_SNAPSHOTS = 400;

const { dimensions: DIMENSIONS } = parseDimensions([['service.name', 'service']], { sharedLabels: 'refuse' });

export const runSchedule = async (options: WorldOptions): Promise<WorldReport> => {
  const world = new World(options);
  try {
    return await world.run();
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    throw new Error(
      `seed ${options.seed}: ${text}\nreplay: npm run simulate -- --seed ${options.seed}\n${world.story.slice(-60).join('\n')}`,
    );
  }
};

class World {
  readonly story: string[] = [];
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #scheduler = new Scheduler();
  readonly #kafka: SimKafka;
  readonly #memory: MemoryLedger | null;
  readonly #ledger: AnyLedger;
  readonly #kafkaFaults: KafkaFaults = { callFailure: 0.02, staleFetch: 0.1, sessionTimeoutMs: 6000 };
  readonly #ledgerFaults: LedgerFaults;
  readonly #away = new Set<number>();
  readonly #history: { at: number; shard: number; snapshot: ShardSnapshot }[][] = Array.from(
    { length: SHARDS },
    () => [],
  );
  readonly #outside: { at: number; snapshot: OutsideSnapshot }[] = [];
  /** By topic id: the logs, also of topics that are gone. */
  readonly #logs = new Map<string, SimLog[]>();
  /** The highest marker that each shard ever had. */
  readonly #markers = new Map<MarkerField, Float64Array>();
  readonly #replicas: (Replica | null)[] = [];
  readonly #faults: Record<string, number> = {};
  readonly #limit: number;
  readonly #services: number;
  readonly #flushIntervalMs: number;
  #records = 0;
  #incarnation = 0;
  #failure: Error | null = null;

  constructor(options: WorldOptions) {
    this.#options = options;
    const random = seededRandom(options.seed);
    this.#random = random;
    this.#limit = 1 + Math.floor(random() * 2 * SERVICES);
    this.#services = 2 + Math.floor(random() * SERVICES);
    this.#flushIntervalMs = 500 + Math.floor(random() * 4500);
    this.#kafka = new SimKafka(this.#scheduler, random, this.#kafkaFaults);
    const nowUs = (): number => 1_700_000_000_000_000 + this.#scheduler.now * 1000;
    let lives = 0;
    this.#memory = options.ledger === undefined ? new MemoryLedger({ nowUs, random: () => `life${lives++}` }) : null;
    this.#ledger = this.#memory ?? options.ledger!;
    this.#ledgerFaults = {
      callFailure: 0.01,
      late: 0.3,
      isAway: (shard) => this.#away.has((shard ?? 0) % NODES),
      onServed: (method, shard) => this.#onServed(method, shard),
    };
    this.#kafka.onCommit = (request, before) => this.#checkCommit(request, before);
  }

  async run(): Promise<WorldReport> {
    const random = this.#random;
    const partitions = 1 + Math.floor(random() * 3);
    this.#kafka.createTopic(TOPIC, partitions);
    this.#noteTopic();
    await this.#ledger.claim({ clusterId: 'sim', groupId: 'tracetally' });
    const replicas = 1 + Math.floor(random() * 3);
    for (let i = 0; i < replicas; i++) this.#startReplica(i);
    const trafficUntil = 8_000 + random() * 22_000;
    this.#traffic(trafficUntil);
    this.#trouble(trafficUntil);
    await this.#runTo(trafficUntil);
    this.#heal();
    const deadline = this.#scheduler.now + SETTLE_MS;
    await this.#runTo(deadline, () => this.#isSettled());
    if (!this.#isSettled()) throw new Error(`not settled after ${SETTLE_MS} ms: ${this.#describe()}`);
    for (let shard = 0; shard < SHARDS; shard++) await this.#checkShard(shard);
    this.#checkComplete();
    for (const replica of this.#replicas) replica?.worker.stop();
    return {
      records: this.#records,
      faults: this.#faults,
      events: this.#scheduler.events,
      virtualMs: this.#scheduler.now,
    };
  }

  async #runTo(until: number, done?: () => boolean): Promise<void> {
    await this.#scheduler.run(until, () => this.#failure !== null || (done?.() ?? false));
    if (this.#failure !== null) throw this.#failure;
  }

  // ---- the fleet

  #startReplica(index: number): void {
    const process = new SimProcess(`r${index}.${this.#incarnation++}`, this.#scheduler, this.#random);
    process.wallSkewMs = (this.#random() - 0.5) * 10_000;
    const source = new SimSource(this.#kafka, process);
    const ledger = faultyLedger(this.#ledger, process, this.#scheduler, this.#random, this.#ledgerFaults);
    const pipeline = new Pipeline({
      tenants: new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], DEFAULT_TENANT),
      settings: () => ({
        trackers: [{ name: 'cost-attribution', dimensions: DIMENSIONS, limit: this.#limit, staleS: 900 }],
      }),
      maxLabelValueLength: 2048,
      watch: { accepted: () => {}, discarded: () => {} },
    });
    const worker = new Worker({
      source,
      ledger,
      clock: process.clock,
      gather: pipeline.gather,
      tablesFootprint: () => 0,
      flushIntervalMs: this.#flushIntervalMs,
      lookIntervalMs: 10_000,
      maxPendingBytes: 1 << 20,
      maxTenantsPerShard: maxTenantsPerShard(1000),
      fromBeginning: true,
      onLoss: 'continue',
      patienceMs: 10_000,
      watch: (event) => this.#tell(process.name, event),
      fatal: (error) => this.#fail(error),
    });
    this.#replicas[index] = { process, source, worker };
    worker.start();
    void source.start(worker.handler);
    this.#note(`${process.name} starts`);
  }

  #tell(name: string, event: WorkerEvent): void {
    if (event.kind === 'committed' || event.kind === 'kafka_committed' || event.kind === 'ledger_unavailable') return;
    this.#count(event.kind === 'dropped' ? `dropped:${event.cause}` : event.kind);
    this.#note(
      `${name} ${JSON.stringify(event, (_, value: unknown) => (value instanceof Error ? value.message : value))}`,
    );
    if (event.kind === 'ledger_loss' || event.kind === 'gap' || event.kind === 'truncated')
      this.#fail(new Error(`unexpected ${event.kind}`));
  }

  // ---- traffic and trouble

  #traffic(until: number): void {
    const next = (): void => {
      if (this.#scheduler.now >= until) return;
      const burst = 1 + Math.floor(this.#random() * 6);
      const topic = this.#kafka.topics.get(TOPIC);
      for (let i = 0; i < burst && topic !== undefined; i++) {
        const partition = Math.floor(this.#random() * topic.logs.length);
        const isControl = this.#random() < 0.05;
        this.#kafka.append({ topic: TOPIC, partition }, isControl ? null : anyRecord(this.#random, this.#services));
        if (!isControl) this.#records++;
      }
      this.#scheduler.in(this.#random() * 400, next);
    };
    this.#scheduler.in(0, next);
  }

  #trouble(until: number): void {
    const kinds: (() => void)[] = [
      () => this.#killOne(),
      () => this.#stopOne(),
      () => this.#partRedis(),
      () => this.#loseWrites(),
      () => this.#loseWrites(),
      () => this.#partKafka(),
      () => this.#rebalance(),
      () => this.#moveCommit(),
      () => this.#addPartition(),
      () => this.#remakeTopic(),
    ];
    const next = (): void => {
      if (this.#scheduler.now >= until) return;
      kinds[Math.floor(this.#random() * kinds.length)]!();
      this.#scheduler.in(500 + this.#random() * 6000, next);
    };
    this.#scheduler.in(this.#random() * 4000, next);
  }

  #killOne(): void {
    const index = this.#pick();
    const replica = this.#replicas[index];
    if (!replica) return;
    this.#fault('kill', replica.process.name);
    replica.process.kill();
    replica.worker.stop();
    this.#replicas[index] = null;
    this.#kafka.watch(replica.source);
    this.#scheduler.in(this.#random() * 8000, () => {
      if (this.#replicas[index] === null) this.#startReplica(index);
    });
  }

  #stopOne(): void {
    const replica = this.#replicas[this.#pick()];
    if (!replica) return;
    const ms = this.#random() * 20_000;
    this.#fault('stop', `${replica.process.name} for ${Math.round(ms)}`);
    replica.process.stopFor(ms);
    this.#kafka.watch(replica.source);
    replica.source.discover();
  }

  #partRedis(): void {
    const node = Math.floor(this.#random() * NODES);
    this.#fault('redis away', `node ${node}`);
    this.#away.add(node);
    this.#scheduler.in(this.#random() * 8000, () => void this.#away.delete(node));
  }

  /** A node comes back with what it had some time ago: at times a moment, at times nothing at all. */
  #loseWrites(): void {
    if (this.#memory === null) return;
    const node = Math.floor(this.#random() * NODES);
    const reach = this.#random() < 0.3 ? this.#scheduler.now : this.#random() * 5000;
    const at = this.#scheduler.now - reach;
    this.#fault('lost writes', `node ${node} back to ${Math.round(at)}`);
    for (let shard = 0; shard < SHARDS; shard++) {
      if (shard % NODES !== node) continue;
      const snapshot = this.#history[shard]!.findLast((entry) => entry.at <= at)?.snapshot;
      if (snapshot === undefined) continue;
      this.#memory.restoreShard(shard, snapshot);
      this.#history[shard]!.push({ at: this.#scheduler.now, shard, snapshot });
    }
    const outside = this.#outside.findLast((entry) => entry.at <= at);
    if (node === 0 && outside !== undefined) this.#memory.restoreOutside(outside.snapshot);
  }

  #partKafka(): void {
    this.#fault('kafka away', '');
    this.#kafka.isAway = true;
    this.#scheduler.in(this.#random() * 5000, () => {
      this.#kafka.isAway = false;
    });
  }

  #rebalance(): void {
    this.#fault('rebalance', '');
    this.#kafka.rebalance();
  }

  /** An operator resets the group, or its commits are lost: no effect on what is counted. */
  #moveCommit(): void {
    for (const [key, commit] of this.#kafka.commits) {
      if (this.#random() < 0.5) continue;
      const note = readCommitMetadata(commit.metadata);
      if (note === null) continue;
      const offset = Math.floor(this.#random() * (commit.offset + 1));
      this.#fault('commit moved', `${key} to ${offset}`);
      this.#kafka.commits.set(key, { offset: Math.max(offset, note.start ?? 0), metadata: commitMetadata(note) });
    }
  }

  #addPartition(): void {
    const topic = this.#kafka.topics.get(TOPIC)!;
    if (topic.logs.length >= 4) return;
    this.#fault('partition added', '');
    this.#kafka.addPartition(TOPIC);
  }

  #remakeTopic(): void {
    if (this.#random() < 0.6) return;
    this.#fault('topic remade', '');
    this.#kafka.createTopic(TOPIC, 1 + Math.floor(this.#random() * 3));
    this.#noteTopic();
    this.#kafka.rebalance();
  }

  #heal(): void {
    this.#note('healed');
    this.#away.clear();
    this.#kafka.isAway = false;
    this.#kafkaFaults.callFailure = 0;
    this.#ledgerFaults.callFailure = 0;
    this.#replicas.forEach((replica, index) => {
      if (replica === null) this.#startReplica(index);
      else replica.source.discover();
    });
  }

  // ---- what must hold

  async #onServed(method: string, shard: number | null): Promise<void> {
    if (this.#memory !== null) this.#remember(shard);
    if (method === 'commit' && shard !== null) {
      this.#noteLowest(shard);
      if (this.#random() < 0.05) await this.#checkShard(shard);
    }
  }

  #remember(shard: number | null): void {
    const at = this.#scheduler.now;
    if (shard === null) {
      this.#outside.push({ at, snapshot: this.#memory!.snapshotOutside() });
      return;
    }
    const history = this.#history[shard]!;
    history.push({ at, shard, snapshot: this.#memory!.snapshotShard(shard) });
    if (history.length > KEPT_SNAPSHOTS) history.splice(1, KEPT_SNAPSHOTS / 2);
  }

  #noteLowest(shard: number): void {
    for (const [field, marker] of this.#memory?.inspectShard(shard)?.markers ?? []) {
      let markers = this.#markers.get(field);
      if (markers === undefined) {
        markers = new Float64Array(SHARDS).fill(-1);
        this.#markers.set(field, markers);
      }
      if (marker <= markers[shard]!) continue;
      markers[shard] = marker;
    }
  }

  /** The lowest over the shards of the highest marker that each ever had: no commit may be above it. */
  #lowestEver(field: MarkerField): number {
    return Math.min(...(this.#markers.get(field) ?? [-1]));
  }

  /** Field -> shard -> marker, of the memory ledger. */
  #markersOf(): Map<MarkerField, Map<number, number>> {
    const markers = new Map<MarkerField, Map<number, number>>();
    for (let shard = 0; shard < SHARDS; shard++) {
      for (const [field, marker] of this.#memory!.inspectShard(shard)?.markers ?? []) {
        let at = markers.get(field);
        if (at === undefined) {
          at = new Map();
          markers.set(field, at);
        }
        at.set(shard, marker);
      }
    }
    return markers;
  }

  #checkCommit(request: TopicPartition & { offset: number; metadata: string }, before: number): void {
    const note = readCommitMetadata(request.metadata)!;
    const field = markerField(note.topicId, request.partition);
    const beforeNote = this.#kafka.commits.get(`${request.partition}/${request.topic}`);
    if (
      request.offset < before &&
      beforeNote !== undefined &&
      !this.#faults['commit moved'] &&
      !this.#faults['topic remade']
    ) {
      this.#fail(new Error(`the commit of ${field} fell from ${before} to ${request.offset}`));
    }
    const start = note.start ?? 0;
    if (this.#memory !== null && request.offset > Math.max(start, this.#lowestEver(field))) {
      this.#fail(
        new Error(
          `the commit of ${field}, ${request.offset}, is above the lowest marker ever, ${this.#lowestEver(field)}`,
        ),
      );
    }
  }

  async #checkShard(shard: number): Promise<void> {
    const read = await readShard(this.#ledger, shard);
    if (read === null) return;
    const truth = this.#truthOf(shard, read.view);
    for (const { name, totals, rows } of read.accounts) {
      const where = `shard ${shard}, ${name.tenant}/${name.tracker}`;
      const sums = totals.total.map(
        (_, m) => rows.reduce((sum, row) => sum + row.values[m]!, 0) + totals.overflow[m]! + totals.retired[m]!,
      );
      if (sums.some((sum, m) => sum !== totals.total[m]))
        throw new Error(`${where}: series + overflow + retired is ${sums}, total ${totals.total}`);
      if (rows.length !== totals.live) throw new Error(`${where}: ${rows.length} series, live says ${totals.live}`);
      if (name.tenant !== RECORDS_TENANT && totals.live > this.#limit)
        throw new Error(`${where}: ${totals.live} live series, limit ${this.#limit}`);
      const [bytes, spans] = truth.get(name.tenant) ?? [0, 0];
      if (totals.total[0] !== bytes || totals.total[1] !== spans)
        throw new Error(`${where}: counted ${totals.total}, truth ${[bytes, spans]}`);
      truth.delete(name.tenant);
      if (this.#limit >= SERVICES && totals.overflow.some((amount) => amount > 0))
        throw new Error(`${where}: overflow ${totals.overflow} under a limit of ${this.#limit}`);
      if (name.tenant === RECORDS_TENANT)
        this.#checkOutcomes(
          rows,
          read.view,
          await this.#ledger.keys(shard, name, Buffer.concat(rows.map(({ id }) => id))),
        );
    }
    for (const [tenant, [bytes]] of truth)
      if (bytes > 0) throw new Error(`shard ${shard}: nothing counted for ${tenant}, truth ${bytes}`);
  }

  #checkOutcomes(rows: readonly SeriesRow[], view: ShardView, keys: readonly (Buffer | null)[]): void {
    const truth = new Map<string, number>();
    this.#eachCounted(view, ({ outcome, bytes }) => truth.set(outcome, (truth.get(outcome) ?? 0) + bytes));
    rows.forEach((row, i) => {
      const outcome = decodeSeriesKey(keys[i]!).find(([name]) => name === RECORDS_LABEL)![1];
      if ((truth.get(outcome) ?? 0) !== row.values[0])
        throw new Error(`outcome ${outcome}: ${row.values[0]} bytes, truth ${truth.get(outcome)}`);
    });
  }

  /** Everything in the records below the markers, for the tenants of the shard. */
  #truthOf(shard: number, view: ShardView): Map<string, [number, number]> {
    const truth = new Map<string, [number, number]>();
    const add = (tenant: string, first: number, second: number): void => {
      if (shardOf(tenant) !== shard) return;
      const amounts = truth.get(tenant) ?? [0, 0];
      truth.set(tenant, [amounts[0] + first, amounts[1] + second]);
    };
    this.#eachCounted(view, ({ tenant, bytes, spans }) => {
      if (tenant !== null) add(tenant, bytes, spans);
      add(RECORDS_TENANT, bytes, 1);
    });
    return truth;
  }

  #eachCounted(view: ShardView, visit: (truth: Truth) => void): void {
    for (const [id, logs] of this.#logs) {
      logs.forEach((log, partition) => {
        const marker = view.markers.get(markerField(id, partition)) ?? 0;
        for (const record of log.records) if (record.offset < marker) visit((record as unknown as SimRecord).truth);
      });
    }
  }

  #isSettled(): boolean {
    const topic = this.#kafka.topics.get(TOPIC)!;
    return topic.logs.every((log, partition) => {
      const commit = this.#kafka.commits.get(`${partition}/${TOPIC}`);
      return (
        commit !== undefined &&
        readCommitMetadata(commit.metadata)?.topicId === topic.id &&
        commit.offset === log.end &&
        this.#allMarkersAt(topic.id, partition, log.end)
      );
    });
  }

  #allMarkersAt(id: string, partition: number, end: number): boolean {
    if (this.#memory === null) return true;
    const field = markerField(id, partition);
    for (let shard = 0; shard < SHARDS; shard++)
      if (this.#memory.inspectShard(shard)?.markers.get(field) !== end) return false;
    return true;
  }

  /** Quiet, and every marker at the end: what is counted is everything. */
  #checkComplete(): void {
    if (!this.#isSettled()) throw new Error('markers below the end of the log');
  }

  // ---- small things

  #noteTopic(): void {
    const { id, logs } = this.#kafka.topics.get(TOPIC)!;
    this.#logs.set(id, logs);
  }

  #pick(): number {
    return Math.floor(this.#random() * this.#replicas.length);
  }

  #fault(kind: string, detail: string): void {
    this.#count(kind);
    this.#note(`FAULT ${kind} ${detail}`);
  }

  #count(kind: string): void {
    this.#faults[kind] = (this.#faults[kind] ?? 0) + 1;
  }

  #note(text: string): void {
    const line = `${String(this.#scheduler.now).padStart(7)} ${text}`;
    this.story.push(line);
    if (this.#options.verbose) process.stdout.write(`${line}\n`);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
  }

  #describe(): string {
    const topic = this.#kafka.topics.get(TOPIC)!;
    return JSON.stringify(
      topic.logs.map((log, partition) => ({
        end: log.end,
        commit: this.#kafka.commits.get(`${partition}/${TOPIC}`),
        lowest:
          this.#memory === null
            ? null
            : Math.min(...(this.#markersOf().get(markerField(topic.id, partition))?.values() ?? [])),
        held: this.#replicas.flatMap((replica) =>
          [...(replica?.worker.partitions ?? [])]
            .filter((p) => p.partition === partition)
            .map((p) => [replica!.process.name, p.phase, p.next]),
        ),
      })),
    );
  }
}

type ReadAccount = { name: { tenant: string; tracker: string }; totals: Totals; rows: SeriesRow[] };

/** The whole shard, through the port. */
const readShard = async (
  ledger: AnyLedger,
  shard: number,
): Promise<{ view: ShardView; accounts: ReadAccount[] } | null> => {
  const changes = await ledger.changes(shard, 0);
  if (changes === null) return null;
  const accounts: ReadAccount[] = [];
  for (const name of changes.accounts) {
    const rows = new Map<string, SeriesRow>();
    let totals: Totals | null = null;
    for (let cursor: string | null = null; ; ) {
      const page = await ledger.page(shard, name, cursor, 1000);
      if (page === null) break;
      totals = page.totals;
      for (const row of page.rows) rows.set(row.id.toString('hex'), row);
      cursor = page.cursor;
      if (cursor === null) break;
    }
    if (totals !== null) accounts.push({ name, totals, rows: [...rows.values()] });
  }
  return { view: changes.view, accounts };
};
