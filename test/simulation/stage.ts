/** What one schedule plays on: virtual time, the simulated Kafka, the ledger with its history, the shadow, the story. */

import type { CommitRequest } from '../../src/kafka/port.ts';
import { markerField, markerParts } from '../../src/ledger/keys.ts';
import { MemoryLedger, type OutsideSnapshot, type ShardSnapshot } from '../../src/ledger/memory-ledger.ts';
import { readCommitMetadata } from '../../src/ledger/partition.ts';
import type { CommitCall, CommitReply, Creation, MarkerField, MoveCause, ShardView } from '../../src/ledger/port.ts';
import { SHARDS } from '../../src/ledger/port.ts';
import type { AnyLedger, LedgerFaults, Served } from './faulty-ledger.ts';
import type { Plan } from './plan.ts';
import { type Random, Scheduler, seededRandom, seedOf } from './scheduler.ts';
import { Shadow, type ShadowShard } from './shadow.ts';
import { type KafkaFaults, SimKafka } from './sim-kafka.ts';
import { SERVICES } from './traffic.ts';

export const TOPIC = 'otlp_spans';
/** Servers that the shards lie on. */
export const NODES = 2;
const EPOCH_US = 1_700_000_000_000_000;
const KEPT_SNAPSHOTS = 400;
const READS: ReadonlySet<string> = new Set([
  'view',
  'changes',
  'page',
  'keys',
  'free',
  'liveIds',
  'tenants',
  'examine',
]);

type Moment = { readonly at: number; readonly snapshot: ShardSnapshot; readonly shadow: ShadowShard | null };

export class Stage {
  readonly #story: { readonly at: number; readonly tell: () => string }[] = [];
  readonly counts: Record<string, number> = {};
  readonly seed: number;
  readonly plan: Plan;
  /** What comes by chance in the network and in the processes. */
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly kafka: SimKafka;
  readonly memory: MemoryLedger | null;
  readonly ledger: AnyLedger;
  readonly shadow: Shadow;
  readonly kafkaFaults: KafkaFaults;
  readonly ledgerFaults: LedgerFaults;
  /** Servers of the ledger that cannot be reached. */
  readonly away = new Set<number>();
  /** How far the server's clock is from virtual time, us. */
  #serverSkewUs = 0;
  readonly #serverSteps: { readonly at: number; readonly ms: number }[] = [];
  limit: number;
  onLoss: Plan['onLoss'];
  /** An operator moves markers down. */
  isSeeking = false;
  /** Shards that were put back to nothing, or to before a marker that nobody else knows. */
  losses = 0;
  /** Shards that were put back to an earlier state. */
  rollbacks = 0;
  /** Records of every gap that a worker told of. */
  readonly gaps: number[] = [];
  failure: Error | null = null;
  onWritten: (method: string, shard: number | null) => Promise<void> | undefined = () => undefined;
  /** Every value that the group's commit ever had, by field. */
  readonly commitsEver = new Map<MarkerField, Set<number>>();
  readonly #verbose: boolean;
  /** Only where anything is ever put back, or compared with what it was. */
  readonly #keepsHistory: boolean;
  readonly #history: Moment[][] = Array.from({ length: SHARDS }, () => []);
  readonly #outside: { at: number; snapshot: OutsideSnapshot }[] = [];

  constructor(seed: number, plan: Plan, ledger: AnyLedger | undefined, verbose: boolean) {
    this.seed = seed;
    this.plan = plan;
    this.random = seededRandom(seedOf(seed, 0));
    const { random } = this;
    this.#verbose = verbose;
    this.scheduler = new Scheduler(ledger === undefined ? 'inside' : 'outside');
    this.limit = plan.limit;
    this.onLoss = plan.onLoss;
    this.kafkaFaults = {
      callFailure: plan.isLossy ? 0.02 : 0,
      staleFetch: 0.3,
      sessionTimeoutMs: 6000,
      isCareless: plan.isCareless,
    };
    this.kafka = new SimKafka(this.scheduler, random, this.kafkaFaults);
    this.kafka.onCommit = (request, before) => this.#checkKafkaCommit(request, before);
    let lives = 0;
    this.memory =
      ledger === undefined ? new MemoryLedger({ nowUs: () => this.serverUs(), random: () => `life${lives++}` }) : null;
    this.ledger = this.memory ?? ledger!;
    this.#keepsHistory = this.memory !== null && (plan.troubles.has('lost writes') || plan.theme === 'stale');
    const neverOverflows = plan.limit >= SERVICES && !['limits', 'tenants', 'bomb'].includes(plan.theme);
    this.shadow = new Shadow(
      SHARDS,
      {
        tenantsBound: plan.theme === 'tenants',
        neverOverflows,
        start: plan.fromBeginning && plan.theme !== 'retention' ? 0 : null,
      },
      plan.theme === 'stale',
    );
    this.ledgerFaults = {
      callFailure: plan.isLossy ? 0.01 : 0,
      late: 0.3,
      isAway: (shard) => this.away.has((shard ?? 0) % NODES),
      onServed: (served) => this.#onServed(served),
    };
  }

