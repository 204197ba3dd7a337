/** What each kind of fault does to the fleet, to Kafka and to the ledger. Every fault draws from numbers of its own. */
import { markerField } from '../../src/ledger/keys.ts';
import { commitMetadata, readCommitMetadata } from '../../src/ledger/partition.ts';
import type { Fleet } from './fleet.ts';
import { Operator } from './operator.ts';
import type { Trouble } from './plan.ts';
import { type Random, seededRandom } from './scheduler.ts';
import type { SimLog } from './sim-kafka.ts';
import { NODES, type Stage, TOPIC } from './stage.ts';

export class Faults {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  /** Appends a record to a partition of the topic. */
  readonly #append: (partition: number, random: Random) => void;
  readonly #choices: readonly (() => void)[];
  readonly #operator: Operator;
  #random: Random = () => 0;

  constructor(stage: Stage, fleet: Fleet, append: (partition: number, random: Random) => void) {
    this.#stage = stage;
    this.#fleet = fleet;
    this.#append = append;
    this.#operator = new Operator(stage, fleet);
    const { troubles, theme, publishing } = stage.plan;
    const choices = [...troubles].map((trouble) => this.#kinds[trouble]);
    const ofTheme = this.#themes[theme];
    if (ofTheme !== undefined) choices.push(ofTheme, ofTheme);
    // What was shown and then lost is what publishing has to fear.
    if (publishing && troubles.has('lost writes')) choices.push(this.#kinds['lost writes']);
    this.#choices = choices;
  }

  /** One fault of any kind that the plan has. */
  strike(random: Random): void {
    const choice = this.#choices[Math.floor(random() * this.#choices.length)];
    this.#random = random;
    choice?.();
  }

  readonly #kinds: Readonly<Record<Trouble, () => void>> = {
    kill: () => {
      const replica = this.#fleet.any(this.#random);
      if (replica === undefined) return;
      this.#stage.fault('kill', replica.process.name);
      this.#startLater(this.#fleet.kill(replica));
    },
    stop: () => this.#freeze('stop'),
    suspend: () => this.#freeze('suspend'),
    twin: () => {
      if (this.#fleet.replicas.length >= 5 || this.#operator.isStopping) return;
      this.#stage.fault('twin');
      this.#fleet.start(this.#fleet.replicas.length);
    },
    drain: () => {
      const replica = this.#fleet.any(this.#random);
      if (replica === undefined) return;
      this.#stage.fault('drain', replica.process.name);
      void this.#fleet.drain(replica).then(() => {
        const index = this.#fleet.replicas.indexOf(replica);
        if (index < 0) return;
        this.#fleet.replicas[index] = null;
        this.#startLater(index);
      });
    },
    'redis away': () => {
      const { random, away, scheduler, fault } = this.#tools();
      const node = Math.floor(random() * NODES);
      fault('redis away', `node ${node}`);
      away.add(node);
      scheduler.in(random() * 8000, () => void away.delete(node));
    },
    // At times a moment of them, at times a long while.
    'lost writes': () => {
      const { random, scheduler, fault } = this.#tools();
      const node = Math.floor(random() * NODES);
      const at =
        scheduler.now -
        (random() < (this.#stage.plan.publishing ? 0.6 : 0.3) ? random() * scheduler.now : random() * 5000);
      fault('lost writes', `node ${node} back to ${Math.round(at)}`);
      if (random() < 0.3) this.#stage.stepServerClock(-random() * 3000);
      this.#stage.rollBack(node, at);
    },
    // To before what it said, or far ahead: leases end early then, holds and births are told by the change counter.
    'redis clock': () => {
      const { random, fault } = this.#tools();
      const ms = random() < 0.5 ? -random() * 20_000 : random() * 5_000;
      fault('redis clock', `steps by ${Math.round(ms)} ms`);
      this.#stage.stepServerClock(ms);
    },
    'clock step': () => {
      const { random, fault } = this.#tools();
      const replica = this.#fleet.any(random);
      if (replica === undefined) return;
      // Back, beside a suspension, which stops the other clock, no lease can be judged: a machine must not do that.
      const drawn = (random() - 0.5) * 40_000;
      const ms = replica.process.wasSuspended ? Math.abs(drawn) : drawn;
      fault('clock step', `${replica.process.name} by ${Math.round(ms)} ms`);
      replica.process.stepWall(ms);
    },
    'kafka away': () => {
      const { random, kafka, scheduler, fault } = this.#tools();
      fault('kafka away');
      kafka.isAway = true;
      scheduler.in(random() * 5000, () => {
        kafka.isAway = false;
      });
    },
    'leader lags': () => {
      const { random, kafka, scheduler, fault } = this.#tools();
      const { logs } = kafka.topics.get(TOPIC)!;
      const partition = Math.floor(random() * logs.length);
      const end = Math.max(0, logs[partition]!.end - Math.floor(random() * 20));
      fault('leader lags', `partition ${partition} at ${end}`);
      kafka.lags.set(`${partition}/${TOPIC}`, { until: scheduler.now + random() * 6000, end });
      if (random() < 0.5) kafka.rebalance();
    },
    rebalance: () => {
      this.#stage.fault('rebalance');
      this.#stage.kafka.rebalance();
    },
    'commit moved': () => this.#moveCommits(),
    'commit expired': () => this.#expireCommits(),
    'partition added': () => {
      const { kafka, fault } = this.#tools();
      if (kafka.topics.get(TOPIC)!.logs.length >= 4) return;
      fault('partition added');
      kafka.addPartition(TOPIC);
      this.#stage.noteTopic();
    },
    'topic remade': () => this.#remake(),
  };

  readonly #themes: Readonly<Record<string, (() => void) | undefined>> = {
    seek: () => this.#operator.act(seededRandom(Math.floor(this.#random() * 2 ** 32))),
    retention: () =>
      this.#eachLog('retention', (partition, log) => {
        const { random, kafka } = this.#tools();
        kafka.trim({ topic: TOPIC, partition }, log.start + Math.floor(random() * (log.end - log.start + 1)));
      }),
    cut: () =>
      this.#eachLog('cut', (partition, log) => {
        const { random, kafka } = this.#tools();
        const { end } = log;
        kafka.cut({ topic: TOPIC, partition }, Math.max(log.start, end - Math.floor(random() * 30)));
        // It grows again before anybody looks: up to where it was, or beyond.
        const grown = random() < 0.4 ? end - log.end + Math.floor((random() - 0.4) * 20) : 0;
        for (let i = 0; i < grown; i++) this.#append(partition, random);
      }),
    loss: () => {
      const { random, fault } = this.#tools();
      if (this.#stage.memory === null) return;
      const nodes = random() < 0.5 ? [0, 1] : [Math.floor(random() * NODES)];
      fault('loss', `of ${nodes.length} nodes`);
      for (const node of nodes) this.#stage.flush(node);
    },
    // Takes effect as replicas are started again.
    limits: () => {
      const { random, fault } = this.#tools();
      this.#stage.limit = Math.floor(random() * 20);
      fault('limit', String(this.#stage.limit));
    },
  };

  #tools() {
    const { scheduler, kafka, away } = this.#stage;
    return { random: this.#random, scheduler, kafka, away, fault: this.#stage.fault.bind(this.#stage) };
  }

  #startLater(index: number): void {
    this.#stage.scheduler.in(this.#random() * 8000, () => {
      if (this.#operator.isStopping) this.#startLater(index);
      else if (this.#fleet.replicas[index] === null) this.#fleet.start(index);
    });
  }

  /** SIGSTOP and SIGCONT, or a suspended machine whose monotonic clock stands still and whose wall clock may step. */
  #freeze(kind: 'stop' | 'suspend'): void {
    const { random, kafka } = this.#tools();
    const replica = this.#fleet.any(this.#random);
    if (replica === undefined) return;
    const ms = random() * 20_000;
    this.#stage.fault(kind, `${replica.process.name} for ${Math.round(ms)}`);
    if (kind === 'stop' || replica.process.wentBack) replica.process.stopFor(ms);
    else replica.process.suspendFor(ms);
    if (kind === 'stop' && random() < 0.2) replica.process.stepWall((random() - 0.5) * 20_000);
    kafka.watch(replica.source);
    replica.source.discover();
  }

  /** An operator resets the group, or a coordinator lost commits: no effect on what is counted. */
  #moveCommits(): void {
    const { random, kafka } = this.#tools();
    for (const [key, commit] of kafka.commits) {
      if (random() < 0.5) continue;
      const note = readCommitMetadata(commit.metadata);
      if (note === null) continue;
      const partition = Number(key.slice(0, key.indexOf('/')));
      const isOperator = this.#isEverywhere(partition) && random() < 0.5;
      // Kafka's tools stay within the log.
      const end = kafka.topics.get(TOPIC)!.logs[partition]?.end ?? 0;
      const reach = isOperator ? Math.max(commit.offset, Math.min(commit.offset + 40, end)) : commit.offset;
      const offset = Math.max(Math.floor(random() * (reach + 1)), note.start ?? 0);
      this.#stage.fault(isOperator ? 'commit reset' : 'commit moved', `${key} to ${offset}`);
      this.#stage.noteCommit(markerField(note.topicId, partition), offset);
      kafka.commits.set(key, { offset, metadata: isOperator ? '' : commitMetadata(note) });
    }
  }

  #expireCommits(): void {
    const { random, kafka } = this.#tools();
    for (const key of [...kafka.commits.keys()]) {
      if (random() < 0.5 || !this.#isEverywhere(Number(key.slice(0, key.indexOf('/'))))) continue;
      this.#stage.fault('commit expired', key);
      kafka.commits.delete(key);
    }
  }

  /** All shards have the marker, so that a commit is not needed to know where the partition is. */
  #isEverywhere(partition: number): boolean {
    const field = markerField(this.#stage.kafka.topics.get(TOPIC)!.id, partition);
    return this.#stage.shadow.shards.every((state) => state?.markers.has(field));
  }

  /** The new log may at once be longer than the old position, and nobody is told for up to 10 s. */
  #remake(): void {
    const { random, kafka, scheduler, fault } = this.#tools();
    if (random() < 0.6) return;
    const ends = kafka.topics.get(TOPIC)!.logs.map(({ end }) => end);
    const partitions = 1 + Math.floor(random() * 3);
    fault('topic remade', `${partitions} partitions`);
    kafka.createTopic(TOPIC, partitions);
    this.#stage.noteTopic();
    // The coordinator forgets the commits of a topic that is deleted, sooner or later.
    const isForgotten = random() < 0.5;
    for (const [key, { metadata }] of kafka.commits) if (isForgotten || metadata === '') kafka.commits.delete(key);
    if (random() < 0.6) {
      const length = Math.max(...ends) + 20;
      for (let partition = 0; partition < partitions; partition++)
        for (let i = 0; i < length; i++) this.#append(partition, random);
    }
    scheduler.in(random() < 0.3 ? 0 : random() * 10_000, () => kafka.rebalance());
  }

  #eachLog(kind: string, act: (partition: number, log: SimLog) => void): void {
    this.#stage.fault(kind);
    this.#stage.kafka.topics.get(TOPIC)!.logs.forEach((log, partition) => {
      act(partition, log);
    });
  }
}
