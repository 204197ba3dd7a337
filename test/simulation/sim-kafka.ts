/**
 * A Kafka in virtual time, as much of it as the port shows: logs with holes, a group whose members learn of a new
 * generation at different moments, commits that the coordinator refuses, answers that are lost, fetches that are stale.
 */
import type {
  BatchControl,
  CommitRequest,
  GroupCommit,
  LogRange,
  RecordSource,
  SourceBatch,
  SourceHandler,
  SourceRecord,
  TopicInfo,
  TopicPartition,
} from '../../src/kafka/port.ts';
import type { Random, Scheduler } from './scheduler.ts';
import type { SimProcess } from './sim-process.ts';

export class SimSourceError extends Error {
  readonly code: 'SOURCE_UNAVAILABLE' | 'STALE_GENERATION';

  constructor(code: 'SOURCE_UNAVAILABLE' | 'STALE_GENERATION') {
    super(code);
    this.code = code;
  }
}

export type SimLog = {
  start: number;
  end: number;
  /** Ascending offsets, with holes; also those below `start`, which nobody can fetch. */
  readonly records: SourceRecord[];
  /** Offsets that stood for other records before the log was cut. */
  readonly rewritten: { readonly from: number; readonly to: number }[];
};

type SimTopic = { readonly name: string; readonly id: string; readonly logs: SimLog[] };
type Member = { readonly source: SimSource; joinedAt: number };

export type KafkaFaults = {
  /** The client hands over stale batches as if they were current. */
  isCareless: boolean;
  /** Chance that a call's answer, or the call, is lost. */
  callFailure: number;
  /** Chance that a batch fetched before a seek is handed over after it. */
  staleFetch: number;
  sessionTimeoutMs: number;
};

const key = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;

export class SimKafka {
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly faults: KafkaFaults;
  readonly topics = new Map<string, SimTopic>();
  readonly commits = new Map<string, { offset: number; metadata: string }>();
  generation = 0;
  /** Partitions whose new leader does not know yet how far its log is readable: until when it answers with what. */
  readonly lags = new Map<string, { readonly until: number; readonly end: number }>();
  isAway = false;
  /** Told of every commit that takes effect, with what it replaces. */
  onCommit: (request: CommitRequest, before: { offset: number; metadata: string } | undefined) => void = () => {};
  #members = new Set<Member>();
  #rebalancing = false;
  #ids = 0;

  constructor(scheduler: Scheduler, random: Random, faults: KafkaFaults) {
    this.scheduler = scheduler;
    this.random = random;
    this.faults = faults;
  }

  createTopic(name: string, partitions: number): void {
    const logs = Array.from({ length: partitions }, emptyLog);
    this.topics.set(name, { name, id: `id${this.#ids++}`, logs });
  }

  addPartition(name: string): void {
    this.topics.get(name)!.logs.push(emptyLog());
    this.rebalance();
  }

  /** The end of the log, as its leader says. */
  endOf(where: TopicPartition): number {
    const { end, start } = this.log(where)!;
    const lag = this.lags.get(key(where));
    return lag === undefined || lag.until <= this.scheduler.now ? end : Math.max(start, Math.min(end, lag.end));
  }

  log(where: TopicPartition): SimLog | undefined {
    return this.topics.get(where.topic)?.logs[where.partition];
  }

  append(where: TopicPartition, value: Omit<SourceRecord, 'offset' | 'timestampMs'> | null): number {
    const log = this.log(where)!;
    const offset = log.end++;
    if (value !== null) log.records.push({ ...value, offset, timestampMs: this.scheduler.now });
    return offset;
  }

  /** Retention, or an operator, takes what lies below. */
  trim(where: TopicPartition, start: number): void {
    const log = this.log(where)!;
    log.start = Math.max(log.start, Math.min(start, log.end));
  }

  /** An unclean election: the new leader lacks the newest records. */
  cut(where: TopicPartition, end: number): void {
    const log = this.log(where)!;
    log.rewritten.push({ from: end, to: log.end });
    log.end = end;
    while (log.records.length > 0 && log.records[log.records.length - 1]!.offset >= end) log.records.pop();
  }

  join(source: SimSource): void {
    this.#members.add({ source, joinedAt: this.scheduler.now });
    this.rebalance();
  }

