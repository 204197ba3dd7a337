/** What happens to replicas. Each resolves when the fault is over, with a word on what it did. */
import { setTimeout as sleep } from 'node:timers/promises';
import { killReplica } from '../support/fleet.ts';
import type { Replica } from '../support/services/replica.ts';
import { DIMENSIONS } from '../support/traffic-world.ts';
import type { Fault, ReplicaFault } from './plan.ts';
import type { Stage } from './stage.ts';

export type Trouble = (stage: Stage, fault: Fault) => Promise<string>;

/** The session of a member is 6 s; what is asleep for longer wakes as a zombie. */
const PAST_SESSION_MS = 7_500;
const LIMITS = [60, 120, 250, 400] as const;

export const REPLICA_TROUBLES: Readonly<Record<ReplicaFault, Trouble>> = {
  'replica-killed': async (stage, { dice, holdMs }) => {
    const victims = victimsOf(stage, dice);
    await Promise.all(victims.map(killReplica));
    await sleep(holdMs);
    for (const victim of victims) await victim.start();
    return names(victims);
  },
  'replica-asleep': async (stage, { dice, holdMs }) => {
    const victims = victimsOf(stage, dice);
    for (const victim of victims) victim.signal('SIGSTOP');
    try {
      await sleep(PAST_SESSION_MS + holdMs / 2);
    } finally {
      for (const victim of victims) victim.signal('SIGCONT');
    }
    return `${names(victims)} for ${((PAST_SESSION_MS + holdMs / 2) / 1000).toFixed(1)} s`;
  },
  'rolling-restart': async (stage) => {
    await roll(stage);
    return 'all replicas, one by one';
  },
  'limit-changed': async (stage, { dice }) => {
    const before = stage.accounting.limit;
    const others = LIMITS.filter((limit) => limit !== before);
    const limit = others[dice % others.length]!;
    stage.accounting.limit = limit;
    await roll(stage);
    if (limit < before) stage.watch.limitLowered();
    return `${before} -> ${limit} live series`;
  },
  'dimensions-changed': async (stage) => {
    const { 'span.http.route': route, ...others } = DIMENSIONS;
    const has = 'span.http.route' in stage.accounting.dimensions;
    stage.accounting.dimensions = has
      ? { ...others, 'span.name': 'operation' }
      : { ...others, 'span.http.route': route! };
    await roll(stage);
    return Object.values(stage.accounting.dimensions).join(', ');
  },
};

/** One, or two of them. */
function victimsOf({ replicas }: Stage, dice: number): Replica[] {
  const first = dice % replicas.length;
  const second = (first + 1 + (dice % (replicas.length - 1))) % replicas.length;
  return dice % 3 === 0 ? [replicas[first]!, replicas[second]!] : [replicas[first]!];
}

function names(replicas: readonly Replica[]): string {
  return replicas.map(({ name }) => name).join(' and ');
}

/** SIGTERM, and a new start with the configuration of now, one after the other. */
async function roll(stage: Stage): Promise<void> {
  for (const [i, replica] of stage.replicas.entries()) {
    await endReplica(replica);
    await stage.configure(i);
    await replica.start();
    await replica.waitReady(90_000);
  }
}

/** By SIGTERM: it must end well, whatever else happens. */
export async function endReplica(replica: Replica): Promise<void> {
  if (!replica.running()) return;
  replica.signal('SIGTERM');
  const { code, signal } = await replica.exit();
  if (code !== 0) throw new Error(`${replica.name} did not end well at SIGTERM: ${signal ?? `exit code ${code}`}`);
}
