/** Parts of the log as an operator names them: topic, partition, offsets, times. */
import { FORMATS } from '../config/formats.ts';
import type { OffsetRange } from '../ledger/counted.ts';
import { UsageError, type Values } from './command.ts';
import { type KnownPartition, Obstacle, type State } from './state-open.ts';
import type { Scope } from './verify-plan.ts';

export const PARTITION_OPTIONS = {
  topic: { type: 'string', value: 'NAME', doc: 'of this topic alone' },
  partition: { type: 'string', value: 'N', doc: 'of this partition alone' },
} as const;

/** Reading a part of the log. */
export const SCOPE_OPTIONS = {
  ...PARTITION_OPTIONS,
  'from-offset': { type: 'string', value: 'N', doc: 'from this offset on' },
  'to-offset': { type: 'string', value: 'N', doc: 'up to, and without, this offset' },
  'from-time': { type: 'string', value: 'TIME', doc: 'from the first record of that time on (2026-11-21T14:00:00Z)' },
  'to-time': { type: 'string', value: 'TIME', doc: 'up to, and without, the first record of that time' },
} as const;

export const numberOf = (values: Values, name: string): number | null => {
  const given = values[name];
  if (typeof given !== 'string') return null;
  if (!/^\d{1,15}$/.test(given)) throw new UsageError(`--${name} must be a whole number`);
  return Number(given);
};

export const timeMs = (name: string, given: string): number => {
  const ms = Date.parse(given);
  if (Number.isNaN(ms)) throw new UsageError(`--${name} must be a time such as 2026-11-21T14:00:00Z`);
  return ms;
};

export const durationMs = (name: string, given: string): number => {
  try {
    return FORMATS.duration(given, {});
  } catch {
    throw new UsageError(`--${name} must be a duration such as 30s or 5m`);
  }
};

/** Those that `--topic` and `--partition` name; all where they are not given. */
export const named = (values: Values, partitions: readonly KnownPartition[]): readonly KnownPartition[] => {
  const number = numberOf(values, 'partition');
  const found = partitions.filter(
    ({ topic, partition }) =>
      (values.topic === undefined || topic === values.topic) && (number === null || partition === number),
  );
  if (found.length === 0) throw new Obstacle('there is no such partition of a topic in kafka.topics');
  return found;
};

/** Null: all of the log. */
export const scopeOf = async (
  state: State,
  values: Values,
  partitions: readonly KnownPartition[],
): Promise<Scope | null> => {
  if (Object.keys(SCOPE_OPTIONS).every((name) => values[name] === undefined)) return null;
  const wanted = named(values, partitions);
  const bound = async (end: 'from' | 'to'): Promise<(partition: KnownPartition) => number | null> => {
    const offset = numberOf(values, `${end}-offset`);
    const time = values[`${end}-time`];
    if (typeof time !== 'string') return () => offset;
    if (offset !== null) throw new UsageError(`--${end}-offset and --${end}-time exclude each other`);
    const found = await state.log.calls.offsetsAt(wanted, timeMs(`${end}-time`, time));
    return ({ topic, partition }) =>
      found.find((one) => one.topic === topic && one.partition === partition)?.offset ?? null;
  };
  const [from, to] = [await bound('from'), await bound('to')];
  const ranges = new Map<KnownPartition, OffsetRange>(
    wanted.map((one) => [one, { from: from(one) ?? 0, to: to(one) ?? Number.MAX_SAFE_INTEGER }]),
  );
  return (partition) => ranges.get(partition) ?? null;
};
