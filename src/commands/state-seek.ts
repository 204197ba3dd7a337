/** `state seek`: moves markers on purpose, to skip records or to count them again. */
import { SHARDS } from '../ledger/port.ts';
import { planSeek, refusedByMembers, type SeekPlan, seek } from '../ledger/seek.ts';
import { table } from '../telemetry/table.ts';
import { type Command, UsageError, type Values } from './command.ts';
import { named, PARTITION_OPTIONS, timeMs } from './log-scope.ts';
import { choice } from './records.ts';
import {
  cutAll,
  EXECUTE_OPTION,
  type KnownPartition,
  knownPartitions,
  Obstacle,
  STATE_OPTIONS,
  type State,
  withState,
} from './state-open.ts';

/** Where each partition is to be moved. */
const targetsOf = async (
  { log }: State,
  to: string,
  partitions: readonly KnownPartition[],
): Promise<readonly number[]> => {
  if (to === 'earliest') return partitions.map((one) => one.log.start);
  if (to === 'latest') return partitions.map((one) => one.log.end);
  if (/^\d{1,15}$/.test(to)) {
    if (partitions.length > 1)
      throw new UsageError('an offset is of one partition: name it with --topic and --partition');
    return [Number(to)];
  }
  const found = await log.calls.offsetsAt(partitions, timeMs('to', to));
  return partitions.map(
    ({ topic, partition }) => found.find((one) => one.topic === topic && one.partition === partition)!.offset,
  );
};

const plansOf = async (state: State, values: Values): Promise<readonly SeekPlan[]> => {
  const partitions = named(values, await knownPartitions(state));
  const targets = await targetsOf(state, values.to as string, partitions);
  const views = (await cutAll(state)).map((cut) => cut?.view ?? null);
  return partitions.map((one, i) => {
    const to = targets[i]!;
    const { topic, partition, field, commit, log } = one;
    if (to < log.start || to > log.end)
      throw new Obstacle(`${topic}/${partition} reaches from ${log.start} to ${log.end}: ${to} lies outside`);
    const plan = planSeek({ topic, partition, field, to, commit }, views);
    // A living fleet may have counted beyond the end that was asked for before: nothing is left to skip.
    return values.to === 'latest' && plan.kind === 'recount' ? { ...plan, to: plan.highest, kind: 'nothing' } : plan;
  });
};

const EFFECTS = { skip: 'skipped', recount: 'counted again', nothing: 'none' } as const;

const rowOf = ({ topic, partition, lowest, highest, commit, to, kind }: SeekPlan) => ({
  topic,
  partition,
  lowest_marker: lowest,
  highest_marker: highest,
  commit: commit?.offset ?? null,
  to,
  effect: EFFECTS[kind],
  offsets: kind === 'skip' ? to - lowest : kind === 'recount' ? highest - to : 0,
});

const asText = (plans: readonly SeekPlan[]): string =>
  table(
    ['topic', 'partition', 'lowest marker', 'highest', 'commit', 'to', 'offsets', 'effect'],
    plans
      .map(rowOf)
      .map((row) => [
        row.topic,
        String(row.partition),
        String(row.lowest_marker),
        String(row.highest_marker),
        row.commit === null ? 'none' : String(row.commit),
        String(row.to),
        String(row.offsets),
        row.effect,
      ]),
  );

const run = async (state: State, values: Values): Promise<number> => {
  const { io, ledger, log } = state;
  const isJson = values.output === 'json';
  const plans = await plansOf(state, values);
  const members = plans.some(({ kind }) => kind === 'recount') ? await log.calls.members() : 0;
  if (!isJson) io.out(asText(plans));
  if (values.execute !== true) {
    if (isJson) io.out(JSON.stringify({ executed: false, moves: plans.map(rowOf) }));
    else io.out('\nnothing was changed; --execute does it');
    if (members > 0) io.err(`it would be refused: ${refusedByMembers(members).message}`);
    return 0;
  }
  if (members > 0) throw refusedByMembers(members);
  const moved = await seek(ledger, log.calls, plans, SHARDS).catch((error: Error) => {
    if ((error as { code?: unknown }).code === 'SEEK_REFUSED') throw error;
    throw new Obstacle(`the seek was cut short: ${error.message}. Run it again: what was moved stays as it is`);
  });
  const after = await plansOf(state, values);
  if (isJson)
    io.out(JSON.stringify({ executed: true, markers_moved: moved, moves: plans.map(rowOf), after: after.map(rowOf) }));
  else io.out(`\n${moved} markers were moved; now:\n${asText(after)}`);
  return 0;
};

export const stateSeek: Command = {
  name: 'state seek',
  summary: 'moves markers on purpose: skips records, or counts them again',
  options: {
    ...STATE_OPTIONS,
    to: {
      type: 'string',
      value: 'WHERE',
      doc: 'earliest, latest, an offset, or a time (2026-11-21T14:00:00Z); before the markers: counted again',
    },
    ...PARTITION_OPTIONS,
    ...EXECUTE_OPTION,
  },
  run: async (values, io) => {
    choice(values, 'output', ['table', 'json'] as const, 'table');
    const { to } = values;
    if (typeof to !== 'string') throw new UsageError('--to is missing');
    if (!/^(earliest|latest|\d{1,15})$/.test(to)) timeMs('to', to);
    return withState(values, io, (state) => run(state, values));
  },
};
