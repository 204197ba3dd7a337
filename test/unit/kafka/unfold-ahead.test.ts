import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CODECS } from '../../../src/kafka/codecs.ts';
import { HandOver } from '../../../src/kafka/hand-over.ts';
import { HeldPartitions } from '../../../src/kafka/held.ts';
import type { SourceBatch } from '../../../src/kafka/port.ts';
import { cutBatches, decodeRecords } from '../../../src/kafka/record-batch.ts';
import { UnfoldAhead } from '../../../src/kafka/unfold-ahead.ts';
import { batchBytes } from './new-batch.ts';

const MAX = 64 << 20;
const HEADER = 61;
/** Enough for another thread, and too little. */
const LARGE = 150_000;
const SMALL = 200;

type Planned = {
  readonly codec: number;
  readonly isLarge: boolean;
  readonly isAborted: boolean;
  /** Where a byte of the packed records is changed, as a share of them; null: it is sound. */
  readonly damagedAt: number | null;
};

const planned = fc.record({
  codec: fc.constantFrom(0, 1, 1, 2, 3, 4, 4),
  isLarge: fc.boolean(),
  isAborted: fc.integer({ min: 0, max: 5 }).map((it) => it === 0),
  damagedAt: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, fc.double({ min: 0, max: 1, noNaN: true })),
});

const write = async (plan: Planned, baseOffset: number): Promise<Buffer> => {
  const value = Buffer.alloc(plan.isLarge ? LARGE : SMALL, `spans of ${baseOffset}, `);
  const record = { gap: 0, timestampMs: 1, key: null, value, headers: [] };
  const attributes = plan.codec | (plan.isAborted ? 0x10 : 0);
  const { bytes } = batchBytes([record, record], { baseOffset, attributes, producerId: 7 });
  const plain = bytes.subarray(HEADER);
  const body = plan.codec === 0 ? Buffer.from(plain) : await CODECS.get(plan.codec)!.compress(plain);
  if (plan.damagedAt !== null) body[Math.floor(plan.damagedAt * (body.length - 1))]! ^= 0x55;
  const whole = Buffer.concat([bytes.subarray(0, HEADER), body]);
  whole.writeInt32BE(whole.length - 12, 8);
  return whole;
};

type Seen = { readonly offset: number; readonly value: string };
const seen = ({ offset, value }: { offset: number; value: Buffer | null }): Seen => ({
  offset,
  value: value!.toString('latin1'),
});

/** What is to be delivered, batch after batch in this thread, and whether a broken one ends it. */
const oracle = async (
  set: Buffer,
  plans: readonly Planned[],
  from: number,
): Promise<{ all: Seen[]; broken: boolean }> => {
  const all: Seen[] = [];
  for (const [i, frame] of cutBatches(set).entries()) {
    if (plans[i]!.isAborted || frame.lastOffset < from) continue;
    try {
      all.push(...(await decodeRecords(frame, from, MAX)).map(seen));
    } catch {
      return { all, broken: true };
    }
  }
  return { all, broken: false };
};

test('what is unfolded ahead is delivered as if it had been at its turn, also beside broken batches', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(planned, { minLength: 1, maxLength: 6 }),
      fc.nat(3),
      fc.oneof(fc.constant(Number.POSITIVE_INFINITY), fc.nat(4)),
      async (plans, from, refusedCall) => {
        const set = Buffer.concat(await Promise.all(plans.map((plan, i) => write(plan, i * 2))));
        const wanted = await oracle(set, plans, from);
        const told: Seen[] = [];
        const unfolded: Buffer[] = [];
        let next = from;
        let calls = 0;
        const batch = async (part: SourceBatch): Promise<boolean> => {
          expect(part.fetchedFrom).toBe(next);
          await new Promise((resolve) => setImmediate(resolve));
          if (calls++ === refusedCall) return false;
          next = part.next;
          told.push(...part.records.map(seen));
          for (const { offset, value } of part.records) {
            const { codec, isLarge } = plans[offset >> 1]!;
            if (codec !== 0 && isLarge) unfolded.push(value!);
          }
          return true;
        };
        const troubles: string[] = [];
        const quiet = () => {};
        const handOver = new HandOver(
          {
            handler: { batch },
            maxBatchBytes: MAX,
            logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
            watch: (trouble) => troubles.push(trouble),
            heartbeat: async () => {},
            isMember: () => true,
            running: new Map(),
          },
          (error) => {
            throw error;
          },
        );
        const held = new HeldPartitions([{ topic: 't', partition: 0 }]);
        held.seek({ topic: 't', partition: 0 }, from);
        const [one] = held.all;
        const end = plans.length * 2;
        await handOver.take(
          { held: one!, stamp: one!.stamp, offset: from },
          {
            topic: 't',
            partition: 0,
            error: 0,
            highWatermark: end,
            lastStableOffset: end,
            aborted: [{ producerId: 7, firstOffset: 0 }],
            records: set,
          },
        );
        const isRefused = calls > refusedCall;
        expect(told).toEqual(isRefused ? wanted.all.slice(0, told.length) : wanted.all);
        expect(troubles).toEqual(wanted.broken && !isRefused ? ['undecodable'] : []);
        if (!wanted.broken && !isRefused) expect(next).toBe(Math.max(from, end));
        expect(one!.position).toBe(next);
        expect(unfolded.map(({ length }) => length)).toEqual(unfolded.map(() => 0));
      },
    ),
    { numRuns: 150 },
  );
});

test('one batch at a time is unfolded ahead, and what is dropped is free again', async () => {
  const plan = { codec: 1, isLarge: true, isAborted: false, damagedAt: null };
  const frames = cutBatches(Buffer.concat([await write(plan, 0), await write(plan, 2)]));
  const ahead = new UnfoldAhead(MAX);
  ahead.begin(frames[0]);
  ahead.begin(frames[1]);
  expect(frames.map((frame) => ahead.has(frame))).toEqual([true, false]);
  expect(ahead.take(frames[1]!)).toBeNull();
  await ahead.drop([frames[1]!]);
  expect(ahead.has(frames[0])).toBe(true);
  await ahead.drop(frames);
  ahead.begin(frames[1]);
  expect(ahead.has(frames[1])).toBe(true);
  const plain = await ahead.take(frames[1]!);
  expect(plain!.equals(await CODECS.get(1)!.decompress(frames[1]!.body, MAX))).toBe(true);
});

test.each([1, 4])('codec %d unfolds little, and very much, at its turn', async (codec) => {
  const plan = { codec, isAborted: false, damagedAt: null };
  const [small] = cutBatches(await write({ ...plan, isLarge: false }, 0));
  const many = await CODECS.get(codec)!.compress(Buffer.alloc(64 << 20));
  const ahead = new UnfoldAhead(128 << 20);
  ahead.begin(small);
  const large = { ...small!, body: many };
  ahead.begin(large);
  expect([small, large].map((frame) => ahead.has(frame))).toEqual([false, false]);
});