  serverUs(): number {
    return EPOCH_US + this.scheduler.now * 1000 + this.#serverSkewUs;
  }

  stepServerClock(ms: number): void {
    this.#serverSkewUs += Math.round(ms * 1000);
    this.#serverSteps.push({ at: this.scheduler.now, ms });
  }

  /** Time that never was, ms: what the server's clock stepped ahead by since then. */
  serverAheadSince(at: number): number {
    return this.#serverSteps.reduce((sum, step) => (step.at >= at ? sum + Math.max(0, step.ms) : sum), 0);
  }

  /** How far the shard's change counter is ahead of the server's clock. */
  counterLeadMs(shard: number): number {
    const counter = this.memory?.inspectShard(shard)?.counter ?? 0;
    return Math.max(0, counter - this.serverUs()) / 1000;
  }

  // ---- the story

  fault(kind: string, detail = ''): void {
    this.count(kind);
    this.note(() => `FAULT ${kind} ${detail}`);
  }

  count(kind: string): void {
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
  }

  /** `tell` is called when somebody wants to read it. */
  note(tell: () => string): void {
    const { now } = this.scheduler;
    this.#story.push({ at: now, tell });
    if (this.#verbose) process.stdout.write(`${lineOf(now, tell())}\n`);
  }

  /** The last lines of what happened. */
  ending(lines: number): string {
    return this.#story
      .slice(-lines)
      .map(({ at, tell }) => lineOf(at, tell()))
      .join('\n');
  }

  fail(error: Error): void {
    this.failure ??= error;
  }

  noteTopic(): void {
    const { id, logs } = this.kafka.topics.get(TOPIC)!;
    this.shadow.addLogs(id, logs);
  }

  // ---- what the ledger was and will have been

  /** A server comes back with what it had at `at`. */
  rollBack(node: number, at: number): void {
    for (let shard = 0; shard < SHARDS; shard++) {
      if (shard % NODES !== node) continue;
      const moment = this.#history[shard]!.findLast((entry) => entry.at <= at);
      this.#restore(shard, moment?.snapshot ?? null, moment?.shadow ?? null);
    }
    const outside = this.#outside.findLast((entry) => entry.at <= at);
    if (node === 0 && outside !== undefined) this.memory!.restoreOutside(outside.snapshot);
  }

  flush(node: number): void {
    for (let shard = 0; shard < SHARDS; shard++) if (shard % NODES === node) this.#restore(shard, null, null);
  }

  #restore(shard: number, snapshot: ShardSnapshot | null, shadow: ShadowShard | null): void {
    const before = this.shadow.shards[shard] ?? null;
    if (before === null && shadow === null) return;
    if (before !== null && [...before.markers.keys()].some((field) => !shadow?.markers.has(field))) this.losses++;
    this.rollbacks++;
    this.memory!.restoreShard(shard, snapshot);
    this.shadow.put(shard, shadow);
    this.#history[shard]!.push({ at: this.scheduler.now, snapshot: this.memory!.snapshotShard(shard), shadow });
  }

  #onServed(served: Served): Promise<void> | undefined {
    try {
      this.#follow(served);
      if (READS.has(served.method)) return undefined;
      if (this.#keepsHistory) this.#remember(served.shard);
      return this.onWritten(served.method, served.shard)?.catch((error: unknown) => this.#failWith(error));
    } catch (error) {
      this.#failWith(error);
      return undefined;
    }
  }

  #failWith(error: unknown): void {
    this.fail(error instanceof Error ? error : new Error(String(error)));
  }

