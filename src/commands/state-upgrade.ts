/** `state upgrade`: makes the ledger of an older version one of this version's format. */
import { ledgerKeys } from '../ledger/keys.ts';
import { LEDGER_FORMAT } from '../ledger/port.ts';
import { RedisConnection } from '../ledger/redis-connection.ts';
import {
  type Formats,
  livingReplicas,
  MIGRATIONS,
  type Migration,
  planUpgrade,
  readFormats,
  type UpgradePlan,
  upgrade,
} from '../ledger/upgrade.ts';
import { CONFIG_OPTION, type Command, checkedConfig, type Io, refuse } from './command.ts';
import { ledgerOptions } from './reach.ts';

const TIMEOUT_MS = 10_000;

/** `format 1 in 60 shards and the whole, format 2 in 4 shards` */
const formatsText = ({ whole, shards }: Formats): string => {
  const counts = new Map<string, number>();
  for (const format of shards) if (format !== null) counts.set(format, (counts.get(format) ?? 0) + 1);
  if (whole !== null && !counts.has(whole)) counts.set(whole, 0);
  return [...counts]
    .sort()
    .map(([format, count]) => {
      const isHalf = format.includes('>') ? ' (not finished)' : '';
      return `format ${format}${isHalf} in ${count} shards${format === whole ? ' and the record of the whole' : ''}`;
    })
    .join(', ');
};

const refusal = (plan: UpgradePlan, to: number): string | null => {
  switch (plan.kind) {
    case 'empty':
      return 'there is no ledger under this key prefix: is redis.key_prefix the one of the service, and has it run?';
    case 'newer':
      return `format ${plan.format} is of a newer version than this one, which writes format ${to}: use that version`;
    case 'no-way':
      return `this version knows no way from format ${plan.format} to ${to}: upgrade to the versions in between first (UPGRADING.md)`;
    default:
      return null;
  }
};

/** Answers the exit code. Rejects as the connection does. */
export const runUpgrade = async (
  redis: RedisConnection,
  keyPrefix: string,
  io: Io,
  { dryRun, to = LEDGER_FORMAT, migrations = MIGRATIONS }: UpgradeHow,
): Promise<number> => {
  const keys = ledgerKeys(keyPrefix);
  const formats = await readFormats(redis, keys);
  const plan = planUpgrade(formats, to, migrations);
  const problem = refusal(plan, to);
  if (problem !== null) {
    io.err(problem);
    return 1;
  }
  io.out(`the ledger under "${keyPrefix}": ${formatsText(formats)}`);
  if (plan.kind !== 'steps') {
    io.out(`nothing to do: this version writes format ${to}`);
    return 0;
  }
  for (const { from, what } of migrations.filter(({ from }) => plan.shards.some(({ steps }) => steps[0]!.from <= from)))
    io.out(`${from} to ${from + 1}: ${what}`);
  const living = await livingReplicas(redis, keys);
  if (living.length > 0) {
    io.err(`replicas run: ${living.join(', ')}. Stop all of them first (one that was killed is forgotten after 15 s)`);
    return 1;
  }
  if (dryRun) {
    io.out(`${plan.shards.length} shards would be upgraded; nothing was changed`);
    return 0;
  }
  await upgrade(redis, keys, plan, to, (done, of) => io.progress?.(`${done} of ${of} shards`));
  io.progress?.('');
  io.out(`upgraded ${plan.shards.length} shards to format ${to}; start the replicas of this version`);
  return 0;
};

export type UpgradeHow = {
  readonly dryRun: boolean;
  /** Of this version where they are not given. */
  readonly to?: number;
  readonly migrations?: readonly Migration[];
};

export const stateUpgrade: Command = {
  name: 'state upgrade',
  summary: 'makes the ledger of an older version one of this version; stop all replicas first',
  options: {
    ...CONFIG_OPTION,
    'dry-run': { type: 'boolean', doc: 'say what would be done, and change nothing' },
  },
  run: async (values, io) => {
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const options = ledgerOptions(checked.config);
    if (options === null) {
      io.err('no Redis is configured, and an embedded ledger lives inside of its service');
      return 1;
    }
    const redis = new RedisConnection({ ...options, commandTimeoutMs: TIMEOUT_MS });
    try {
      return await runUpgrade(redis, options.keyPrefix, io, { dryRun: values['dry-run'] === true });
    } catch (error) {
      io.progress?.('');
      io.err(`${(error as Error).message}. What was done stays done: run it again`);
      return 1;
    } finally {
      await redis.close();
    }
  },
};
