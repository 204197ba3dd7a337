/**
 * `state verify`: proves the ledger's totals by reading the records again that they stand for. Joins no group, commits
 * nothing, writes nothing to the ledger.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { TenantChain } from '../attribution/tenant.ts';
import type { ShardCut } from '../ledger/port.ts';
import { tenantSettings } from '../overrides/settings.ts';
import { OverridesFile } from '../overrides/source.ts';
import { topicEncodings } from '../overrides/static.ts';
import { UserOverrides } from '../overrides/user-source.ts';
import { table } from '../telemetry/table.ts';
import { type Baseline, baselineOf, loadBaseline, saveBaseline } from './baseline.ts';
import { type Command, type Io, UsageError, type Values } from './command.ts';
import { durationMs, SCOPE_OPTIONS, scopeOf } from './log-scope.ts';
import { choice } from './records.ts';
import { cutAll, knownPartitions, STATE_OPTIONS, type State, withState } from './state-open.ts';
import { type Comparison, compare } from './verify-compare.ts';
import { accountKey, noneCounted, OTHERS, TruthCount } from './verify-count.ts';
import { planOf, type ReadPlan } from './verify-plan.ts';

const START = 'start';
const PROGRESS_MS = 250;

type Result = {
  readonly verdict: 'exact' | 'differs' | 'unproved';
  readonly since: string;
  readonly records: number;
  readonly bytes: number;
  readonly plan: ReadPlan;
  readonly rows: readonly Comparison[];
  /** Reason -> number of shards. */
  readonly unproved: ReadonlyMap<string, number>;
};

const whole = (count: number): string => count.toLocaleString('en-US');

/** Reads all that the plan asks for, and tells how far it is. */
const countAgain = async (state: State, plan: ReadPlan, known: ReadonlySet<string>): Promise<TruthCount> => {
  const { config, log, io } = state;
  const file = new OverridesFile(config);
  file.look();
  const users = new UserOverrides(state.ledger.documents, () => 0);
  if (config.overrides.userConfigurable.enabled) await users.look();
  const count = new TruthCount({
    tenants: new TenantChain(config.tenants.from, config.tenants.default),
    settings: tenantSettings(config, file.current, users.blocks),
    encoding: topicEncodings(config),
    maxLabelValueLength: config.usage.maxLabelValueLengthBytes,
    accounting: config.usage.accounting,
    known,
  });
  const startMs = performance.now();
  let shownMs = startMs;
  for (const [at, { partition, ranges }] of plan.reads.entries()) {
    const counted = noneCounted();
    for (const { shard, counted: fields } of plan.shards) {
      const own = fields.get(partition.field);
      if (own !== undefined) counted[shard] = own;
    }
    for (const { from, to } of ranges) {
      for await (const { records, next } of log.read(partition, from, to)) {
        count.add(records, partition, counted);
        const nowMs = performance.now();
        if (io.progress === undefined || nowMs - shownMs < PROGRESS_MS) continue;
        shownMs = nowMs;
        const rate = (count.bytes / 1e6 / ((nowMs - startMs) / 1000)).toFixed(0);
        io.progress(
          `${partition.topic}/${partition.partition} (${at + 1} of ${plan.reads.length}): ` +
            `${whole(to - next)} offsets left, ${whole(count.records)} records read in all, ${rate} MB/s`,
        );
      }
    }
  }
  io.progress?.('');
  return count;
};

const namesOf = (cuts: readonly (ShardCut | null)[], baseline: Baseline | null): ReadonlySet<string> =>
  new Set([
    ...cuts.flatMap((cut, shard) => (cut?.accounts ?? []).map((name) => accountKey(shard, name))),
    ...(baseline?.shards ?? []).flatMap((held, shard) => (held?.totals ?? []).map((name) => accountKey(shard, name))),
  ]);

const verdictOf = (rows: readonly Comparison[], unproved: ReadonlyMap<string, number>): Result['verdict'] => {
  if (rows.some(({ verdict }) => verdict === 'differs')) return 'differs';
  return unproved.size > 0 ? 'unproved' : 'exact';
};

const verify = async (
  state: State,
  values: Values,
  cuts: readonly (ShardCut | null)[],
  baseline: Baseline | null,
): Promise<Result> => {
  const partitions = await knownPartitions(state);
  const plan = planOf(cuts, baseline, partitions, await scopeOf(state, values, partitions));
  const count = await countAgain(state, plan, namesOf(cuts, baseline));
  const rows = compare(cuts, baseline, count.truth, plan.shards);
  const unproved = new Map<string, number>();
  for (const shard of plan.shards) for (const why of shard.unproved) unproved.set(why, (unproved.get(why) ?? 0) + 1);
  const { records, bytes } = count;
  const since = baseline === null ? 'the start of counting' : baseline.takenAt;
  return { verdict: verdictOf(rows, unproved), since, records, bytes, plan, rows, unproved };
};