  leave(source: SimSource): void {
    for (const member of this.#members) if (member.source === source) this.#members.delete(member);
    this.rebalance();
  }

  isMember(source: SimSource): boolean {
    return [...this.#members].some((member) => member.source === source);
  }

  /** A process died or stands still: the coordinator notices after the session timeout. */
  watch(source: SimSource): void {
    this.scheduler.in(this.faults.sessionTimeoutMs, () => {
      if (this.isMember(source) && (!source.process.isAlive || source.process.isStopped)) this.leave(source);
    });
  }

  rebalance(): void {
    if (this.#rebalancing) return;
    this.#rebalancing = true;
    this.scheduler.in(50 + this.random() * 500, () => {
      this.#rebalancing = false;
      this.generation++;
      const members = [...this.#members];
      const shares = new Map<SimSource, TopicPartition[]>(members.map(({ source }) => [source, []]));
      let turn = Math.floor(this.random() * 8);
      for (const { name, logs } of this.topics.values()) {
        for (let partition = 0; partition < logs.length && members.length > 0; partition++) {
          const kept = members.find(({ source }) => source.holds({ topic: name, partition }));
          const member = kept !== undefined && this.random() < 0.7 ? kept : members[turn++ % members.length]!;
          shares.get(member.source)!.push({ topic: name, partition });
        }
      }
      for (const [source, partitions] of shares) source.tell(this.generation, partitions, this.random() * 1500);
    });
  }

  get memberCount(): number {
    return this.#members.size;
  }

  /** A commit from outside, which the coordinator takes only while the group is empty. */
  commitUnheld(requests: readonly CommitRequest[]): void {
    if (this.#members.size > 0) throw new SimSourceError('STALE_GENERATION');
    for (const request of requests)
      this.commits.set(key(request), { offset: request.offset, metadata: request.metadata });
  }

  applyCommit(source: SimSource, generation: number, requests: readonly CommitRequest[]): void {
    if (generation !== this.generation || !this.isMember(source)) throw new SimSourceError('STALE_GENERATION');
    for (const request of requests) {
      this.onCommit(request, this.commits.get(key(request)));
      this.commits.set(key(request), { offset: request.offset, metadata: request.metadata });
    }
  }
}

const emptyLog = (): SimLog => ({ start: 0, end: 0, records: [], rewritten: [] });

type Fetching = { position: number; paused: boolean; moves: number };

export class SimSource implements RecordSource {
  readonly process: SimProcess;
  readonly #kafka: SimKafka;
  #handler: SourceHandler | null = null;
  #generation = -1;
  #quiet = false;
  #partitions = new Map<string, Fetching>();

  constructor(kafka: SimKafka, process: SimProcess) {
    this.#kafka = kafka;
    this.process = process;
  }

  holds(where: TopicPartition): boolean {
    return this.#partitions.has(key(where));
  }

  async start(handler: SourceHandler): Promise<void> {
    this.#handler = handler;
    this.process.in(this.#random() * 100, () => this.#kafka.join(this));
  }

  async quiesce(): Promise<void> {
    this.#quiet = true;
  }

  async stop(): Promise<void> {
    this.#quiet = true;
    this.#handler = null;
    this.#kafka.leave(this);
  }

  /** The coordinator's word of a new generation, on its way for `ms`. */
  tell(generation: number, partitions: readonly TopicPartition[], ms: number): void {
    this.process.in(ms, () => {
      if (this.#quiet || this.#handler === null || generation <= this.#generation) return;
      this.#generation = generation;
      const before = this.#partitions;
      this.#partitions = new Map();
      for (const where of partitions) {
        const committed = this.#kafka.commits.get(key(where))?.offset ?? 0;
        this.#partitions.set(key(where), {
          position: committed,
          paused: before.get(key(where))?.paused ?? false,
          moves: 0,
        });
      }
      this.#handler.assigned(generation, partitions);
      for (const where of partitions) this.#fetchLater(generation, where);
    });
  }

  /** A member that was thrown out hears of it, and joins again. */
  discover(): void {
    this.process.in(this.#random() * 1000, () => {
      if (this.#quiet || this.#handler === null || this.#kafka.isMember(this)) return;
      this.#handler.lost();
      this.process.in(this.#random() * 500, () => {
        if (!this.#kafka.isMember(this) && !this.#quiet) this.#kafka.join(this);
      });
    });
  }

  seek(where: TopicPartition, offset: number): void {
    const fetching = this.#partitions.get(key(where));
    if (fetching === undefined) return;
    fetching.position = offset;
    fetching.moves++;
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const where of partitions) this.#setPaused(where, true);
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const where of partitions) this.#setPaused(where, false);
  }

  commits(partitions: readonly TopicPartition[]): Promise<readonly GroupCommit[]> {
    return this.#call(() =>
      partitions.map((where) => {
        const commit = this.#kafka.commits.get(key(where));
        const offset = commit === undefined || commit.offset < 0 ? null : commit.offset;
        return { ...where, offset, metadata: commit?.metadata ?? '' };
      }),
    );
  }

  commit(generation: number, requests: readonly CommitRequest[]): Promise<void> {
    return this.#call(() => this.#kafka.applyCommit(this, generation, requests));
  }

  topics(names: readonly string[]): Promise<readonly TopicInfo[]> {
    return this.#call(() =>
      names.flatMap((name) => {
        const topic = this.#kafka.topics.get(name);
        return topic === undefined ? [] : [{ name, id: topic.id, partitions: topic.logs.length }];
      }),
    );
  }

  ranges(partitions: readonly TopicPartition[]): Promise<readonly LogRange[]> {
    return this.#call(() =>
      partitions.flatMap((where) => {
        const log = this.#kafka.log(where);
        return log === undefined ? [] : [{ ...where, start: log.start, end: this.#kafka.endOf(where) }];
      }),
    );
  }

  clusterId(): Promise<string> {
    return this.#call(() => 'sim');
  }

  #random(): number {
    return this.#kafka.random();
  }

  #setPaused(where: TopicPartition, paused: boolean): void {
    const fetching = this.#partitions.get(key(where));
    if (fetching !== undefined) fetching.paused = paused;
  }

