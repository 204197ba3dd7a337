/** The ledger as a process sees it over a network: calls and answers are lost, or late, or find the server away. */
import { type Leases, type Ledger, type LedgerReader, LedgerUnavailable } from '../../src/ledger/port.ts';
import type { Random, Scheduler } from './scheduler.ts';
import type { SimProcess } from './sim-process.ts';

export type AnyLedger = Ledger & LedgerReader & Leases;

export type LedgerFaults = {
  /** Chance that a call is lost, or its answer. */
  callFailure: number;
  /** Chance that a call whose sender was told of a failure takes effect later. */
  late: number;
  /** Whether the server of a shard (null: of what lies outside) can be reached. */
  isAway: (shard: number | null) => boolean;
  /** Told after every call that took effect, in the order of the effects. */
  onServed: (served: Served) => void | Promise<void>;
};

export type Served = {
  readonly method: string;
  readonly shard: number | null;
  readonly args: readonly unknown[];
  readonly answer: unknown;
};

const UNAVAILABLE = new LedgerUnavailable('simulated');

const METHODS = [
  'examine',
  'claim',
  'firstSight',
  'commit',
  'view',
  'setMarkers',
  'move',
  'liveIds',
  'tenants',
  'retireAll',
  'forgetShard',
  'changes',
  'page',
  'keys',
  'purge',
  'removeAccount',
  'signIn',
  'signOut',
  'take',
  'renew',
  'release',
  'free',
] as const;
const OUTSIDE: ReadonlySet<string> = new Set(['examine', 'claim', 'firstSight', 'signIn', 'signOut']);

const shardOfCall = (method: string, args: readonly unknown[]): number | null => {
  if (OUTSIDE.has(method)) return null;
  if (method === 'commit') return (args[0] as { shard: number }).shard;
  if (method === 'free') return null;
  return args[0] as number;
};

type Method = (...args: unknown[]) => Promise<unknown>;

export const faultyLedger = (
  server: AnyLedger,
  process: SimProcess,
  scheduler: Scheduler,
  random: Random,
  faults: LedgerFaults,
): AnyLedger => {
  const call = (method: string, args: unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const shard = shardOfCall(method, args);
      const fate = random();
      const fail = (): void => reject(UNAVAILABLE);
      const serve = async (): Promise<unknown> => {
        const answer = await (server as unknown as Record<string, Method>)[method]!(...args);
        const followed = faults.onServed({ method, shard, args, answer });
        if (followed !== undefined) await followed;
        return answer;
      };
      if (faults.isAway(shard) || fate < faults.callFailure / 2) {
        process.in(300, fail);
        if (random() < faults.late) {
          scheduler.in(300 + random() * 4000, async () => {
            if (!faults.isAway(shard)) await serve().catch(() => {});
          });
        }
        return;
      }
      scheduler.in(1 + random() * 8, async () => {
        if (faults.isAway(shard)) return void process.in(300, fail);
        let deliver: () => void;
        try {
          const answer = await serve();
          deliver = () => resolve(answer);
        } catch (error) {
          deliver = () => reject(error);
        }
        if (fate < faults.callFailure) process.in(300, fail);
        else process.in(1 + random() * 8, deliver);
      });
    });
  const facade: Record<string, unknown> = { close: async () => {} };
  for (const method of METHODS) facade[method] = (...args: unknown[]) => call(method, args);
  return facade as unknown as AnyLedger;
};
