/** One ledger with callers of two versions: the previous one, kept in test/fixtures/ledger, and the present. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { LedgerBroken, LedgerRefused, LedgerUnavailable } from '../../src/ledger/port.ts';
import { openRedisLedger, type RedisLedger, type RedisLedgerOptions } from '../../src/ledger/redis-ledger.ts';
import { CACHE } from '../support/services/tools.ts';
import type { AnyLedger } from './calls.ts';
import { type Fixture, redisFixture } from './fixture.ts';

const KEPT = join(import.meta.dirname, '../fixtures/ledger/previous.tgz');

type Previous = { openRedisLedger(options: RedisLedgerOptions): RedisLedger };

/** Unpacked below the repository, so that it finds the packages that it needs. */
const unpacked = (): string => {
  const hash = createHash('sha256').update(readFileSync(KEPT)).digest('hex').slice(0, 12);
  const target = join(CACHE, `ledger-${hash}`);
  if (existsSync(target)) return target;
  const unfinished = mkdtempSync(`${target}-`);
  execFileSync('tar', ['-xzf', KEPT, '-C', unfinished]);
  try {
    renameSync(unfinished, target);
  } catch (error) {
    rmSync(unfinished, { recursive: true });
    if (!existsSync(target)) throw error;
  }
  return target;
};

export const previousLedger = async (): Promise<Previous> =>
  (await import(join(unpacked(), 'ledger/redis-ledger.js'))) as Previous;

type Method = (...args: unknown[]) => unknown;

/** Operations that the previous version has not, or has with less: of moves no note, of a take no change counter. */
const isNew = (name: string, previous: object): boolean => !(name in previous) || name === 'move' || name === 'take';

type OldPage = { readonly totals?: object; readonly demand?: unknown } | null;

/** Errors of the previous version as those of the present one, which are classes of their own; and its pages. */
const translated = async (answer: unknown): Promise<unknown> => {
  try {
    const given = await answer;
    const { totals, demand } = (given ?? {}) as NonNullable<OldPage>;
    if (totals === undefined || demand !== undefined) return given;
    return { ...(given as object), demand: [], totals: { ...totals, unattributed: new Map() } };
  } catch (error) {
    const known = [LedgerBroken, LedgerRefused, LedgerUnavailable].find(({ name }) => name === (error as Error).name);
    if (known !== undefined) Object.setPrototypeOf(error as Error, known.prototype as object);
    throw error;
  }
};

/** `usePrevious` decides for each call. Calls that bind a ledger to an installation go to both. */
const mixed = (previous: RedisLedger, present: RedisLedger, usePrevious: () => boolean): AnyLedger =>
  new Proxy(present, {
    get: (_, name: string) => {
      const call = (ledger: RedisLedger, args: unknown[]): unknown =>
        translated((ledger as unknown as Readonly<Record<string, Method>>)[name]!.apply(ledger, args));
      if (name === 'claim' || name === 'close')
        return async (...args: unknown[]) => {
          await call(previous, args);
          return call(present, args);
        };
      return (...args: unknown[]) => call(isNew(name, previous) || !usePrevious() ? present : previous, args);
    },
  });

export const neighboursFixture = async (url: string, usePrevious: () => boolean): Promise<Fixture> => {
  const { openRedisLedger: openPrevious } = await previousLedger();
  return redisFixture({ url }, new Redis(url), (options) =>
    mixed(openPrevious(options), openRedisLedger(options), usePrevious),
  );
};
