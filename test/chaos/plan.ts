/** What a seed does: which faults, in which order, two at a time or alone, for how long. Pure: the same seed, the same plan. */
import { type Random, seeded } from '../support/random.ts';

export const REDIS_FORMS = ['single', 'sentinel', 'cluster'] as const;
export type RedisForm = (typeof REDIS_FORMS)[number];

export const REPLICA_FAULTS = [
  'replica-killed',
  'replica-asleep',
  'rolling-restart',
  'limit-changed',
  'dimensions-changed',
] as const;
export const BROKER_FAULTS = [
  'broker-killed',
  'broker-stopped',
  'leaders-moved',
  'kafka-slow',
  'kafka-thin',
  'kafka-cut',
  'kafka-half-open',
] as const;
export const REDIS_FAULTS = {
  single: [
    'redis-killed',
    'redis-asleep',
    'redis-forgets',
    'redis-full-disk',
    'redis-slow',
    'redis-thin',
    'redis-cut',
    'redis-half-open',
  ],
  sentinel: ['failover-losing-writes', 'failover-asked', 'redis-asleep'],
  cluster: ['slot-migration', 'node-comes-back-older', 'node-killed'],
} as const;
export const TRAFFIC_FAULTS = ['aborted-transactions', 'cardinality-bomb', 'partitions-added'] as const;
/** These need the stage for themselves: what must be counted is settled before they begin. */
export const LONE_FAULTS = ['commits-moved', 'topic-made-again', 'unclean-election'] as const;
/** Only in a plan of one's own: what it makes of the numbers in Prometheus would hide what other faults make of them. */
export const OWN_FAULTS = ['ledger-lost'] as const;
/** Not faults but the ground that a whole seed stands on. */
export const CONDITIONS = ['clocks-askew', 'compacted-topic'] as const;

export type ReplicaFault = (typeof REPLICA_FAULTS)[number];
export type BrokerFault = (typeof BROKER_FAULTS)[number];
export type RedisFault = (typeof REDIS_FAULTS)[RedisForm][number];
export type TrafficFault = (typeof TRAFFIC_FAULTS)[number];
export type LoneFault = (typeof LONE_FAULTS)[number] | (typeof OWN_FAULTS)[number];
export type FaultName = ReplicaFault | BrokerFault | RedisFault | TrafficFault | LoneFault;
export type Condition = (typeof CONDITIONS)[number];

/** What a fault leaves to chance. */
export type Fault = {
  readonly name: FaultName;
  /** How long it lasts, where it is something that lasts, ms. */
  readonly holdMs: number;
  /** Decides whom it hits and similar. */
  readonly dice: number;
};

/** Faults that begin together, after a while of calm traffic. */
export type Step = { readonly calmMs: number; readonly faults: readonly Fault[] };

export type Plan = {
  readonly seed: number;
  readonly form: RedisForm;
  readonly flavour: 'redis' | 'valkey';
  readonly conditions: readonly Condition[];
  readonly steps: readonly Step[];
};

/** Of each kind, how many a seed takes. */
const TAKES = { replica: 1, broker: 2, traffic: 1, lone: 1 } as const;
const REDIS_TAKES: Readonly<Record<RedisForm, number>> = { single: 4, sentinel: 2, cluster: 2 };
/** Lost writes and a dead broker at once are one trouble too many only for the writer of the truth: aborted transactions need quiet brokers. */
const NEEDS_BROKERS: ReadonlySet<FaultName> = new Set(['aborted-transactions', 'partitions-added', 'cardinality-bomb']);
const SECOND = 1_000;

export function planOf(seed: number): Plan {
  const random = seeded(seed * 7919);
  const form = REDIS_FORMS[(seed - 1 + REDIS_FORMS.length) % REDIS_FORMS.length]!;
  const flavour = random.pick(['redis', 'valkey'] as const);
  const conditions = CONDITIONS.filter(() => random.chance(0.4));
  const ofForm = Math.floor((seed - 1) / REDIS_FORMS.length);
  const faults: FaultName[] = [
    ...dealt(REPLICA_FAULTS, TAKES.replica, seed),
    ...dealt(BROKER_FAULTS, TAKES.broker, seed),
    ...dealt<RedisFault>(REDIS_FAULTS[form], REDIS_TAKES[form], ofForm),
    ...dealt(TRAFFIC_FAULTS, TAKES.traffic, seed),
  ];
  const steps = pairs(random, faults);
  for (const name of dealt(LONE_FAULTS, TAKES.lone, seed)) steps.splice(random.between(0, steps.length), 0, [name]);
  return { seed, form, flavour, conditions, steps: steps.map((names) => stepOf(random, names)) };
}

