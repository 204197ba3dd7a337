/**
 * The four codecs of Kafka's record batches, in both directions. What comes out is bounded: a small batch that would
 * unfold into gigabytes is refused before the memory is spent.
 */
import { promisify } from 'node:util';
import zlib from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrame, decompressFrameSync } from 'lz4-napi';
import { compress as compressSnappy, uncompressSync } from 'snappy';
import { Undecodable } from './errors.ts';

export type Codec = {
  readonly name: string;
  compress(plain: Buffer): Promise<Buffer>;
  /** Rejects with `Undecodable`: `corrupt`, or `too_large` where more than `maxBytes` would come out. */
  decompress(packed: Buffer, maxBytes: number): Promise<Buffer>;
  /**
   * The same in another thread, for who has something else to do meanwhile; `packed` must stay as it is until then. Null
   * where that does not pay, or is not to be had.
   */
  decompressAside?(packed: Buffer, maxBytes: number): Promise<Buffer> | null;
};

/**
 * snappy and lz4 unfold in this thread: a megabyte takes half a millisecond, into memory that is still warm from the
 * batch before. In the pool's threads it takes longer, and the addons' allocator keeps what it once had for each of
 * them: the process grew by gigabytes. gzip and zstd, which are slower and allocate here, go to the pool with what
 * unfolds into more than this.
 */
const AT_ONCE_BYTES = 4 << 20;

/**
 * Gives the memory of what `decompress` answered back now. Left to the garbage collector, batches outside of its heap
 * call it up again and again, and lie about by the hundred megabytes until it comes. Nobody may look at `unpacked`, or
 * at a slice of it, any more: it is empty.
 */
export const release = (unpacked: Buffer): void => {
  const memory = unpacked.buffer;
  // Smaller ones may lie in the pool that all small buffers share.
  if (memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize) memory.transfer(0);
};

const gzip = promisify(zlib.gzip);
const gunzip = promisify(zlib.gunzip);
const zstdCompress = promisify(zlib.zstdCompress);
const zstdDecompress = promisify(zlib.zstdDecompress);

const LARGEST_CHUNK = 1 << 20;
const SMALLEST_CHUNK = 1 << 12;

/** zlib allocates whole chunks: large ones are 4-5 times faster, but what came out keeps the chunk that it lies in. */
const chunkFor = (packedBytes: number): number =>
  Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, 2 ** Math.ceil(Math.log2(packedBytes * 4 + 1))));

type ZlibOptions = { readonly chunkSize: number; readonly maxOutputLength: number };

type Inflater = {
  readonly name: string;
  readonly now: (packed: Buffer, options: ZlibOptions) => Buffer;
  readonly later: (packed: Buffer, options: ZlibOptions) => Promise<Buffer>;
  /** How many bytes will come out, as far as can be told. */
  readonly guess: (packed: Buffer) => number;
};

/** What unfolds into less has come out here before another thread would have begun. */
const ASIDE_BYTES = 128 << 10;

const inflateAside = (inflater: Inflater, packed: Buffer, maxBytes: number): Promise<Buffer> | null => {
  const guessed = inflater.guess(packed);
  // Of large ones one in memory is enough.
  if (guessed < ASIDE_BYTES || guessed >= AT_ONCE_BYTES) return null;
  return inflateLater(inflater, packed, { chunkSize: guessed + 1, maxOutputLength: maxBytes });
};

const inflateLater = async ({ name, later }: Inflater, packed: Buffer, options: ZlibOptions): Promise<Buffer> => {
  try {
    return await later(packed, options);
  } catch (cause) {
    throw isTooLarge(cause) ? tooLarge(name, options.maxOutputLength, cause) : corrupt(name, cause);
  }
};

const inflate = async (inflater: Inflater, packed: Buffer, maxBytes: number): Promise<Buffer> => {
  const { name, now, guess } = inflater;
  const guessed = guess(packed);
  const mostNow = Math.min(maxBytes, AT_ONCE_BYTES);
  if (guessed < mostNow) {
    try {
      // One byte more than is needed, so that there is one chunk, with all of it.
      return now(packed, { chunkSize: Math.max(SMALLEST_CHUNK, guessed + 1), maxOutputLength: mostNow });
    } catch (cause) {
      if (!isTooLarge(cause)) throw corrupt(name, cause);
    }
  }
  return inflateLater(inflater, packed, { chunkSize: chunkFor(packed.length), maxOutputLength: maxBytes });
};

const isTooLarge = (cause: unknown): boolean => (cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE';

const tooLarge = (codec: string, maxBytes: number, cause?: unknown): Undecodable =>
  new Undecodable('too_large', `${codec}: more than ${maxBytes} bytes would come out`, { cause });

const corrupt = (codec: string, cause?: unknown): Undecodable =>
  new Undecodable('corrupt', `${codec}: ${cause instanceof Error ? cause.message : 'broken off'}`, { cause });

/** A member of gzip ends with the size of what it holds, modulo 2^32. It may lie, and there may be several. */
const gunzipper: Inflater = {
  name: 'gzip',
  now: zlib.gunzipSync,
  later: gunzip,
  guess: (packed) => (packed.length < 4 ? 0 : packed.readUInt32LE(packed.length - 4)),
};

const gzipCodec: Codec = {
  name: 'gzip',
  compress: (plain) => gzip(plain, { chunkSize: chunkFor(plain.length / 4) }),
  decompress: (packed, maxBytes) => inflate(gunzipper, packed, maxBytes),
  decompressAside: (packed, maxBytes) => inflateAside(gunzipper, packed, maxBytes),
};

/** Streams, which is what clients write, do not say their size. */
const ZSTD_USUAL_RATIO = 16;

const unzstd: Inflater = {
  name: 'zstd',
  now: zlib.zstdDecompressSync,
  later: zstdDecompress,
  guess: (packed) =>
    packed.length > AT_ONCE_BYTES / 2
      ? Number.POSITIVE_INFINITY
      : Math.min(AT_ONCE_BYTES - 1, packed.length * ZSTD_USUAL_RATIO),
};

const zstdCodec: Codec = {
  name: 'zstd',
  compress: (plain) => zstdCompress(plain, { chunkSize: chunkFor(plain.length / 4) }),
  decompress: (packed, maxBytes) => inflate(unzstd, packed, maxBytes),
  decompressAside: (packed, maxBytes) => inflateAside(unzstd, packed, maxBytes),
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
      return blocks.length === 1 ? unsnap(blocks[0]!) : unsnapAll(blocks, total);
    } catch (cause) {
      throw corrupt('snappy', cause);
    }
  },
};

const unsnap = (block: Buffer): Buffer => uncompressSync(block, { asBuffer: true }) as Buffer;

const unsnapAll = (blocks: readonly Buffer[], total: number): Buffer => {
  const all = Buffer.allocUnsafeSlow(total);
  let at = 0;
  for (const block of blocks) {
    const plain = unsnap(block);
    at += plain.copy(all, at);
    release(plain);
  }
  return all;
};

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
      return decompressFrameSync(packed);
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
