/** One generation of the group: what is held in it, read until something ends it, and kept alive meanwhile. */
import type { ClusterCalls } from './cluster-calls.ts';
import type { Connections } from './connections.ts';
import { asError, type SourceBroken } from './errors.ts';
import { HeldPartitions } from './held.ts';
import type { SourceLogger } from './log-bridge.ts';
import type { Joined, Membership } from './membership.ts';
import type { SourceHandler, TopicInfo } from './port.ts';
import { Reader } from './reader.ts';
import type { FetchLimits } from './requests.ts';
import { Signal } from './signal.ts';
import { unmatched } from './topic-names.ts';
import type { SourceTrouble } from './trouble.ts';

export type GenerationOptions = {
  readonly reading: Connections;
  readonly calls: ClusterCalls;
  readonly membership: Membership;
  readonly joined: Joined;
  /** The topics that are watched, as they were at the join. */
  readonly known: readonly TopicInfo[];
  /** What was configured: any of it may appear. */
  readonly topics: readonly string[];
  readonly handler: SourceHandler;
  readonly running: Map<string, Promise<unknown>>;
  readonly sessionTimeoutMs: number;
  readonly topicsEveryMs: number;
  readonly limits: FetchLimits;
  readonly maxBatchBytes: number;
  readonly logger: SourceLogger;
  readonly watch: (trouble: SourceTrouble) => void;
};

export type GenerationEnd =
  | { readonly kind: 'rebalance' | 'topics_changed' | 'evicted' | 'stopped' }
  | { readonly kind: 'fault'; readonly error: SourceBroken };

const SLOWEST_HEARTBEAT_MS = 3_000;
const FASTEST_HEARTBEAT_MS = 50;
const HEARTBEATS_IN_SESSION = 10;
/** Between two looks at the topics, however many brokers say that something is odd. */
const LOOK_AGAIN_MS = 500;

export class Generation {
  readonly held: HeldPartitions;
  readonly reader: Reader;
  readonly #options: GenerationOptions;
  readonly #heartbeatMs: number;
  readonly #beats = new Signal();
  readonly #looks = new Signal();
  #end: GenerationEnd | null = null;
  #ended: (end: GenerationEnd) => void = () => {};
  #isClosed = false;
  #lastAliveMs = performance.now();
  #lastBeatMs = performance.now();
  #lastLookMs = 0;
  #lookDueMs = Number.POSITIVE_INFINITY;
  #beating: Promise<void> | null = null;

  constructor(options: GenerationOptions) {
    this.#options = options;
    const share = options.sessionTimeoutMs / HEARTBEATS_IN_SESSION;
    this.#heartbeatMs = Math.min(SLOWEST_HEARTBEAT_MS, Math.max(FASTEST_HEARTBEAT_MS, share));
    this.held = new HeldPartitions(options.joined.partitions);
    this.reader = new Reader({
      connections: options.reading,
      held: this.held,
      handler: options.handler,
      limits: options.limits,
      maxBatchBytes: options.maxBatchBytes,
      logger: options.logger,
      watch: options.watch,
      running: options.running,
      isMember: () => this.#end === null && performance.now() - this.#lastAliveMs < options.sessionTimeoutMs,
      heartbeat: () => (performance.now() - this.#lastBeatMs < this.#heartbeatMs ? Promise.resolve() : this.#beat()),
      topicsChanged: () => this.#lookSoon(),
      fault: (error) => this.end({ kind: 'fault', error }),
    });
  }

  /** Resolves with the first thing that ended it. The heart goes on beating until `close`. */
  run(): Promise<GenerationEnd> {
    const ended = new Promise<GenerationEnd>((resolve) => {
      this.#ended = resolve;
      if (this.#end !== null) resolve(this.#end);
    });
    void this.#keepBeating();
    void this.#watchTopics();
    void this.reader.run();
    return ended;
  }

  end(reason: GenerationEnd | 'stopped'): void {
    this.reader.stop();
    if (this.#end !== null) return;
    this.#end = reason === 'stopped' ? { kind: 'stopped' } : reason;
    if (this.#end.kind === 'stopped') this.#isClosed = true;
    this.#beats.fire();
    this.#looks.fire();
    this.#ended(this.#end);
  }

  close(): void {
    this.#isClosed = true;
    this.#beats.fire();
    this.#looks.fire();
  }

  async #keepBeating(): Promise<void> {
    while (!this.#isClosed) {
      await this.#beats.wait(this.#lastBeatMs + this.#heartbeatMs - performance.now());
      if (!this.#isClosed && performance.now() - this.#lastBeatMs >= this.#heartbeatMs) await this.#beat();
    }
  }

  #beat(): Promise<void> {
    this.#beating ??= this.#beatOnce().finally(() => {
      this.#beating = null;
    });
    return this.#beating;
  }

  async #beatOnce(): Promise<void> {
    const { membership, sessionTimeoutMs, logger } = this.#options;
    const sentMs = performance.now();
    this.#lastBeatMs = sentMs;
    try {
      const pulse = await membership.heartbeat();
      if (pulse === 'evicted') return this.end({ kind: 'evicted' });
      this.#lastAliveMs = sentMs;
      // One that has stopped reading stays until it leaves: its last commits are still good in this generation.
      if (pulse === 'rebalancing' && !this.reader.isStopped) this.end({ kind: 'rebalance' });
    } catch (error) {
      if (this.#isClosed) return;
      const silentMs = Math.round(performance.now() - this.#lastAliveMs);
      logger.debug({ error: asError(error).message, silentMs }, 'a heartbeat was not answered');
      if (silentMs >= sessionTimeoutMs) this.end({ kind: 'evicted' });
    }
  }

  #lookSoon(): void {
    this.#lookDueMs = Math.min(this.#lookDueMs, this.#lastLookMs + LOOK_AGAIN_MS);
    this.#looks.fire();
  }

  async #watchTopics(): Promise<void> {
    const { topicsEveryMs, calls, logger, topics, known, joined, watch } = this.#options;
    // New partitions and other ids are the leader's to see; whether there is something to subscribe to, each member's own.
    const print = joined.planned === null ? namesOf : printOf;
    const names = [...new Set([...topics, ...known.map(({ name }) => name)])];
    this.#lookDueMs = performance.now() + topicsEveryMs;
    while (this.#end === null) {
      const early = this.#lookDueMs - performance.now();
      if (early > 0) {
        await this.#looks.wait(early);
        continue;
      }
      this.#lastLookMs = performance.now();
      this.#lookDueMs = this.#lastLookMs + topicsEveryMs;
      try {
        const found = await calls.topics(names);
        if (unmatched(topics, found).length > 0) watch('topic_missing');
        const isChanged = print(found) !== print(known);
        if (isChanged && !this.reader.isStopped) this.end({ kind: 'topics_changed' });
      } catch (error) {
        logger.debug({ error: asError(error).message }, 'the topics cannot be looked at');
      }
    }
  }
}

const printOf = (topics: readonly TopicInfo[]): string =>
  topics
    .map(({ name, id, partitions }) => `${name} ${id} ${partitions}`)
    .sort()
    .join('\n');

const namesOf = (topics: readonly TopicInfo[]): string =>
  topics
    .map(({ name }) => name)
    .sort()
    .join('\n');
