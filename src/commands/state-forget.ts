/** `state forget`: takes a tenant, a series or a topic that is gone out of the ledger. No amount is lost by it. */
import { isReservedTenant, removedTenant } from '../attribution/reserved.ts';
import { encodeSeriesKey, seriesId } from '../attribution/series-key.ts';
import { markerParts, shardOf } from '../ledger/keys.ts';
import type { AccountName } from '../ledger/port.ts';
import { type Command, UsageError, type Values } from './command.ts';
import { choice } from './records.ts';
import {
  cutAll,
  EXECUTE_OPTION,
  knownPartitions,
  Obstacle,
  STATE_OPTIONS,
  type State,
  withState,
} from './state-open.ts';

const STEP_ROWS = 1_000;
/** Answers the question whether something is old enough with yes, whatever its age. */
const ANY_AGE = -1;
/** A tenant that goes on sending gets new series while its old ones are taken away. */
const ATTEMPTS = 3;

type Outcome = { readonly what: string; readonly done: boolean; readonly note: string };

const accountsOf = async ({ ledger }: State, tenant: string, tracker: unknown): Promise<readonly AccountName[]> => {
  const cut = await ledger.cut(shardOf(tenant));
  const found = (cut?.accounts ?? []).filter(
    (one) => one.tenant === tenant && (tracker === undefined || one.tracker === tracker),
  );
  if (found.length === 0) throw new Obstacle(`the ledger holds nothing of the tenant ${tenant}`);
  return found;
};

const forgetAccount = async ({ ledger }: State, account: AccountName, execute: boolean): Promise<Outcome> => {
  const shard = shardOf(account.tenant);
  const what = `tenant ${account.tenant}, tracker ${account.tracker}`;
  const note = `its series end, its totals go to ${removedTenant(shard)}`;
  if (!execute) return { what, done: false, note };
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    let cursor: string | null = null;
    do ({ cursor } = await ledger.purge(shard, account, ANY_AGE, cursor, STEP_ROWS));
    while (cursor !== null);
    if (await ledger.removeAccount(shard, account, ANY_AGE)) return { what, done: true, note };
  }
  return { what, done: false, note: 'it sends all the time: its series began again, its totals stay' };
};

const forgetSeries = async (
  { ledger }: State,
  account: AccountName,
  labels: readonly string[],
  execute: boolean,
): Promise<Outcome> => {
  const pairs = labels.map((text): readonly [string, string] => {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError('--label must be NAME=VALUE');
    return [text.slice(0, at), text.slice(at + 1)];
  });
  const id = seriesId(encodeSeriesKey(pairs));
  const shard = shardOf(account.tenant);
  const [key] = await ledger.keys(shard, account, id);
  if (!key) throw new Obstacle(`${account.tenant} has no live series with exactly these labels`);
  if (execute) await ledger.retireSeries(shard, account, id);
  return { what: `series ${labels.join(', ')} of ${account.tenant}`, done: execute, note: 'its amounts are retired' };
};

const forgetTopic = async (state: State, topicId: string, execute: boolean): Promise<Outcome> => {
  const isConsumed = (await knownPartitions(state)).some(({ field }) => markerParts(field).topicId === topicId);
  if (isConsumed) throw new Obstacle(`the topic with the id ${topicId} is consumed now: its markers are needed`);
  let markers = 0;
  for (const [shard, cut] of (await cutAll(state)).entries()) {
    for (const [field, marker] of cut?.view.markers ?? []) {
      if (markerParts(field).topicId !== topicId) continue;
      markers++;
      if (execute) await state.ledger.move(shard, field, marker, null, 'forget');
    }
  }
  if (markers === 0) throw new Obstacle(`the ledger has no marker of a topic with the id ${topicId}`);
  return {
    what: `topic ${topicId}`,
    done: execute,
    note: `${markers} markers; what was counted of it stays in the totals`,
  };
};

const forget = async (state: State, values: Values): Promise<readonly Outcome[]> => {
  const { tenant, tracker, label, execute } = values;
  const isDone = execute === true;
  if (typeof values['topic-id'] === 'string') return [await forgetTopic(state, values['topic-id'], isDone)];
  const accounts = await accountsOf(state, tenant as string, tracker);
  const outcomes: Outcome[] = [];
  for (const account of accounts)
    outcomes.push(
      Array.isArray(label)
        ? await forgetSeries(state, account, label, isDone)
        : await forgetAccount(state, account, isDone),
    );
  return outcomes;
};

export const stateForget: Command = {
  name: 'state forget',
  summary: 'takes a tenant, a series or a deleted topic out of the ledger',
  options: {
    ...STATE_OPTIONS,
    tenant: {
      type: 'string',
      value: 'ID',
      doc: 'all of a tenant; its totals stay in the sum of those that were removed',
    },
    tracker: { type: 'string', value: 'NAME', doc: 'of this tracker alone' },
    label: {
      type: 'string',
      value: 'NAME=VALUE',
      multiple: true,
      doc: 'one series alone: all of its labels, one by one',
    },
    'topic-id': { type: 'string', value: 'ID', doc: 'the markers of a topic that is gone (state inspect shows ids)' },
    ...EXECUTE_OPTION,
  },
  run: async (values, io) => {
    const output = choice(values, 'output', ['table', 'json'] as const, 'table');
    const { tenant } = values;
    if ((tenant === undefined) === (values['topic-id'] === undefined))
      throw new UsageError('either --tenant or --topic-id is needed');
    if (typeof tenant === 'string' && isReservedTenant(tenant)) throw new UsageError(`${tenant} is the ledger's own`);
    return withState(values, io, async (state) => {
      const outcomes = await forget(state, values);
      if (output === 'json') io.out(JSON.stringify({ executed: values.execute === true, outcomes }));
      else
        for (const { what, done, note } of outcomes)
          io.out(`${what}: ${done ? 'forgotten' : 'not forgotten'}; ${note}`);
      if (values.execute !== true && output === 'table') io.out('nothing was changed; --execute does it');
      return values.execute === true && outcomes.some(({ done }) => !done) ? 1 : 0;
    });
  },
};
