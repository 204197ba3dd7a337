import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { registerCodecs } from '../../../src/kafka/codecs.ts';
import {
  abortedFilter,
  behindBatches,
  codecOf,
  cutBatches,
  decodeRecords,
  isControl,
} from '../../../src/kafka/record-batch.ts';
import { batchBytes, endMarker, type NewRecord } from './new-batch.ts';

const MAX = 64 << 20;
type OracleRecord = {
  readonly offset: string;
  readonly timestamp: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | Buffer[]>>;
};
const fromKafkajs = createRequire(import.meta.url);
const Decoder = fromKafkajs('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => unknown;
const oracle = fromKafkajs('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: unknown,
) => Promise<{ records: OracleRecord[] }>;

const fixtures = gunzipSync(readFileSync(join(import.meta.dirname, '../../fixtures/kafka/record-batches.jsonl.gz')))
  .toString()
  .trim()
  .split('\n')
  .map(
    (line) =>
      JSON.parse(line) as {
        case: string;
        base_offset: number;
        last_offset: number;
        records: number;
        codec: string;
        batch_b64: string;
      },
  );

beforeAll(registerCodecs);

describe('what a Collector wrote', () => {
  test.each([...new Set(fixtures.map((f) => f.case))])('%s is read as kafkajs reads it', async (name) => {
    for (const fixture of fixtures.filter((f) => f.case === name)) {
      const bytes = Buffer.from(fixture.batch_b64, 'base64');
      const [frame, ...others] = cutBatches(bytes);
      expect(others).toEqual([]);
      expect([frame!.baseOffset, frame!.lastOffset, frame!.count]).toEqual([
        fixture.base_offset,
        fixture.last_offset,
        fixture.records,
      ]);
      expect(['none', 'gzip', 'snappy', 'lz4', 'zstd'][codecOf(frame!)]).toBe(fixture.codec);
      const records = await decodeRecords(frame!, 0, MAX);
      const expected = (await oracle(new Decoder(bytes))).records;
      expect(records.map((r) => [r.offset, r.timestampMs, r.key, r.value])).toEqual(
        expected.map((r) => [Number(r.offset), Number(r.timestamp), r.key, r.value]),
      );
      expect(records.map((r) => r.headers.map((h) => [h.name, Buffer.from(h.value)]))).toEqual(
        expected.map((r) => Object.entries(r.headers).map(([key, value]) => [key, value])),
      );
    }
  });

  test('the fixtures hold all codecs', () => {
    expect([...new Set(fixtures.map((f) => f.codec))].sort()).toEqual(['gzip', 'lz4', 'none', 'snappy', 'zstd']);
  });
});

const bytes = fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b));
const anyRecord: fc.Arbitrary<NewRecord> = fc.record({
  gap: fc.nat({ max: 5 }),
  timestampMs: fc.nat({ max: 2 ** 41 }),
  key: fc.option(bytes),
  value: fc.option(bytes),
  headers: fc.array(fc.record({ name: fc.constantFrom('X-Scope-OrgID', '__proto__', '1', 'b', ''), value: bytes }), {
    maxLength: 4,
  }),
});

test('records come back as they were written, headers in wire order and as often as they were there', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRecord, { minLength: 1, maxLength: 10 }),
      fc.nat({ max: 2 ** 40 }),
      async (written, base) => {
        const made = batchBytes(written, { baseOffset: base });
        const [frame] = cutBatches(made.bytes);
        const records = await decodeRecords(frame!, 0, MAX);
        expect(records.map((r) => r.offset)).toEqual(made.offsets);
        expect(frame!.lastOffset).toBe(made.offsets.at(-1));
        expect(records.map(({ offset: _, ...r }) => r)).toEqual(written.map(({ gap: _, ...r }) => r));
      },
    ),
  );
});

test('records below the offset that was asked for are left out', async () => {
  const records = Array.from({ length: 10 }, (_, i) => ({
    gap: 0,
    timestampMs: i,
    key: null,
    value: Buffer.from([i]),
    headers: [],
  }));
  const [frame] = cutBatches(batchBytes(records, { baseOffset: 100 }).bytes);
  expect((await decodeRecords(frame!, 107, MAX)).map((r) => r.offset)).toEqual([107, 108, 109]);
});

