/** The faults: when they come, and what they do to the fleet, to Kafka and to the ledger. */
import { markerField } from '../../src/ledger/keys.ts';
import { commitMetadata, readCommitMetadata } from '../../src/ledger/partition.ts';
import type { Fleet } from './fleet.ts';
import type { Trouble } from './plan.ts';
import { NODES, type Stage, TOPIC } from './stage.ts';
import { anyRecord, bombRecord, madeUpRecord, type SimRecord } from './traffic.ts';

export class Troubles {
  readonly #stage: Stage;
  readonly #fleet: Fleet;
  records = 0;

  constructor(stage: Stage, fleet: Fleet) {
    this.#stage = stage;
    this.#fleet = fleet;
  }

  /** Both go on until then. */
  begin(until: number): void {
    this.#again(until, 0, 400, () => this.#burst());
    const kinds = [...this.#stage.plan.troubles].map((trouble) => this.#kinds[trouble]);
    const theme = this.#themes[this.#stage.plan.theme];
    if (theme !== undefined) kinds.push(theme, theme);
    // What was shown and then lost is what publishing has to fear.
    if (this.#stage.plan.publishing && this.#stage.plan.troubles.has('lost writes'))
      kinds.push(this.#kinds['lost writes']);
    if (kinds.length === 0) return;
    this.#again(until, 500, 6500, () => kinds[Math.floor(this.#stage.random() * kinds.length)]!());
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

  #again(until: number, leastMs: number, mostMs: number, act: () => void): void {
    const { scheduler, random } = this.#stage;
    const next = (): void => {
      if (scheduler.now >= until) return;
      act();
      scheduler.in(leastMs + random() * (mostMs - leastMs), next);
    };
    scheduler.in(random() * mostMs, next);
  }

  #burst(): void {
    const { random, kafka } = this.#stage;
    const { logs } = kafka.topics.get(TOPIC)!;
    const partition = Math.floor(random() * logs.length);
    if (random() < 0.03) {
      // Transactions without records: longer than a fetch.
      for (let i = 0; i < 20; i++) kafka.append({ topic: TOPIC, partition }, null);
      return;
    }
    const burst = 1 + Math.floor(random() * 6);
    for (let i = 0; i < burst; i++) {
      const isControl = random() < 0.05;
      kafka.append({ topic: TOPIC, partition: Math.floor(random() * logs.length) }, isControl ? null : this.#record());
    }
  }

  #record(): SimRecord {
    const { random, plan, scheduler } = this.#stage;
    this.records++;
    if (plan.theme === 'tenants' && random() < 0.3) return madeUpRecord(random);
    if (plan.theme === 'bomb' && random() < 0.5) return bombRecord(random);
    // Where births are looked at, they come all the time.
    const grown = plan.publishing ? Math.ceil((scheduler.now / plan.trafficMs) * plan.services) : plan.services;
    return anyRecord(random, Math.max(2, grown));
  }

  readonly #kinds: Readonly<Record<Trouble, () => void>> = {
    kill: () => {
      const replica = this.#fleet.any();
      if (replica === undefined) return;
      this.#stage.fault('kill', replica.process.name);
      this.#startLater(this.#fleet.kill(replica));
    },
    stop: () => this.#freeze('stop'),
    suspend: () => this.#freeze('suspend'),
    twin: () => {
      if (this.#fleet.replicas.length >= 5) return;
      this.#stage.fault('twin');
      this.#fleet.start(this.#fleet.replicas.length);
    },
    drain: () => {
      const replica = this.#fleet.any();
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
      if (random() < 0.3) this.#stage.serverSkewUs -= random() * 3e6;
      this.#stage.rollBack(node, at);
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
    retention: () =>
      this.#eachLog('retention', (partition, log) => {
        const { random, kafka } = this.#stage;
        kafka.trim({ topic: TOPIC, partition }, log.start + Math.floor(random() * (log.end - log.start + 1)));
      }),
    cut: () =>
      this.#eachLog('cut', (partition, log) => {
        const { random, kafka } = this.#stage;
        kafka.cut({ topic: TOPIC, partition }, Math.max(log.start, log.end - Math.floor(random() * 30)));
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
    const { random, scheduler, kafka, away } = this.#stage;
    return { random, scheduler, kafka, away, fault: this.#stage.fault.bind(this.#stage) };
  }

  #startLater(index: number): void {
    this.#stage.scheduler.in(this.#stage.random() * 8000, () => {
      if (this.#fleet.replicas[index] === null) this.#fleet.start(index);
    });
  }

  /** SIGSTOP and SIGCONT, or a suspended machine whose monotonic clock stands still and whose wall clock may step. */
  #freeze(kind: 'stop' | 'suspend'): void {
    const { random, kafka } = this.#stage;
    const replica = this.#fleet.any();
    if (replica === undefined) return;
    const ms = random() * 20_000;
    this.#stage.fault(kind, `${replica.process.name} for ${Math.round(ms)}`);
    if (kind === 'stop') replica.process.stopFor(ms);
    else replica.process.suspendFor(ms);
    if (kind === 'stop' && random() < 0.2) replica.process.wallSkewMs += (random() - 0.5) * 20_000;
    kafka.watch(replica.source);
    replica.source.discover();
  }

  /** An operator resets the group, or a coordinator lost commits: no effect on what is counted. */
  #moveCommits(): void {
    const { random, kafka } = this.#stage;
    for (const [key, commit] of kafka.commits) {
      if (random() < 0.5) continue;
      const note = readCommitMetadata(commit.metadata);
      if (note === null) continue;
      const partition = Number(key.slice(0, key.indexOf('/')));
      const isOperator = this.#isEverywhere(partition) && random() < 0.5;
      const reach = isOperator ? commit.offset + 40 : commit.offset;
      const offset = Math.max(Math.floor(random() * (reach + 1)), note.start ?? 0);
      this.#stage.fault('commit moved', `${key} to ${offset}${isOperator ? ' by an operator' : ''}`);
      this.#stage.noteCommit(markerField(note.topicId, partition), offset);
      kafka.commits.set(key, { offset, metadata: isOperator ? '' : commitMetadata(note) });
    }
  }

  #expireCommits(): void {
    const { random, kafka } = this.#stage;
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
        for (let i = 0; i < length; i++) kafka.append({ topic: TOPIC, partition }, this.#record());
    }
    scheduler.in(random() < 0.3 ? 0 : random() * 10_000, () => kafka.rebalance());
  }

  #eachLog(kind: string, act: (partition: number, log: { start: number; end: number }) => void): void {
    this.#stage.fault(kind);
    this.#stage.kafka.topics.get(TOPIC)!.logs.forEach((log, partition) => {
      act(partition, log);
    });
  }
}
