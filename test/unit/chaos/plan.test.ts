import { expect, test } from '@jest/globals';
import {
  BROKER_FAULTS,
  CONDITIONS,
  describePlan,
  LONE_FAULTS,
  planFor,
  planOf,
  REDIS_FAULTS,
  REPLICA_FAULTS,
  TRAFFIC_FAULTS,
} from '../../chaos/plan.ts';

const SEEDS = Array.from({ length: 20 }, (_, i) => i + 1);

const inPlan = (seed: number): Set<string> => {
  const { conditions, steps } = planOf(seed);
  return new Set([...conditions, ...steps.flatMap(({ faults }) => faults.map(({ name }) => name))]);
};

test('the same seed is the same plan, another seed another one', () => {
  for (const seed of SEEDS) expect(planOf(seed)).toEqual(planOf(seed));
  expect(new Set(SEEDS.map((seed) => describePlan(planOf(seed)))).size).toBe(SEEDS.length);
});

test('twenty seeds meet every fault more than once', () => {
  const all = new Set([
    ...REPLICA_FAULTS,
    ...BROKER_FAULTS,
    ...Object.values(REDIS_FAULTS).flat(),
    ...TRAFFIC_FAULTS,
    ...LONE_FAULTS,
    ...CONDITIONS,
  ]);
  const plans = SEEDS.map(inPlan);
  const met = (name: string) => plans.filter((plan) => plan.has(name)).length;
  expect([...all].filter((name) => met(name) < 2)).toEqual([]);
});

test('what needs the stage for itself has it, and transactions are spared brokers in trouble', () => {
  for (const seed of SEEDS)
    for (const { faults } of planOf(seed).steps) {
      const names = faults.map(({ name }) => name);
      const isAlone = names.some((name) => LONE_FAULTS.some((lone) => lone === name));
      if (isAlone) expect(names).toHaveLength(1);
      if (names.includes('aborted-transactions')) expect(names.filter((name) => name.startsWith('broker'))).toEqual([]);
    }
});

test('a plan of words: steps, faults at once, conditions; an unknown word is refused with those that are known', () => {
  const plan = planFor(1, 'cluster', ['slot-migration+replica-killed', 'clocks-askew']);
  expect(plan.steps.map(({ faults }) => faults.map(({ name }) => name))).toEqual([
    ['slot-migration', 'replica-killed'],
  ]);
  expect(plan.conditions).toEqual(['clocks-askew']);
  expect(() => planFor(1, 'single', ['earthquake'])).toThrow(/no fault earthquake; there are .*redis-full-disk/);
});
