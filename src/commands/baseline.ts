/** What the ledger held at a time, as a file: what a later `state verify --since` compares with. */
import { readFileSync, writeFileSync } from 'node:fs';
import type { AccountName, Identity, MarkerField, ShardCut } from '../ledger/port.ts';
import { SHARDS } from '../ledger/port.ts';
import { Obstacle } from './state-open.ts';

export type BaselineShard = {
  readonly life: string;
  /** The change counter, us: moves after it came later. */
  readonly counter: number;
  readonly markers: ReadonlyMap<MarkerField, number>;
  readonly totals: readonly (AccountName & { readonly total: readonly number[] })[];
};

export type Baseline = {
  readonly takenAt: string;
  /** By shard; null where it had no state. */
  readonly shards: readonly (BaselineShard | null)[];
};

const FORMAT = 1;

export const baselineOf = (cuts: readonly (ShardCut | null)[], takenAt: string): Baseline => ({
  takenAt,
  shards: cuts.map(
    (cut) =>
      cut && {
        life: cut.view.life,
        counter: cut.view.counter,
        markers: cut.view.markers,
        totals: cut.accounts.map(({ tenant, tracker, totals }) => ({ tenant, tracker, total: totals.total })),
      },
  ),
});

export const saveBaseline = (file: string, baseline: Baseline, identity: Identity): void => {
  const shards = baseline.shards.map((shard) => shard && { ...shard, markers: Object.fromEntries(shard.markers) });
  try {
    writeFileSync(file, `${JSON.stringify({ tracetallyBaseline: FORMAT, ...identity, ...baseline, shards })}\n`);
  } catch (error) {
    throw new Obstacle(`${file} cannot be written: ${(error as Error).message}`);
  }
};

type Stored = Identity &
  Omit<Baseline, 'shards'> & {
    readonly tracetallyBaseline: number;
    readonly shards: readonly (Omit<BaselineShard, 'markers'> & { readonly markers: Record<string, number> })[];
  };

/** Throws an `Obstacle` for a file that is none, or of another installation. */
export const loadBaseline = (file: string, identity: Identity): Baseline => {
  let stored: Stored;
  try {
    stored = JSON.parse(readFileSync(file, 'utf8')) as Stored;
  } catch (error) {
    throw new Obstacle(`${file} cannot be read: ${(error as Error).message}`);
  }
  if (stored?.tracetallyBaseline !== FORMAT || stored.shards?.length !== SHARDS)
    throw new Obstacle(`${file} is not what state verify --save writes`);
  if (stored.clusterId !== identity.clusterId || stored.groupId !== identity.groupId)
    throw new Obstacle(`${file} is of the group "${stored.groupId}" on Kafka cluster ${stored.clusterId}`);
  const shards = stored.shards.map(
    (shard) => shard && { ...shard, markers: new Map(Object.entries(shard.markers) as [MarkerField, number][]) },
  );
  return { takenAt: stored.takenAt, shards };
};
