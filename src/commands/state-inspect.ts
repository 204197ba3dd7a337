/** `state inspect`: what the ledger holds. Reads only. */
import { ledgerKeys } from '../ledger/keys.ts';
import { LEDGER_FORMAT, SHARDS } from '../ledger/port.ts';
import { RedisConnection } from '../ledger/redis-connection.ts';
import { RedisLedger, type RedisLedgerOptions } from '../ledger/redis-ledger.ts';
import { table } from '../telemetry/table.ts';
import { type Command, checkedConfig, refuse } from './command.ts';
import { type LedgerState, readState } from './ledger-state.ts';
import { ledgerOptions } from './reach.ts';
import { choice } from './records.ts';
import { STATE_OPTIONS } from './state-open.ts';

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const markerRows = ({ shards }: LedgerState): readonly (readonly string[])[] => {
  const fields = [...new Set(shards.flatMap(({ markers }) => Object.keys(markers)))].sort();
  return fields.map((field) => {
    const held = shards.flatMap(({ markers }) => markers[field] ?? []);
    return [field, String(Math.min(...held)), String(Math.max(...held)), String(held.length)];
  });
};

const amounts = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .map(([measure, value]) => `${value} ${measure}`)
    .join(', ');

/** A lease is stored as `held <replica>/<token>` or `released <replica>`: how often a replica holds one, and which. */
const ownerRows = ({ shards }: LedgerState): readonly (readonly string[])[] => {
  const owners = new Map<string, number[]>();
  for (const { shard, owner } of shards) {
    const name = owner?.replace(/\/[0-9a-f]+$/, '') ?? 'free';
    owners.set(name, [...(owners.get(name) ?? []), shard]);
  }
  return [...owners].sort().map(([owner, held]) => [owner, held.join(' ')]);
};

/** One line for what shards were moved in the same way, newest first. */
const moveRows = ({ shards }: LedgerState): readonly (readonly string[])[] => {
  const alike = new Map<string, { readonly at: number; readonly cells: readonly string[]; readonly count: number }>();
  for (const { moves } of shards)
    for (const { at, field, from, to, why } of moves) {
      const cells = [field, String(from ?? 'none'), String(to ?? 'none'), why];
      const before = alike.get(cells.join(' '));
      alike.set(cells.join(' '), { at: Math.max(at, before?.at ?? 0), cells, count: (before?.count ?? 0) + 1 });
    }
  return [...alike.values()]
    .sort((a, b) => b.at - a.at)
    .map(({ at, cells, count }) => [new Date(at / 1000).toISOString(), ...cells, String(count)]);
};

/** For people. */
export const stateText = (state: LedgerState): string => {
  const accounts = state.accounts.map((account) => [
    account.tenant,
    account.tracker,
    String(account.shard),
    String(account.live),
    amounts(account.total),
    amounts(account.overflow),
    amounts(account.retired),
  ]);
  const moves = moveRows(state);
  return [
    `format ${LEDGER_FORMAT}, ${state.shards.length} of ${SHARDS} shards, ${sum(state.accounts.map(({ live }) => live))} live series`,
    table(['topic id / partition', 'lowest marker', 'highest', 'shards'], markerRows(state)),
    table(['tenant', 'tracker', 'shard', 'live', 'total', 'overflow', 'retired'], accounts),
    table(['lease', 'shards'], ownerRows(state)),
    ...(moves.length === 0 ? [] : [table(['moved', 'topic id / partition', 'from', 'to', 'why', 'shards'], moves)]),
  ].join('\n\n');
};

const TIMEOUT_MS = 10_000;

const inspect = async (options: RedisLedgerOptions): Promise<LedgerState> => {
  const connection = new RedisConnection({ ...options, commandTimeoutMs: TIMEOUT_MS });
  const ledger = new RedisLedger(connection, options.keyPrefix);
  const keys = ledgerKeys(options.keyPrefix);
  const ownerOf = async (shard: number): Promise<string | null> => {
    const owner = await connection.call('get', keys.shard(shard).owner);
    return owner === null ? null : String(owner);
  };
  try {
    return await readState(ledger, ownerOf);
  } finally {
    await ledger.close();
  }
};

export const stateInspect: Command = {
  name: 'state inspect',
  summary: 'prints the markers, moves, totals and owners of the ledger',
  options: STATE_OPTIONS,
  run: async (values, io) => {
    const output = choice(values, 'output', ['table', 'json'] as const, 'table');
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const options = ledgerOptions(checked.config);
    if (options === null) {
      io.err('no Redis is configured, and an embedded ledger lives inside of its service');
      return 1;
    }
    try {
      const state = await inspect(options);
      io.out(output === 'json' ? JSON.stringify(state) : stateText(state));
      return 0;
    } catch (error) {
      io.err(`the ledger cannot be read: ${(error as Error).message}`);
      return 1;
    }
  },
};
