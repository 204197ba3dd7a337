/** What is done to the fleet while it soaks: one fault at a time, its kind and its times by a seed. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../support/random.ts';
import type { KafkaCluster } from '../support/services/kafka.ts';
import type { RedisServer } from '../support/services/redis.ts';
import type { Replica } from '../support/services/replica.ts';

export type Stage = {
  readonly kafka: KafkaCluster;
  readonly redis: RedisServer;
  /** The first is never ended by a fault, so that one process lives from the beginning to the end. */
  readonly replicas: readonly Replica[];
  readonly random: Random;
  readonly tell: (text: string) => void;
};

export type Fault = { readonly kind: string; readonly weight: number; run(stage: Stage): Promise<void> };

const seconds = (stage: Stage, low: number, high: number): number => stage.random.between(low * 10, high * 10) / 10;

export const FAULTS: readonly Fault[] = [
  {
    kind: 'replica killed (SIGKILL)',
    weight: 4,
    run: async (stage) => {
      const replica = stage.random.pick(stage.replicas.slice(1));
      const downS = seconds(stage, 1, 20);
      stage.tell(`SIGKILL ${replica.name}, down for ${downS} s`);
      replica.signal('SIGKILL');
      await replica.exit();
      await sleep(downS * 1000);
      await replica.start();
    },
  },
  {
    kind: 'replica stopped (SIGSTOP, SIGCONT)',
    weight: 4,
    run: async (stage) => {
      const replica = stage.random.pick(stage.replicas);
      const stoppedS = seconds(stage, 2, 30);
      stage.tell(`SIGSTOP ${replica.name} for ${stoppedS} s`);
      replica.signal('SIGSTOP');
      await sleep(stoppedS * 1000);
      replica.signal('SIGCONT');
    },
  },
  {
    kind: 'Redis killed (SIGKILL)',
    weight: 3,
    run: async ({ redis, tell, ...stage }) => {
      const downS = seconds({ redis, tell, ...stage }, 0, 10);
      tell(`SIGKILL Redis, down for ${downS} s`);
      await redis.kill();
      await sleep(downS * 1000);
      await redis.start();
    },
  },
  {
    kind: 'Redis put back (loses its newest writes)',
    weight: 2,
    run: async (stage) => {
      const { redis, tell } = stage;
      const snapshot = await redis.snapshot();
      const backS = seconds(stage, 2, 15);
      await sleep(backS * 1000);
      tell(`Redis loses the last ${backS} s`);
      await redis.kill();
      await redis.restore(snapshot);
      await redis.start();
    },
  },
  {
    kind: 'broker stopped (SIGTERM)',
    weight: 2,
    run: async (stage) => restartBroker(stage, 'SIGTERM'),
  },
  {
    kind: 'broker killed (SIGKILL)',
    weight: 1,
    run: async (stage) => restartBroker(stage, 'SIGKILL'),
  },
  {
    kind: 'rolling restart (SIGTERM)',
    weight: 2,
    run: async ({ replicas, tell }) => {
      tell('rolling restart');
      for (const replica of replicas.slice(1)) {
        replica.signal('SIGTERM');
        const { code, signal } = await replica.exit();
        if (code !== 0)
          throw new Error(`${replica.name} did not end well at SIGTERM: ${signal ?? `exit code ${code}`}`);
        await replica.start();
        await replica.waitReady(180_000);
      }
    },
  },
];

async function restartBroker(stage: Stage, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  const downS = seconds(stage, 0, 8);
  stage.tell(`${signal} to the broker, down for ${downS} s`);
  await stage.kafka.kill(0, signal);
  await sleep(downS * 1000);
  await stage.kafka.start(0);
}