  #follow({ method, shard, args, answer }: Served): void {
    if (method === 'commit') {
      this.shadow.committed(args[0] as CommitCall, answer as CommitReply, this.scheduler.now);
      this.#checkReplays(args[0] as CommitCall);
    } else if (method === 'setMarkers') {
      const [, markers, create] = args as [number, readonly (readonly [MarkerField, number])[], Creation];
      this.#checkLossMarkers(markers, create, shard!);
      this.shadow.markersSet(shard!, markers, create !== 'no', create === 'after-loss');
      this.shadow.viewed(shard!, (answer as ShardView | null)?.markers ?? null);
    } else if (method === 'move') {
      const [, field, expected, to, why] = args as [number, MarkerField, number | null, number, MoveCause];
      this.shadow.moved(shard!, field, expected, to, why);
    } else if (method === 'view') {
      this.shadow.viewed(shard!, (answer as ShardView | null)?.markers ?? null);
    }
  }

  /** A replay ends where the group has been: what lies beyond is new, and is born at zero. */
  #checkReplays({ shard, sections }: CommitCall): void {
    for (const { field, from, to, replay } of sections) {
      if (!replay) continue;
      const farthest = Math.max(...(this.commitsEver.get(field) ?? [0]));
      if (to > farthest)
        throw new Error(
          `invariant 7: [${from}, ${to}) of ${field} on shard ${shard} is no replay: the group was at ${farthest}`,
        );
    }
  }

  /** After a loss it goes on where the group was, or at the log's start, as the operator wants it. */
  #checkLossMarkers(markers: readonly (readonly [MarkerField, number])[], create: Creation, shard: number): void {
    if (create !== 'after-loss') return;
    for (const [field, marker] of markers) {
      if (this.shadow.shards[shard]?.markers.has(field)) continue;
      const isGroups = marker === 0 || this.commitsEver.get(field)?.has(marker);
      const isMarker = this.shadow.shards.some((state) => state?.markers.get(field) === marker);
      const isStart = this.shadow.logOf(field).start >= marker;
      if (!isGroups && !isMarker && !isStart)
        throw new Error(`invariant 3: after a loss ${field} goes on at ${marker}`);
      if (this.plan.onLoss === 'recount' && !isStart) throw new Error(`invariant 3: ${field} is not recounted`);
    }
  }

  #remember(shard: number | null): void {
    const at = this.scheduler.now;
    if (shard === null) {
      this.#outside.push({ at, snapshot: this.memory!.snapshotOutside() });
      return;
    }
    const history = this.#history[shard]!;
    history.push({ at, snapshot: this.memory!.snapshotShard(shard), shadow: this.shadow.shards[shard]! });
    if (history.length > KEPT_SNAPSHOTS) history.splice(1, KEPT_SNAPSHOTS / 2);
  }

  /** The shard lost what it had of a topic that is gone: nobody can read that again, and what was shown cannot be reached. */
  isOutOfReach(shard: number): boolean {
    const present = this.kafka.topics.get(TOPIC)!.id;
    const markers = this.shadow.shards[shard]?.markers;
    return [...this.shadow.highest].some(
      ([field, highest]) => markerParts(field).topicId !== present && (markers?.get(field) ?? -1) < highest[shard]!,
    );
  }

  /** A state of the shard, not newer than `at`; for looking only. */
  pastOf(shard: number, at: number): ShardSnapshot | null {
    return this.#history[shard]!.findLast((entry) => entry.at < at)?.snapshot ?? null;
  }

  // ---- the group's commits

  noteCommit(field: MarkerField, offset: number): void {
    const ever = this.commitsEver.get(field) ?? new Set();
    this.commitsEver.set(field, ever.add(offset));
  }

  /** Called before the commit is stored. */
  #checkKafkaCommit(request: CommitRequest, before: { offset: number; metadata: string } | undefined): void {
    const note = readCommitMetadata(request.metadata)!;
    const field = markerField(note.topicId, request.partition);
    this.noteCommit(field, request.offset);
    const isSame = before !== undefined && readCommitMetadata(before.metadata)?.topicId === note.topicId;
    if (isSame && request.offset < before.offset && this.plan.theme !== 'cut' && this.plan.theme !== 'loss')
      this.fail(new Error(`invariant 4: the commit of ${field} fell from ${before.offset} to ${request.offset}`));
    const start = note.start ?? 0;
    const lowest = this.shadow.lowestEver(field);
    // What an operator wrote is believed where nothing else is known.
    const claimed = before !== undefined && before.metadata === '' ? before.offset : -1;
    if (request.offset > Math.max(start, lowest, claimed))
      this.fail(
        new Error(`invariant 4: the commit of ${field}, ${request.offset}, is above the lowest marker, ${lowest}`),
      );
  }
}

const lineOf = (at: number, text: string): string => `${String(at).padStart(7)} ${text}`;
