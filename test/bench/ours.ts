/** The service's own path, from the source to a ledger in Redis, for the processes that a bench starts. */
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { TenantChain } from '../../src/attribution/tenant.ts';
import { createKafkaSource } from '../../src/kafka/source.ts';
import { systemClock } from '../../src/ledger/clock.ts';
import { openRedisLedger } from '../../src/ledger/redis-ledger.ts';
import { Worker } from '../../src/ledger/worker.ts';
import { Pipeline } from '../../src/pipeline.ts';

export type OursOptions = {
  readonly brokers: readonly string[];
  readonly redis: string;
  readonly topic: string;
  readonly group: string;
  /** Attribute and label of each dimension. */
  readonly attributes: readonly (readonly [string, string])[];
  readonly partitionBytes: number;
  /** Hears of every record. */
  readonly accepted: (bytes: number) => void;
};

/** Reads until it is told to settle what it has gathered. It stays a member. */
export async function readWithOurs(options: OursOptions): Promise<{ readonly settle: () => Promise<void> }> {
  const { brokers, redis, topic, group, accepted } = options;
  const quiet = () => {};
  const source = createKafkaSource({
    brokers,
    clientId: 'bench',
    groupId: group,
    topics: [topic],
    maxBytesPerPartition: options.partitionBytes,
    logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  });
  const ledger = openRedisLedger({ url: redis, keyPrefix: group });
  await ledger.claim({ clusterId: await source.clusterId(), groupId: group });
  const { dimensions } = parseDimensions(options.attributes, { sharedLabels: 'refuse' });
  const pipeline = new Pipeline({
    tenants: new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], 'bench'),
    settings: () => ({ trackers: [{ name: 'cost-attribution', dimensions, limit: 1_000_000, staleS: 900 }] }),
    maxLabelValueLength: 2048,
    watch: {
      accepted,
      regionDiscarded: quiet,
      discarded: (reason) => {
        throw new Error(`a record of the corpus was discarded: ${reason}`);
      },
    },
  });
  const worker = new Worker({
    source,
    ledger,
    topics: [topic],
    clock: systemClock,
    gather: pipeline.gather,
    tablesFootprint: () => pipeline.footprint,
    flushIntervalMs: 5_000,
    lookIntervalMs: 10_000,
    maxPendingBytes: 256 << 20,
    maxTenantsPerShard: 1_000,
    fromBeginning: true,
    onLoss: 'stop',
    patienceMs: 10_000,
    watch: quiet,
    fatal: (error) => {
      throw error;
    },
  });
  worker.start();
  await source.start(worker.handler);
  return {
    settle: async () => {
      await source.quiesce();
      await worker.drain(30_000);
    },
  };
}
