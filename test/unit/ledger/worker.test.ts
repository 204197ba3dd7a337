/** What a worker refuses to gather. Everything else of it is under simulation. */
import { afterEach, expect, test } from '@jest/globals';
import type { BatchControl, RecordSource, SourceBatch } from '../../../src/kafka/port.ts';
import { systemClock } from '../../../src/ledger/clock.ts';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import { commitMetadata } from '../../../src/ledger/partition.ts';
import { Worker } from '../../../src/ledger/worker.ts';
import { waitUntil } from '../../support/wait-for.ts';

const WHERE = { topic: 't', partition: 0 };
let worker: Worker | undefined;
afterEach(() => worker?.stop());

/** A worker that stands at offset 0 of its one partition; `gathered`: the offsets that it took. */
const atZero = async () => {
  const ledger = new MemoryLedger({ nowUs: () => Date.now() * 1000 });
  await ledger.claim({ clusterId: 'c', groupId: 'g' });
  let held = { offset: null as number | null, metadata: '' };
  const source: RecordSource = {
    start: async () => {},
    quiesce: async () => {},
    stop: async () => {},
    seek: () => {},
    pause: () => {},
    resume: () => {},
    topics: async () => [{ name: 't', id: 'id', partitions: 1 }],
    commits: async () => [{ ...WHERE, ...held }],
    commit: async (_generation, [request]) => {
      held = { offset: request!.offset, metadata: commitMetadata({ topicId: 'id', start: 0 }) };
    },
    ranges: async () => [{ ...WHERE, start: 0, end: 100 }],
    clusterId: async () => 'c',
  };
  const gathered: number[] = [];
  worker = new Worker({
    source,
    ledger,
    topics: ['t'],
    clock: systemClock,
    gather: ({ offset }) => gathered.push(offset) > 0,
    tablesFootprint: () => 0,
    flushIntervalMs: 60_000,
    lookIntervalMs: 60_000,
    maxPendingBytes: 1 << 20,
    maxTenantsPerShard: 10,
    fromBeginning: true,
    onLoss: 'continue',
    patienceMs: 0,
    watch: () => {},
    fatal: (error) => {
      throw error;
    },
  });
  worker.start();
  worker.handler.assigned(1, [WHERE]);
  await waitUntil(async () => [...worker!.partitions].every(({ phase }) => phase === 'active'), {
    timeoutMs: 10_000,
    what: 'a position',
  });
  return { handler: worker.handler, gathered };
};

const batch = (fetchedFrom: number, offsets: readonly number[]): SourceBatch => ({
  ...WHERE,
  fetchedFrom,
  next: offsets.at(-1)! + 1,
  highWatermark: 100,
  records: offsets.map((offset) => ({ offset, timestampMs: 0, key: null, value: Buffer.alloc(1), headers: [] })),
});
const control = (isCurrent: boolean): BatchControl => ({ heartbeat: async () => {}, isCurrent: () => isCurrent });

test('a batch from before the last seek is not gathered: the topic of that name may be another one', async () => {
  const { handler, gathered } = await atZero();
  expect(await handler.batch(batch(0, [0, 1, 2]), control(false))).toBe(false);
  expect(gathered).toEqual([]);
  expect(await handler.batch(batch(0, [0, 1, 2]), control(true))).toBe(true);
  expect(gathered).toEqual([0, 1, 2]);
});

test('a batch that begins behind what is gathered is not gathered, and what lies below it is skipped', async () => {
  const { handler, gathered } = await atZero();
  expect(await handler.batch(batch(5, [5, 6]), control(true))).toBe(false);
  expect(await handler.batch(batch(0, [0, 1]), control(true))).toBe(true);
  expect(await handler.batch(batch(0, [0, 1, 4]), control(true))).toBe(true);
  expect(gathered).toEqual([0, 1, 4]);
});