test('a timestamp of the broker is that of the whole batch', async () => {
  const record = { gap: 0, timestampMs: 5000, key: null, value: null, headers: [] };
  const [frame] = cutBatches(batchBytes([record], { baseOffset: 0, attributes: 0x08, maxTimestampMs: 7777 }).bytes);
  expect((await decodeRecords(frame!, 0, MAX))[0]!.timestampMs).toBe(7777);
});

describe('bytes that are no batch', () => {
  const one = batchBytes([{ gap: 0, timestampMs: 1, key: null, value: Buffer.from('value'), headers: [] }], {
    baseOffset: 0,
  }).bytes;

  test('a batch that the broker cut off at the end is left for the next fetch', () => {
    expect(cutBatches(Buffer.concat([one, one.subarray(0, 30)]))).toHaveLength(1);
  });

  test('a first batch that is cut off is said to be too large, not passed over', () => {
    expect(() => cutBatches(one.subarray(0, one.length - 1))).toThrow(expect.objectContaining({ reason: 'too_large' }));
  });

  test('a format from before Kafka 0.11 is named', () => {
    const old = Buffer.from(one);
    old.writeInt8(1, 16);
    expect(() => cutBatches(old)).toThrow(expect.objectContaining({ reason: 'old_format' }));
    expect(cutBatches(Buffer.concat([one, old]))).toHaveLength(1);
  });

  test('an unknown codec is named', async () => {
    const odd = Buffer.from(one);
    odd.writeInt16BE(6, 21);
    await expect(decodeRecords(cutBatches(odd)[0]!, 0, MAX)).rejects.toMatchObject({ reason: 'unknown_codec' });
  });

  test('whatever byte is wrong: records, or Undecodable', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.nat({ max: 255 }), async (at, byte) => {
        const broken = Buffer.from(one);
        broken[at % broken.length] = byte;
        try {
          for (const frame of cutBatches(broken)) await decodeRecords(frame, 0, MAX);
        } catch (error) {
          expect(error).toMatchObject({ code: 'UNDECODABLE' });
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('batches of an aborted transaction are void up to its marker, those of others are not', () => {
  const record = { gap: 0, timestampMs: 1, key: null, value: null, headers: [] };
  const data = (baseOffset: number, producerId: number, attributes = 0x10) =>
    batchBytes([record], { baseOffset, attributes, producerId }).bytes;
  const set = Buffer.concat([
    data(0, 7),
    data(1, 8),
    data(2, 7),
    data(3, 7, 0),
    endMarker(4, 7, 'abort'),
    data(5, 7),
    endMarker(6, 7, 'commit'),
    endMarker(7, 8, 'commit'),
    data(8, 8),
  ]);
  const isVoid = abortedFilter([
    { producerId: 8, firstOffset: 8 },
    { producerId: 7, firstOffset: 0 },
  ]);
  const frames = cutBatches(set);
  expect(frames.map(isVoid)).toEqual([true, false, true, false, true, false, true, true, true]);
  expect(frames.map(isControl)).toEqual([false, false, false, false, true, false, true, true, false]);
});

test('what is behind the batches is told by their headers alone, also where the last is cut off', () => {
  const sizes = fc.array(fc.record({ records: fc.integer({ min: 1, max: 5 }), gap: fc.nat(9) }), { maxLength: 6 });
  fc.assert(
    fc.property(sizes, fc.nat(5000), fc.double({ min: 0, max: 1, noNaN: true }), (batches, start, cut) => {
      let next = start;
      const sets = batches.map(({ records, gap }) => {
        const one = { gap, timestampMs: 0, key: null, value: Buffer.from('v'), headers: [] };
        const { bytes, offsets } = batchBytes(
          Array.from({ length: records }, () => one),
          { baseOffset: next },
        );
        next = offsets.at(-1)! + 1;
        return bytes;
      });
      const all = Buffer.concat(sets);
      expect(behindBatches(all, start)).toBe(next);
      const part = all.subarray(0, Math.floor(all.length * cut));
      let last: number | undefined;
      try {
        last = cutBatches(part).at(-1)?.lastOffset;
      } catch {
        // Not even the first is whole.
      }
      expect(behindBatches(part, start)).toBe(last === undefined ? start : last + 1);
      expect(behindBatches(all, next + 7)).toBe(next + 7);
    }),
  );
});
