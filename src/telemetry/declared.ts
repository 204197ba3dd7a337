/** How self-metrics are declared, and what a declaration gives to the code that counts. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** Label values come from fixed lists; topic and partition come from what is assigned, and leave with it. */
export type Declared =
  | { readonly type: 'counter' | 'gauge'; readonly name: string; readonly help: string }
  | {
      readonly type: 'counter-by';
      readonly name: string;
      readonly help: string;
      readonly label: string;
      readonly values: readonly string[];
    }
  | {
      readonly type: 'gauge-by';
      readonly name: string;
      readonly help: string;
      readonly label: string;
      readonly values: readonly string[];
    }
  | { readonly type: 'partition-gauge'; readonly name: string; readonly help: string }
  | { readonly type: 'histogram'; readonly name: string; readonly help: string; readonly buckets: readonly number[] }
  | { readonly type: 'info'; readonly name: string; readonly help: string; readonly labels: readonly string[] };

export type Count = {
  /** Anything but a positive number is nothing. */
  add(amount?: number): void;
  /** Raises it to a total that somebody else keeps; one that is not higher is nothing. */
  reach(total: number): void;
};
export type CountBy<V extends string> = { add(value: V, amount?: number): void };
export type Level = { set(value: number): void };
export type LevelBy<V extends string> = { set(which: V, value: number): void };
export type PartitionLevel = {
  set(topic: string, partition: number, value: number): void;
  /** The partition left: its series goes. */
  remove(topic: string, partition: number): void;
};
export type Distribution = { observe(value: number): void };
export type Info<L extends string> = { /** Replaces what was said before. */ set(labels: Record<L, string>): void };

export type FacadeOf<D> = D extends { readonly type: 'counter' }
  ? Count
  : D extends { readonly type: 'gauge' }
    ? Level
    : D extends { readonly type: 'counter-by'; readonly values: readonly (infer V extends string)[] }
      ? CountBy<V>
      : D extends { readonly type: 'gauge-by'; readonly values: readonly (infer V extends string)[] }
        ? LevelBy<V>
        : D extends { readonly type: 'partition-gauge' }
          ? PartitionLevel
          : D extends { readonly type: 'histogram' }
            ? Distribution
            : D extends { readonly type: 'info'; readonly labels: readonly (infer L extends string)[] }
              ? Info<L>
              : never;

export type Facade<T extends Readonly<Record<string, Declared>>> = { readonly [K in keyof T]: FacadeOf<T[K]> };

/** A counter that went down, or holds NaN, would be worse than one that missed something. */
const positive = (amount: number): boolean => amount > 0 && Number.isFinite(amount);

const spec = ({ name, help }: Declared, registers: Registry[]) => ({ name, help, registers });

const count = (declared: Declared, registers: Registry[]): Count => {
  const counter = new Counter(spec(declared, registers));
  let total = 0;
  const add = (amount = 1): void => {
    if (!positive(amount)) return;
    counter.inc(amount);
    total += amount;
  };
  return { add, reach: (wanted) => add(wanted - total) };
};

const countBy = (declared: Declared & { type: 'counter-by' }, registers: Registry[]): CountBy<string> => {
  const counter = new Counter({ ...spec(declared, registers), labelNames: [declared.label] });
  for (const value of declared.values) counter.inc({ [declared.label]: value }, 0);
  return {
    add: (value, amount = 1) => {
      if (positive(amount)) counter.inc({ [declared.label]: value }, amount);
    },
  };
};

const levelBy = (declared: Declared & { type: 'gauge-by' }, registers: Registry[]): LevelBy<string> => {
  const gauge = new Gauge({ ...spec(declared, registers), labelNames: [declared.label] });
  for (const value of declared.values) gauge.set({ [declared.label]: value }, 0);
  return { set: (which, value) => gauge.set({ [declared.label]: which }, value) };
};

const partitionLevel = (declared: Declared, registers: Registry[]): PartitionLevel => {
  const gauge = new Gauge({ ...spec(declared, registers), labelNames: ['topic', 'partition'] });
  return {
    set: (topic, partition, value) => gauge.set({ topic, partition }, value),
    remove: (topic, partition) => gauge.remove({ topic, partition }),
  };
};

const info = (declared: Declared & { type: 'info' }, registers: Registry[]): Info<string> => {
  const gauge = new Gauge({ ...spec(declared, registers), labelNames: [...declared.labels] });
  return {
    set: (labels) => {
      gauge.reset();
      gauge.set(labels, 1);
    },
  };
};

const make = (declared: Declared, registers: Registry[]): unknown => {
  switch (declared.type) {
    case 'counter':
      return count(declared, registers);
    case 'gauge': {
      const gauge = new Gauge(spec(declared, registers));
      return { set: (value: number) => gauge.set(value) };
    }
    case 'histogram': {
      const histogram = new Histogram({ ...spec(declared, registers), buckets: [...declared.buckets] });
      return { observe: (value: number) => histogram.observe(value) };
    }
    case 'counter-by':
      return countBy(declared, registers);
    case 'gauge-by':
      return levelBy(declared, registers);
    case 'partition-gauge':
      return partitionLevel(declared, registers);
    case 'info':
      return info(declared, registers);
  }
};

/** Makes every declared metric in the registry, each at 0. */
export const facade = <T extends Readonly<Record<string, Declared>>>(declared: T, registry: Registry): Facade<T> =>
  Object.fromEntries(Object.entries(declared).map(([key, one]) => [key, make(one, [registry])])) as Facade<T>;