  /** A request and its answer, either of which may be lost; the caller is told so after a while. */
  #call<T>(serve: () => T): Promise<T> {
    const { scheduler, faults } = this.#kafka;
    return new Promise((resolve, reject) => {
      const fate = this.#random();
      const fail = (): void => reject(new SimSourceError('SOURCE_UNAVAILABLE'));
      if (this.#kafka.isAway || fate < faults.callFailure / 2) {
        this.process.in(500, fail);
        return;
      }
      scheduler.in(1 + this.#random() * 20, () => {
        let deliver: () => void;
        try {
          const answer = serve();
          deliver = () => resolve(answer);
        } catch (error) {
          deliver = () => reject(error);
        }
        if (fate < faults.callFailure) this.process.in(500, fail);
        else this.process.in(1 + this.#random() * 20, deliver);
      });
    });
  }

  #fetchLater(generation: number, where: TopicPartition): void {
    this.process.in(20 + this.#random() * 200, () => this.#fetch(generation, where));
  }

  #fetch(generation: number, where: TopicPartition): void {
    const fetching = this.#partitions.get(key(where));
    if (fetching === undefined || generation !== this.#generation || this.#quiet) return;
    const log = this.#kafka.log(where);
    if (fetching.paused || log === undefined || this.#kafka.isAway) {
      this.#fetchLater(generation, where);
      return;
    }
    const { position, moves } = fetching;
    const end = this.#kafka.endOf(where);
    if (position < log.start || position > end) {
      this.#handler!.outOfRange(where);
      this.#fetchLater(generation, where);
      return;
    }
    if (position === end) {
      this.#fetchLater(generation, where);
      return;
    }
    const batch = this.#batchAt(where, log, position, end);
    const slow = this.#random() < 0.05 ? this.#random() * 4000 : 0;
    this.process.in(1 + slow + this.#random() * 30, () => {
      const current = this.#partitions.get(key(where));
      const isStale = current !== fetching || fetching.moves !== moves;
      if (this.#quiet || this.#handler === null || current === undefined) return;
      if (isStale && this.#random() >= this.#kafka.faults.staleFetch) {
        if (current === fetching) this.#fetchLater(generation, where);
        return;
      }
      void this.#hand(generation, batch, fetching, this.#kafka.faults.isCareless ? fetching.moves : moves);
    });
  }

  async #hand(generation: number, batch: SourceBatch, fetching: Fetching, moves: number): Promise<void> {
    const control: BatchControl = {
      heartbeat: async () => {},
      isCurrent: () => this.#generation === generation && fetching.moves === moves,
    };
    const taken = await this.#handler!.batch(batch, control);
    if (this.#generation !== generation || this.#partitions.get(key(batch)) !== fetching) return;
    if (taken && fetching.moves === moves) fetching.position = batch.next;
    this.#fetchLater(generation, batch);
  }

  #batchAt(where: TopicPartition, log: SimLog, position: number, end: number): SourceBatch {
    const size = 1 + Math.floor(this.#random() * 12);
    const next = Math.min(end, position + size);
    const records = recordsIn(log, position, next);
    return { ...where, fetchedFrom: position, next, highWatermark: end, records };
  }
}

/** Records with offsets in [from, to). */
export const recordsIn = (log: SimLog, from: number, to: number): SourceRecord[] =>
  log.records.slice(firstAt(log, from), firstAt(log, to));

/** Place of the first record with an offset of at least `from`. */
export const firstAt = ({ records }: SimLog, from: number): number => {
  let low = 0;
  for (let high = records.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (records[middle]!.offset < from) low = middle + 1;
    else high = middle;
  }
  return low;
};
