import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import kafkajs from 'kafkajs';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { CODECS, registerCodecs, release } from '../../../src/kafka/codecs.ts';

const MAX = 64 << 20;
const codecs = [...CODECS.entries()].map(([id, codec]) => ({ id, codec, name: codec.name }));
const byName = new Map(codecs.map(({ name, codec }) => [name, codec]));
const text = Buffer.from('resource spans, scope spans, spans. '.repeat(500));

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};

/** As snappy-java writes it: a header, then raw blocks with their sizes. */
const xerial = (plain: Buffer, blockBytes: number): Buffer => {
  const parts = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]), int32(1), int32(1)];
  for (let at = 0; at < plain.length; at += blockBytes) {
    const block = compressSync(plain.subarray(at, at + blockBytes));
    parts.push(int32(block.length), block);
  }
  return Buffer.concat(parts);
};

describe.each(codecs)('$name', ({ codec }) => {
  test('gives back what it was given', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), async (bytes) => {
        const plain = Buffer.from(bytes);
        expect(await codec.decompress(await codec.compress(plain), MAX)).toEqual(plain);
      }),
      { numRuns: 50 },
    );
  });

  test('takes 16 MiB', async () => {
    const plain = Buffer.alloc(16 << 20, text);
    const back = await codec.decompress(await codec.compress(plain), MAX);
    expect(back.equals(plain)).toBe(true);
  });

  test('gives its memory back when told so, but for the pool that small buffers share', async () => {
    const large = await codec.decompress(await codec.compress(Buffer.alloc(1 << 20, text)), MAX);
    expect(large.length).toBe(1 << 20);
    release(large);
    expect(large.length).toBe(0);
    const neighbour = Buffer.from('neighbour');
    const small = await codec.decompress(await codec.compress(Buffer.from('small')), MAX);
    release(small);
    expect([small.toString(), neighbour.toString()]).toEqual(['small', 'neighbour']);
  });

  test('refuses what would unfold beyond the bound', async () => {
    const packed = await codec.compress(Buffer.alloc(8 << 20));
    await expect(codec.decompress(packed, 1 << 20)).rejects.toMatchObject({ code: 'UNDECODABLE', reason: 'too_large' });
    expect((await codec.decompress(packed, 9 << 20)).length).toBe(8 << 20);
  });

  test('says that bytes are corrupt, wherever they are cut', async () => {
    const packed = await codec.compress(text);
    for (const cut of [0, 1, 5, 10, packed.length >> 1, packed.length - 5]) {
      await expect(codec.decompress(packed.subarray(0, cut), MAX)).rejects.toMatchObject({ reason: 'corrupt' });
    }
  });

  test('never answers anything but bytes or Undecodable for any input', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat({ max: 40 }), async (noise, keep) => {
        const packed = await codec.compress(text);
        const broken = Buffer.concat([packed.subarray(0, keep), Buffer.from(noise)]);
        await codec.decompress(broken, MAX).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'UNDECODABLE' });
        });
      }),
      { numRuns: 100 },
    );
  });
});

test.each([[100], [1000], [32 * 1024]])('snappy reads frames of Xerial in blocks of %d bytes', async (blockBytes) => {
  const codec = byName.get('snappy')!;
  expect(await codec.decompress(xerial(text, blockBytes), MAX)).toEqual(text);
  expect(await codec.decompress(xerial(Buffer.alloc(0), blockBytes), MAX)).toEqual(Buffer.alloc(0));
  await expect(codec.decompress(xerial(text, blockBytes).subarray(0, -3), MAX)).rejects.toMatchObject({
    reason: 'corrupt',
  });
  await expect(codec.decompress(xerial(text, blockBytes), text.length - 1)).rejects.toMatchObject({
    reason: 'too_large',
  });
});

test('what other programs of this format wrote is read', async () => {
  expect(await byName.get('gzip')!.decompress(gzipSync(text), MAX)).toEqual(text);
  expect(await byName.get('zstd')!.decompress(zstdCompressSync(text), MAX)).toEqual(text);
  expect(await byName.get('lz4')!.decompress(compressFrameSync(text), MAX)).toEqual(text);
});

test('a thousand tiny batches do not hold a megabyte each', async () => {
  for (const name of ['gzip', 'zstd']) {
    const codec = byName.get(name)!;
    const packed = await codec.compress(Buffer.from('a small record'));
    expect((await codec.decompress(packed, MAX)).buffer.byteLength).toBeLessThanOrEqual(Buffer.poolSize);
  }
});

test('gzip that lies about its size, or holds several members, is read to its end', async () => {
  const codec = byName.get('gzip')!;
  const lying = gzipSync(text);
  for (const said of [0, 1, 2 ** 32 - 1]) {
    lying.writeUInt32LE(said, lying.length - 4);
    await expect(codec.decompress(lying, MAX)).rejects.toMatchObject({ reason: 'corrupt' });
  }
  const members = Buffer.concat([gzipSync(Buffer.alloc(6 << 20, text)), gzipSync(text)]);
  expect((await codec.decompress(members, MAX)).length).toBe((6 << 20) + text.length);
});

test('kafkajs gets all four', async () => {
  registerCodecs();
  for (const { id } of codecs) {
    const codec = kafkajs.CompressionCodecs[id as 1]();
    const packed = (await codec.compress({ buffer: text } as never)) as Buffer;
    expect(await codec.decompress(packed)).toEqual(text);
  }
});
