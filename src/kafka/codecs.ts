/**
 * The four codecs of Kafka's record batches, in both directions. What comes out is bounded: a small batch that would
 * unfold into gigabytes is refused before the memory is spent.
 */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrame } from 'lz4-napi';
import { compress as compressSnappy, uncompress as uncompressSnappy } from 'snappy';
import { Undecodable } from './errors.ts';

export type Codec = {
  readonly name: string;
  compress(plain: Buffer): Promise<Buffer>;
  /** Rejects with `Undecodable`: `corrupt`, or `too_large` where more than `maxBytes` would come out. */
  decompress(packed: Buffer, maxBytes: number): Promise<Buffer>;
};

const gzip = promisify(zlib.gzip);
const gunzip = promisify(zlib.gunzip);
const zstdCompress = promisify(zlib.zstdCompress);
const zstdDecompress = promisify(zlib.zstdDecompress);

const LARGEST_CHUNK = 1 << 20;
const SMALLEST_CHUNK = 1 << 12;

/**
 * zlib allocates whole chunks, and a decompressed batch keeps the chunk it lies in: large ones are 4-5 times faster,
 * but thousands of tiny batches of one fetch would hold a megabyte each.
 */
const chunkFor = (packedBytes: number): number =>
  Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, 2 ** Math.ceil(Math.log2(packedBytes * 4 + 1))));

const inflated = async (codec: string, work: Promise<Buffer>, maxBytes: number): Promise<Buffer> => {
  try {
    return await work;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(codec, maxBytes, cause);
    throw corrupt(codec, cause);
  }
};

const tooLarge = (codec: string, maxBytes: number, cause?: unknown): Undecodable =>
  new Undecodable('too_large', `${codec}: more than ${maxBytes} bytes would come out`, { cause });

const corrupt = (codec: string, cause?: unknown): Undecodable =>
  new Undecodable('corrupt', `${codec}: ${cause instanceof Error ? cause.message : 'broken off'}`, { cause });

const gzipCodec: Codec = {
  name: 'gzip',
  compress: (plain) => gzip(plain, { chunkSize: chunkFor(plain.length / 4) }),
  decompress: (packed, maxBytes) =>
    inflated('gzip', gunzip(packed, { chunkSize: chunkFor(packed.length), maxOutputLength: maxBytes }), maxBytes),
};

const zstdCodec: Codec = {
  name: 'zstd',
  compress: (plain) => zstdCompress(plain, { chunkSize: chunkFor(plain.length / 4) }),
  decompress: (packed, maxBytes) =>
    inflated(
      'zstd',
      zstdDecompress(packed, { chunkSize: chunkFor(packed.length), maxOutputLength: maxBytes }),
      maxBytes,
    ),
};

/**
 * snappy, raw as most clients write it:  length:uvarint  elements
 * or in Xerial's frame as Java does:     82 'S' 'N' 'A' 'P' 'P' 'Y' 00  version:int32  compatible:int32  (size:int32 raw)*
 */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const XERIAL_HEADER = 16;

const snappyCodec: Codec = {
  name: 'snappy',
  compress: (plain) => compressSnappy(plain),
  decompress: async (packed, maxBytes) => {
    const blocks = isXerial(packed) ? xerialBlocks(packed) : [packed];
    let total = 0;
    for (const block of blocks) total += snappyLength(block);
    if (total > maxBytes) throw tooLarge('snappy', maxBytes);
    try {
      if (blocks.length === 1) return await unsnap(blocks[0]!);
      return Buffer.concat(await Promise.all(blocks.map(unsnap)), total);
    } catch (cause) {
      throw corrupt('snappy', cause);
    }
  },
};

const unsnap = async (block: Buffer): Promise<Buffer> => (await uncompressSnappy(block, { asBuffer: true })) as Buffer;

const isXerial = (packed: Buffer): boolean =>
  packed.length >= XERIAL_HEADER && packed.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC);

const xerialBlocks = (packed: Buffer): Buffer[] => {
  const blocks: Buffer[] = [];
  for (let at = XERIAL_HEADER; at < packed.length; ) {
    if (at + 4 > packed.length) throw corrupt('snappy');
    const size = packed.readUInt32BE(at);
    at += 4;
    if (size > packed.length - at) throw corrupt('snappy');
    if (size > 0) blocks.push(packed.subarray(at, at + size));
    at += size;
  }
  return blocks;
};

const snappyLength = (block: Buffer): number => {
  let length = 0;
  for (let at = 0; at < 5; at++) {
    const byte = block[at];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return length;
  }
  throw corrupt('snappy');
};

const lz4Codec: Codec = {
  name: 'lz4',
  compress: (plain) => compressFrame(plain),
  decompress: async (packed, maxBytes) => {
    if (lz4Bound(packed) > maxBytes) throw tooLarge('lz4', maxBytes);
    try {
      return await decompressFrame(packed);
    } catch (cause) {
      throw corrupt('lz4', cause);
    }
  },
};

/**
 * The most that can come out of an LZ4 frame, in bytes, told by its blocks alone:
 * magic:u32  FLG:u8  BD:u8  [content size:u64]  [dictionary:u32]  HC:u8  (size:u32 data [checksum:u32])*  0:u32
 */
const LZ4_MAGIC = 0x184d2204;
const LZ4_BEST_RATIO = 255;

const lz4Bound = (packed: Buffer): number => {
  if (packed.length < 11 || packed.readUInt32LE(0) !== LZ4_MAGIC) throw corrupt('lz4');
  const flags = packed[4]!;
  const blockMax = 2 ** (8 + 2 * ((packed[5]! >> 4) & 7));
  const blockTrailer = flags & 0x10 ? 4 : 0;
  let at = 7 + (flags & 0x08 ? 8 : 0) + (flags & 0x01 ? 4 : 0);
  let bound = 0;
  for (;;) {
    if (at + 4 > packed.length) throw corrupt('lz4');
    const field = packed.readUInt32LE(at);
    if (field === 0) return bound;
    const size = field & 0x7fffffff;
    bound += field >>> 31 ? size : Math.min(blockMax, size * LZ4_BEST_RATIO);
    at += 4 + size + blockTrailer;
  }
};

/** By the number that a record batch names them with (the lowest three bits of its attributes). 0 is none. */
export const CODECS: ReadonlyMap<number, Codec> = new Map([
  [1, gzipCodec],
  [2, snappyCodec],
  [3, lz4Codec],
  [4, zstdCodec],
]);

/** What a codec registered in kafkajs may unfold into. */
const KAFKAJS_MAX_BYTES = 256 * 1024 * 1024;

/** Gives kafkajs all four codecs, for its producers and its own consumers. Holds for the process; may be called again. */
export const registerCodecs = (): void => {
  for (const [id, codec] of CODECS) {
    kafkajs.CompressionCodecs[id as keyof typeof kafkajs.CompressionCodecs] = () => ({
      compress: (encoder: { readonly buffer: Buffer }) => codec.compress(encoder.buffer),
      decompress: (packed: Buffer) => codec.decompress(packed, KAFKAJS_MAX_BYTES),
    });
  }
};