const asJson = ({ verdict, since, records, bytes, plan, rows, unproved }: Result): string =>
  JSON.stringify({
    verdict,
    since,
    records_read: records,
    bytes_read: bytes,
    read: plan.reads.map(({ partition: { topic, partition }, ranges }) => ({ topic, partition, ranges })),
    unproved: [...unproved].map(([reason, shards]) => ({ reason, shards })),
    totals: rows,
  });

const asText = (result: Result): string => {
  const { rows, unproved, plan, records, bytes, since } = result;
  const shown = rows.map(({ tenant, tracker, measure, truth, ledger, difference, verdict }) => [
    tenant === OTHERS ? '(other tenants)' : tenant,
    tracker,
    measure,
    String(truth),
    String(ledger),
    String(difference),
    verdict,
  ]);
  const reasons = [...unproved].map(
    ([why, shards]) => `not proved: ${why} (${shards} of ${plan.shards.length} shards)`,
  );
  const read = `read ${whole(records)} records (${whole(bytes)} bytes) of ${plan.reads.length} partitions; since ${since}`;
  const elsewhere = rows.some(({ verdict }) => verdict === 'elsewhere')
    ? ['elsewhere: under the overflow tenant, or among removed ones; the sum of the shard is exact']
    : [];
  return [
    table(['tenant', 'tracker', 'measure', 'truth', 'ledger', 'difference', 'verdict'], shown),
    '',
    ...elsewhere,
    ...reasons,
    read,
    lastLine(result),
  ].join('\n');
};

const lastLine = ({ verdict, rows }: Result): string => {
  const totals = (pick: (row: Comparison) => number): number =>
    rows
      .filter(({ measure, tracker }) => measure === 'bytes' && tracker !== 'records')
      .reduce((n, row) => n + pick(row), 0);
  const [truth, ledger] = [totals((row) => row.truth), totals((row) => row.ledger)];
  if (verdict === 'exact') return `exact: ${ledger} of ${truth} bytes`;
  if (verdict === 'unproved')
    return `not proved: the ledger has ${ledger} bytes, of which ${truth} were read again, and nothing of these is missing`;
  return (
    `different: ${ledger} of ${truth} bytes. Have tenants.from, tenants.default, usage.accounting or the trackers been ` +
    'changed since? Else see docs/operations.md'
  );
};

const baselineFrom = (since: string | undefined, state: State): Baseline | null =>
  since === undefined || since === START ? null : loadBaseline(since, state.identity);

const textOf = (values: Values, name: string): string | undefined => {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
};

const wait = async (ms: number, io: Io): Promise<void> => {
  const endMs = performance.now() + ms;
  for (let left = ms; left > 0; left = endMs - performance.now()) {
    io.progress?.(`waiting for ${Math.ceil(left / 1000)} s of traffic`);
    await sleep(Math.min(left, 1_000));
  }
  io.progress?.('');
};

export const stateVerify: Command = {
  name: 'state verify',
  summary: 'reads the log again and proves the totals of the ledger',
  options: {
    ...STATE_OPTIONS,
    since: {
      type: 'string',
      value: 'FILE',
      doc: `what was counted since a file that --save wrote; "${START}" (the default): all of it`,
    },
    save: { type: 'string', value: 'FILE', doc: 'write what the ledger holds, for a later --since; alone: only that' },
    for: { type: 'string', value: 'DURATION', doc: 'what is counted from now on for so long (1m)' },
    ...SCOPE_OPTIONS,
  },
  run: async (values, io) => {
    const output = choice(values, 'output', ['table', 'json'] as const, 'table');
    const [since, save, during] = [textOf(values, 'since'), textOf(values, 'save'), textOf(values, 'for')];
    if (since !== undefined && during !== undefined) throw new UsageError('--since and --for exclude each other');
    const duringMs = during === undefined ? null : durationMs('for', during);
    return withState(values, io, async (state) => {
      let baseline = baselineFrom(since, state);
      if (duringMs !== null) {
        baseline = baselineOf(await cutAll(state), new Date().toISOString());
        await wait(duringMs, io);
      }
      const cuts = await cutAll(state);
      if (save !== undefined) {
        saveBaseline(save, baselineOf(cuts, new Date().toISOString()), state.identity);
        if (since === undefined && during === undefined) {
          io.out(`written to ${save}; compare with: tracetally state verify --since ${save}`);
          return 0;
        }
      }
      const result = await verify(state, values, cuts, baseline);
      io.out(output === 'json' ? asJson(result) : asText(result));
      const isAsked = Object.keys(SCOPE_OPTIONS).some((name) => values[name] !== undefined);
      return result.verdict === 'exact' || (result.verdict === 'unproved' && isAsked) ? 0 : 1;
    });
  },
};