/** A plan of one's own choice: each name a step, `+` between those of one step. */
export function planFor(seed: number, form: RedisForm, words: readonly string[]): Plan {
  const random = seeded(seed * 7919);
  const conditions = CONDITIONS.filter((name) => words.includes(name));
  const steps = words
    .filter((word) => !CONDITIONS.some((name) => name === word))
    .map((word) => stepOf(random, word.split('+').map(faultCalled)));
  return { seed, form, flavour: random.pick(['redis', 'valkey'] as const), conditions, steps };
}

function faultCalled(word: string): FaultName {
  const all: readonly FaultName[] = [
    ...REPLICA_FAULTS,
    ...BROKER_FAULTS,
    ...Object.values(REDIS_FAULTS).flat(),
    ...TRAFFIC_FAULTS,
    ...LONE_FAULTS,
    ...OWN_FAULTS,
  ];
  const found = all.find((name) => name === word);
  if (found === undefined) throw new Error(`there is no fault ${word}; there are ${[...new Set(all)].join(', ')}`);
  return found;
}

export function describePlan(plan: Plan): string {
  const head = `seed ${plan.seed}: Redis ${plan.form} (${plan.flavour})`;
  const ground = plan.conditions.length === 0 ? '' : `, ${plan.conditions.join(', ')}`;
  const lines = plan.steps.map(({ calmMs, faults }, i) => {
    const names = faults.map(({ name, holdMs }) => `${name} (${(holdMs / SECOND).toFixed(1)} s)`);
    return `  ${i + 1}. after ${(calmMs / SECOND).toFixed(1)} s: ${names.join(' with ')}`;
  });
  return [head + ground, ...lines].join('\n');
}

function stepOf(random: Random, names: readonly FaultName[]): Step {
  return {
    calmMs: random.between(500, 2_500),
    faults: names.map((name) => ({ name, holdMs: random.between(2_000, 5_000), dice: random.between(0, 1_000_000) })),
  };
}

/**
 * Cards of a deck that is dealt from seed to seed, and shuffled anew when it is at its end: by chance, and yet every
 * card comes as often as any other. Twice the same card is one.
 */
function dealt<T extends FaultName>(deck: readonly T[], count: number, turn: number): T[] {
  const cards = Array.from({ length: count }, (_, i) => {
    const card = turn * count + i;
    const order = shuffled(seeded(Math.floor(card / deck.length) * 31 + deck.length), deck);
    return order[card % deck.length]!;
  });
  return [...new Set(cards)];
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) order.push(...left.splice(random.between(0, left.length - 1), 1));
  return order;
}

/** About half of the faults come in pairs of different kinds. */
function pairs(random: Random, names: readonly FaultName[]): FaultName[][] {
  const left = shuffled(random, names);
  const steps: FaultName[][] = [];
  while (left.length > 0) {
    const first = left.shift()!;
    const other = random.chance(0.7) ? left.findIndex((name) => goTogether(first, name)) : -1;
    steps.push(other < 0 ? [first] : [first, ...left.splice(other, 1)]);
  }
  return steps;
}

function goTogether(one: FaultName, other: FaultName): boolean {
  if (kindOf(one) === kindOf(other)) return false;
  const [a, b] = [kindOf(one), kindOf(other)];
  return !((NEEDS_BROKERS.has(one) && b === 'broker') || (NEEDS_BROKERS.has(other) && a === 'broker'));
}

function kindOf(name: FaultName): 'replica' | 'broker' | 'traffic' | 'redis' {
  const isAmong = (names: readonly string[]) => names.includes(name);
  if (isAmong(REPLICA_FAULTS)) return 'replica';
  if (isAmong(BROKER_FAULTS)) return 'broker';
  return isAmong(TRAFFIC_FAULTS) ? 'traffic' : 'redis';
}
