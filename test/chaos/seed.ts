/** One seed from its start to its verdict. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ground } from './ground.ts';
import type { Fault, FaultName, Plan, Step } from './plan.ts';
import { LONE_FAULTS, OWN_FAULTS } from './plan.ts';
import { judgePrometheus } from './prometheus-truth.ts';
import { compareWithLogs, type Recovery, settle, totalsOf } from './settle.ts';
import { type Stage, startStage } from './stage.ts';
import { BROKER_TROUBLES } from './trouble-brokers.ts';
import { LONE_TROUBLES, TRAFFIC_TROUBLES } from './trouble-log.ts';
import { REDIS_TROUBLES } from './trouble-redis.ts';
import { REPLICA_TROUBLES, type Trouble } from './trouble-replicas.ts';

export type StepResult = Recovery & { readonly step: Step };

export type SeedResult = {
  readonly plan: Plan;
  readonly steps: readonly StepResult[];
  readonly bytes: number;
  readonly records: number;
  /** Readings of the third party that were proven. */
  readonly looks: number;
  /** Series in Prometheus. */
  readonly series: number;
  readonly seconds: number;
  /** Empty: exact. */
  readonly problems: readonly string[];
  /** Where the logs are; undefined where nothing went wrong. */
  readonly logs: string | undefined;
};

export type Tell = (text: string) => void;

const TROUBLES: Readonly<Record<Fault['name'], Trouble>> = {
  ...REPLICA_TROUBLES,
  ...BROKER_TROUBLES,
  ...REDIS_TROUBLES,
  ...TRAFFIC_TROUBLES,
  ...LONE_TROUBLES,
};

/** Never rejects: what goes wrong is among the problems. */
export async function runSeed(plan: Plan, ground: Ground, logsDirectory: string, tell: Tell): Promise<SeedResult> {
  const began = performance.now();
  const steps: StepResult[] = [];
  const problems: string[] = [];
  let [series, logs]: [number, string | undefined] = [0, undefined];
  let stage: Stage | undefined;
  try {
    stage = await startStage(plan, ground, tell);
    stage.watch.begin();
    tell(`ready after ${seconds(performance.now() - began)}`);
    for (const step of plan.steps) steps.push(await runStep(stage, step, tell));
    series = await verdict(stage, problems, tell);
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error));
  }
  problems.push(...(stage?.watch.problems.slice(0, 10) ?? []), ...(stage === undefined ? [] : deadOf(stage)));
  if (problems.length > 0) logs = stage?.keepLogs(logsDirectory);
  const size = stage?.book.size ?? { bytes: 0, records: 0 };
  const looks = stage?.watch.looks ?? 0;
  for (const proxy of ground.proxies) proxy.heal();
  await stage?.stop();
  return { plan, steps, ...size, looks, series, seconds: (performance.now() - began) / 1000, problems, logs };
}

async function runStep(stage: Stage, step: Step, tell: Tell): Promise<StepResult> {
  const isLone = step.faults.some(({ name }) => [...LONE_FAULTS, ...OWN_FAULTS].some((lone) => lone === name));
  stage.flow();
  await sleep(step.calmMs);
  if (isLone) {
    await stage.writer.end();
    await settle(stage);
  }
  await Promise.all(
    step.faults.map(async (fault) => {
      const said = await TROUBLES[fault.name](stage, fault);
      tell(`  ${fault.name}: ${said}`);
    }),
  );
  const overMs = performance.now();
  await stage.writer.end();
  const recovery = await settle(stage, overMs);
  stage.watch.conclude();
  if (stage.watch.problems.length > 0) throw new Error('a third reader saw what must not be');
  tell(`  exact after ${seconds(recovery.exactMs)}, shown after ${seconds(recovery.shownMs)}`);
  return { step, ...recovery };
}

/** Notes everything that is not as it must be at the end. Answers the number of series in Prometheus. */
async function verdict(stage: Stage, problems: string[], tell: Tell): Promise<number> {
  problems.push(...(await compareWithLogs(stage)).slice(0, 10));
  const totals = await totalsOf(stage);
  const lostWrites = sawLostWrites(stage);
  if (lostWrites && !mayLoseWrites(stage.plan))
    problems.push('the replicas saw lost writes, and no fault of the plan loses any');
  stage.judging.excuses.lostWrites = lostWrites;
  const judged = await judgePrometheus(stage.prometheus, totals, stage.judging);
  problems.push(...judged.problems.slice(0, 20));
  const born =
    judged.bornHigh === 0
      ? ''
      : `, ${judged.bornHigh} born without a zero, in a replay or a hole longer than the hold (stated)`;
  tell(`  Prometheus: ${judged.series} series, ${judged.problems.length} differ${born}`);
  const losses = stage.judging.excuses.lost.length > 0 ? [] : ['tracetally_ledger_losses_total'];
  for (const metric of ['tracetally_audit_failures_total', 'tracetally_gap_records_total', ...losses])
    if ((await stage.metric(metric)) !== 0) problems.push(`${metric} is ${await stage.metric(metric)}`);
  return judged.series;
}

/** Faults after which the ledger is behind the group's commits: writes were lost, or somebody moved the commits up. */
const LOSING: ReadonlySet<FaultName> = new Set([
  'redis-forgets',
  'failover-losing-writes',
  'failover-asked',
  'node-comes-back-older',
  'commits-moved',
]);

/** With Sentinels a master that sleeps is replaced; what it takes after it woke, until it is told, is lost. */
function mayLoseWrites({ form, steps }: Plan): boolean {
  const names = steps.flatMap(({ faults }) => faults.map(({ name }) => name));
  return names.some((name) => LOSING.has(name) || (form === 'sentinel' && name === 'redis-asleep'));
}

function sawLostWrites({ replicas }: Stage): boolean {
  return replicas.some(({ logFile }) => readFileSync(logFile, 'utf8').includes('"msg":"ledger_lost_writes"'));
}

function deadOf({ replicas }: Stage): string[] {
  return replicas
    .filter((replica) => !replica.running())
    .map((replica) => `${replica.name} has ended: ${replica.log().slice(-600)}`);
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
