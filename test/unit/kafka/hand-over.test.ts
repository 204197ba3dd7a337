import { expect, test } from '@jest/globals';
import { CODECS } from '../../../src/kafka/codecs.ts';
import { HandOver } from '../../../src/kafka/hand-over.ts';
import { HeldPartitions } from '../../../src/kafka/held.ts';
import type { SourceBatch } from '../../../src/kafka/port.ts';
import type { FetchedPartition } from '../../../src/kafka/requests.ts';
import { batchBytes } from './new-batch.ts';

const where = { topic: 't', partition: 0 };
const quiet = () => {};
const VALUE = Buffer.alloc(400_000, 'resource spans, scope spans, spans. ');
/** Where the records begin: behind the header of the batch (record-batch.ts). */
const HEADER = 61;

/** A batch of three records of VALUE, packed. */
const packed = async (codec: number): Promise<Buffer> => {
  const record = { gap: 0, timestampMs: 1, key: null, value: VALUE, headers: [] };
  const { bytes } = batchBytes([record, record, record], { baseOffset: 0, attributes: codec });
  const body = await CODECS.get(codec)!.compress(bytes.subarray(HEADER));
  const whole = Buffer.concat([bytes.subarray(0, HEADER), body]);
  whole.writeInt32BE(whole.length - 12, 8);
  return whole;
};

const deliver = async (records: Buffer, batch: (batch: SourceBatch) => Promise<boolean>): Promise<string[]> => {
  const faults: string[] = [];
  const handOver = new HandOver(
    {
      handler: { batch },
      maxBatchBytes: 64 << 20,
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
      watch: quiet,
      heartbeat: async () => {},
      isMember: () => true,
      running: new Map(),
    },
    (error) => {
      faults.push(String(error));
      handOver.stop();
    },
  );
  const held = new HeldPartitions([where]);
  held.seek(where, 0);
  const [one] = held.all;
  const fetched: FetchedPartition = {
    ...where,
    error: 0,
    highWatermark: 3,
    lastStableOffset: 3,
    aborted: [],
    records,
  };
  await handOver.take({ held: one!, stamp: one!.stamp, offset: 0 }, fetched);
  return faults;
};

test.each([...CODECS])(
  'what codec %d unfolded is whole for the handler, and freed when it has come back',
  async (id) => {
    const values: Buffer[] = [];
    const wasWhole: boolean[] = [];
    await deliver(await packed(id), async ({ records }) => {
      await new Promise((resolve) => setImmediate(resolve));
      for (const { value } of records) {
        wasWhole.push(value!.equals(VALUE));
        values.push(value!);
      }
      return true;
    });
    expect(wasWhole).toEqual([true, true, true]);
    expect(values.map(({ length }) => length)).toEqual([0, 0, 0]);
  },
);

test('what a handler that failed may still be reading is left alone', async () => {
  const values: Buffer[] = [];
  const faults = await deliver(await packed(2), async ({ records }) => {
    values.push(...records.map(({ value }) => value!));
    throw new Error('a fault');
  });
  expect(faults).toEqual(['Error: a fault']);
  expect(values.map((value) => value.equals(VALUE))).toEqual([true, true, true]);
});
