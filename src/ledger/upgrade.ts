/**
 * From the ledger of an older version to the format of this one, shard by shard:
 *
 *   "1"  ->  "1>2" (the migration goes on; whoever finds it refuses the shard)  ->  "2"  -> ...
 *
 * and at last the record of the whole. A version refuses every other format in each script that writes, so an older
 * replica that was forgotten stops at its next call and harms nothing. Cut short anywhere, the next run goes on. A shard
 * that Redis lost goes back as a whole, its format with it, and is upgraded again.
 */
import type { LedgerKeys } from './keys.ts';
import { SHARDS } from './port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { SCRIPTS } from './redis-scripts.ts';

export type Migration = {
  /** It makes a shard of format `from` one of `from + 1`. */
  readonly from: number;
  /** For people. */
  readonly what: string;
  /**
   * Changes one shard, in steps that keep Redis free for others; every key of a call is of that shard. Nobody else reads
   * or writes it meanwhile. A run before may have been cut short anywhere: doing it again must end the same.
   */
  shard(redis: RedisConnection, keys: LedgerKeys, shard: number): Promise<void>;
};

/** In their order, without a hole. There has been one format so far. */
export const MIGRATIONS: readonly Migration[] = [];

/** As they are stored; null where there is none. */
export type Formats = { readonly whole: string | null; readonly shards: readonly (string | null)[] };

export type UpgradePlan =
  | { readonly kind: 'empty' }
  | { readonly kind: 'current' }
  /** Written by a later version, or no format at all. */
  | { readonly kind: 'newer' | 'no-way'; readonly format: string }
  | {
      readonly kind: 'steps';
      readonly shards: readonly {
        readonly shard: number;
        readonly format: string;
        readonly steps: readonly Migration[];
      }[];
      readonly formats: Formats;
    };

/** A replica is taken for alive that long after it signed in; it does so every 5 s. */
const ALIVE_MS = 15_000;

export const readFormats = async (redis: RedisConnection, keys: LedgerKeys): Promise<Formats> => {
  const formatOf = async (key: string): Promise<string | null> => {
    const format = await redis.call('hget', key, 'format');
    return format === null ? null : String(format);
  };
  const shards = await Promise.all(Array.from({ length: SHARDS }, (_, shard) => formatOf(keys.shard(shard).meta)));
  return { whole: await formatOf(keys.ledger), shards };
};

/** Replicas that run; they must be stopped first. */
export const livingReplicas = async (redis: RedisConnection, keys: LedgerKeys): Promise<readonly string[]> =>
  ((await redis.run(SCRIPTS.signedIn, [keys.replicas], [ALIVE_MS])) as Buffer[]).map(String).sort();

/** What is to be done to reach format `to`. */
export const planUpgrade = (formats: Formats, to: number, migrations: readonly Migration[]): UpgradePlan => {
  const all = [formats.whole, ...formats.shards].filter((format) => format !== null);
  if (all.length === 0) return { kind: 'empty' };
  if (all.every((format) => format === String(to))) return { kind: 'current' };
  for (const format of all) {
    const from = fromOf(format);
    if (from > to || Number(format.split('>')[1] ?? from) > to) return { kind: 'newer', format };
    if (stepsOf(format, to, migrations) === null) return { kind: 'no-way', format };
  }
  const shards = formats.shards.flatMap((format, shard) =>
    format === null || format === String(to) ? [] : [{ shard, format, steps: stepsOf(format, to, migrations)! }],
  );
  return { kind: 'steps', shards, formats };
};

const fromOf = (format: string): number => Number(format.split('>')[0]);

const stepsOf = (format: string, to: number, migrations: readonly Migration[]): readonly Migration[] | null => {
  const from = fromOf(format);
  const steps = migrations.filter((one) => one.from >= from && one.from < to);
  return steps.length === to - from && steps.every((one, i) => one.from === from + i) ? steps : null;
};

/** Rejects where somebody else changes formats, and as the connection does; then it can be run again. */
export const upgrade = async (
  redis: RedisConnection,
  keys: LedgerKeys,
  { shards, formats }: Extract<UpgradePlan, { kind: 'steps' }>,
  to: number,
  tell: (done: number, of: number) => void = () => {},
): Promise<void> => {
  const change = async (key: string, from: string, next: string): Promise<void> => {
    const stored = await redis.run(SCRIPTS.setFormat, [key], [from, next]);
    if (stored === null || ![from, next].includes(String(stored)))
      throw new UpgradeDisturbed(`a format is ${stored}, not ${from}: somebody else changes it. Run it again`);
  };
  for (const [done, { shard, format, steps }] of shards.entries()) {
    tell(done, shards.length);
    const { meta } = keys.shard(shard);
    let held = format;
    for (const step of steps) {
      const doing = `${step.from}>${step.from + 1}`;
      await change(meta, held, doing);
      await step.shard(redis, keys, shard);
      held = String(step.from + 1);
      await change(meta, doing, held);
    }
  }
  if (formats.whole !== null) await change(keys.ledger, formats.whole, String(to));
  tell(shards.length, shards.length);
};

export class UpgradeDisturbed extends Error {
  readonly code = 'UPGRADE_DISTURBED';
  override readonly name = 'UpgradeDisturbed';
}
