/** A place where ledgers are kept, and what the contract needs to do to them from outside. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { MemoryLedger } from '../../src/ledger/memory-ledger.ts';
import { openRedisLedger, type RedisLedgerOptions } from '../../src/ledger/redis-ledger.ts';
import type { AnyLedger } from './calls.ts';

export const IDENTITY = { clusterId: 'cluster-a', groupId: 'group-a' };

export type Fixture = {
  /** Another client of the ledger under the prefix, not yet bound to an installation. */
  open(prefix: string): AnyLedger;
  /** As if the shard's last commit was that long ago. */
  passTime(ledger: AnyLedger, shard: number, seconds: number): Promise<void>;
  /** As if the server's clock had been set back since the shard's last write. */
  stepBack(ledger: AnyLedger, shard: number, seconds: number): Promise<void>;
  /** The record of the whole is lost, the shards are not. */
  loseRecord(ledger: AnyLedger): Promise<void>;
  stop(): Promise<void>;
};

export const newPrefix = (): string => `contract-${randomUUID().slice(0, 8)}`;

export const memoryFixture = (): Fixture => {
  const ledgers = new Map<string, { ledger: MemoryLedger; aheadUs: number }>();
  const stateOf = (ledger: AnyLedger) => [...ledgers.values()].find((state) => state.ledger === ledger)!;
  return {
    open: (prefix) => {
      const found = ledgers.get(prefix);
      if (found !== undefined) return found.ledger;
      const state = { aheadUs: 0 };
      const ledger = new MemoryLedger({ prefix, nowUs: () => Date.now() * 1000 + state.aheadUs });
      ledgers.set(prefix, Object.assign(state, { ledger }));
      return ledger;
    },
    passTime: async (ledger, _shard, seconds) => {
      stateOf(ledger).aheadUs += seconds * 1e6;
    },
    stepBack: async (ledger, _shard, seconds) => {
      stateOf(ledger).aheadUs -= seconds * 1e6;
    },
    loseRecord: async (ledger) => stateOf(ledger).ledger.restoreOutside(null),
    stop: async () => {},
  };
};

/** `admin` must reach every key: a plain client, or one of a cluster. */
export const redisFixture = (
  options: Omit<RedisLedgerOptions, 'keyPrefix'>,
  admin: Pick<Redis, 'exists' | 'hincrby' | 'del' | 'disconnect'>,
  openLedger: (options: RedisLedgerOptions) => AnyLedger & { close(): Promise<void> } = openRedisLedger,
): Fixture => {
  const opened = new Map<AnyLedger, string>();
  const metaOf = (ledger: AnyLedger, shard: number): string => ledgerKeys(opened.get(ledger)!).shard(shard).meta;
  return {
    open: (prefix) => {
      const ledger = openLedger({ ...options, keyPrefix: prefix });
      opened.set(ledger, prefix);
      return ledger;
    },
    passTime: async (ledger, shard, seconds) => {
      const meta = metaOf(ledger, shard);
      if ((await admin.exists(meta)) === 1) await admin.hincrby(meta, 'called', -seconds * 1e6);
    },
    stepBack: async (ledger, shard, seconds) => {
      await admin.hincrby(metaOf(ledger, shard), 'called', seconds * 1e6);
      await admin.hincrby(metaOf(ledger, shard), 'counter', seconds * 1e6);
    },
    loseRecord: async (ledger) => {
      await admin.del(ledgerKeys(opened.get(ledger)!).ledger);
    },
    stop: async () => {
      await Promise.all([...opened.keys()].map((ledger) => ledger.close()));
      admin.disconnect();
    },
  };
};

export const singleFixture = (url: string): Fixture => redisFixture({ url }, new Redis(url));
