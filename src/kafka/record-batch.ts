/**
 * Kafka's record batches (format 2, since 0.11), as they lie in a fetch answer one behind the other:
 *
 *   base offset:i64  length:i32  leader epoch:i32  magic:i8  crc:u32  attributes:i16  last offset delta:i32
 *   base timestamp:i64  max timestamp:i64  producer:i64  producer epoch:i16  base sequence:i32  count:i32  records
 *
 *   attributes: 0-2 codec, 3 timestamps are the broker's, 4 transactional, 5 control
 *   record:  length:varint  attributes:i8  timestamp delta:varint  offset delta:varint
 *            key length:varint key  value length:varint value  headers:varint (name length:varint name  value length:varint value)*
 *
 * Lengths of -1 are null. The checksum is not looked at: brokers have, and TCP has its own.
 */
import { CODECS } from './codecs.ts';
import { Undecodable } from './errors.ts';
import type { RecordHeader, SourceRecord } from './port.ts';
import { WireReader } from './wire.ts';

export type BatchFrame = {
  readonly baseOffset: number;
  /** Counts control records and records that compaction took. */
  readonly lastOffset: number;
  readonly attributes: number;
  readonly baseTimestampMs: number;
  readonly maxTimestampMs: number;
  readonly producerId: number;
  readonly count: number;
  /** What is behind the header, compressed or not. */
  readonly body: Buffer;
};

const LENGTH_AT = 8;
const BEHIND_LENGTH = 12;
const HEADER = 61;
const MAGIC_AT = 16;
const LAST_DELTA_AT = 23;

export const codecOf = (frame: BatchFrame): number => frame.attributes & 7;
export const isTransactional = (frame: BatchFrame): boolean => (frame.attributes & 0x10) !== 0;
export const isControl = (frame: BatchFrame): boolean => (frame.attributes & 0x20) !== 0;

/**
 * Cuts the records of a fetch answer into batches. What is broken off at the end is left out: the broker cut it there.
 * A broken batch ends the list, and is thrown as `Undecodable` where it is the first.
 */
export const cutBatches = (set: Buffer): BatchFrame[] => {
  const frames: BatchFrame[] = [];
  let at = 0;
  while (at + MAGIC_AT < set.length) {
    const end = at + BEHIND_LENGTH + set.readInt32BE(at + LENGTH_AT);
    if (end > set.length) break;
    const fault = faultOf(set, at, end);
    if (fault !== null && frames.length > 0) return frames;
    if (fault !== null) throw fault;
    frames.push(readFrame(set, at, end));
    at = end;
  }
  if (frames.length === 0 && set.length > 0)
    throw new Undecodable('too_large', 'the fetch is smaller than its first batch');
  return frames;
};

/** Where to go on behind the batches that `cutBatches` finds; `from` where there are none. Looks at headers alone. */
export const behindBatches = (set: Buffer, from: number): number => {
  let next = from;
  for (let at = 0; at + HEADER <= set.length; ) {
    const end = at + BEHIND_LENGTH + set.readInt32BE(at + LENGTH_AT);
    if (end > set.length || faultOf(set, at, end) !== null) break;
    const header = new WireReader(set, at, end);
    next = header.int64() + set.readInt32BE(at + LAST_DELTA_AT) + 1;
    at = end;
  }
  return Math.max(from, next);
};

const faultOf = (set: Buffer, at: number, end: number): Undecodable | null => {
  const magic = set.readInt8(at + MAGIC_AT);
  if (magic < 2) return new Undecodable('old_format', `record format ${magic}: older than Kafka 0.11`);
  return end < at + HEADER ? new Undecodable('corrupt', 'a batch shorter than its header') : null;
};

const readFrame = (set: Buffer, at: number, end: number): BatchFrame => {
  const header = new WireReader(set, at, end);
  const baseOffset = header.int64();
  header.at = at + 21;
  const attributes = header.int16();
  const lastOffset = baseOffset + header.int32();
  const baseTimestampMs = header.int64();
  const maxTimestampMs = header.int64();
  const producerId = header.int64();
  header.at = at + 57;
  const count = header.int32();
  const body = set.subarray(at + HEADER, end);
  return { baseOffset, lastOffset, attributes, baseTimestampMs, maxTimestampMs, producerId, count, body };
};

/** `memory`: what the records are slices of, if it is their own, and not that of the fetch; `release` (codecs.ts) frees it. */
export type Unpacked = { readonly records: SourceRecord[]; readonly memory: Buffer | null };

/**
 * As `decodeRecords`, for those who know when nobody looks at the records any more. `unfolding`: what `unfoldAside` made
 * of this batch.
 */
export const unpackRecords = async (
  frame: BatchFrame,
  from: number,
  maxBytes: number,
  unfolding: Promise<Buffer> | null = null,
): Promise<Unpacked> => {
  const body = await (unfolding ?? unpack(frame, maxBytes));
  return { records: readRecords(body, frame, from), memory: body === frame.body ? null : body };
};

/** Begins to unfold a batch in another thread, for `unpackRecords`; null where it is to be done at its turn. */
export const unfoldAside = (frame: BatchFrame, maxBytes: number): Promise<Buffer> | null =>
  CODECS.get(codecOf(frame))?.decompressAside?.(frame.body, maxBytes) ?? null;

/** The records of a batch at `from` or behind it. Buffers are slices of `frame.body`, or of what was decompressed. */
export const decodeRecords = async (frame: BatchFrame, from: number, maxBytes: number): Promise<SourceRecord[]> =>
  (await unpackRecords(frame, from, maxBytes)).records;

const readRecords = (body: Buffer, frame: BatchFrame, from: number): SourceRecord[] => {
  if (frame.count < 0 || frame.count > body.length)
    throw new Undecodable('corrupt', `${frame.count} records in ${body.length} bytes`);
  const reader = new WireReader(body);
  const records: SourceRecord[] = [];
  for (let i = 0; i < frame.count; i++) {
    const end = reader.varint() + reader.at;
    if (end > body.length || end < reader.at)
      throw new Undecodable('corrupt', `record ${i} of ${frame.count} is cut off`);
    const record = readRecord(new WireReader(body, reader.at, end), frame);
    if (record.offset >= from) records.push(record);
    reader.at = end;
  }
  return records;
};

const unpack = (frame: BatchFrame, maxBytes: number): Promise<Buffer> | Buffer => {
  const id = codecOf(frame);
  if (id === 0) return frame.body;
  const codec = CODECS.get(id);
  if (codec === undefined) throw new Undecodable('unknown_codec', `codec ${id} is none that Kafka has`);
  return codec.decompress(frame.body, maxBytes);
};

const NO_HEADERS: readonly RecordHeader[] = [];
const NO_BYTES = new Uint8Array(0);
const BROKER_TIME = 0x08;

const readRecord = (reader: WireReader, frame: BatchFrame): SourceRecord => {
  reader.int8();
  const timestamp = frame.baseTimestampMs + reader.varint();
  const offset = frame.baseOffset + reader.varint();
  const key = readBytes(reader);
  const value = readBytes(reader);
  const count = reader.varint();
  if (count > reader.left) throw new Undecodable('corrupt', `${count} headers in ${reader.left} bytes`);
  const headers = count <= 0 ? NO_HEADERS : readHeaders(reader, count);
  return {
    offset,
    timestampMs: frame.attributes & BROKER_TIME ? frame.maxTimestampMs : timestamp,
    key,
    value,
    headers,
  };
};

const readHeaders = (reader: WireReader, count: number): RecordHeader[] => {
  const headers: RecordHeader[] = [];
  for (let i = 0; i < count; i++) {
    const name = reader.text(reader.varint());
    headers.push({ name, value: readBytes(reader) ?? NO_BYTES });
  }
  return headers;
};

const readBytes = (reader: WireReader): Buffer | null => {
  const length = reader.varint();
  return length < 0 ? null : reader.slice(length);
};

export type AbortedTransaction = { readonly producerId: number; readonly firstOffset: number };

/** Key of a control record: version:i16  type:i16, where type 0 is an abort. */
const ABORT = 0;

/**
 * Tells which batches of a fetch belong to aborted transactions. Asked once for each batch, in order: an aborted
 * producer's batches are void from the transaction's first offset up to its abort marker.
 */
export const abortedFilter = (aborted: readonly AbortedTransaction[]): ((frame: BatchFrame) => boolean) => {
  const coming = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset);
  const open = new Set<number>();
  return (frame) => {
    while (coming.length > 0 && coming[0]!.firstOffset <= frame.lastOffset) open.add(coming.shift()!.producerId);
    if (isControl(frame)) {
      if (isAbortMarker(frame)) open.delete(frame.producerId);
      return true;
    }
    return isTransactional(frame) && open.has(frame.producerId);
  };
};

const isAbortMarker = (frame: BatchFrame): boolean => {
  if (codecOf(frame) !== 0 || frame.count < 1) return false;
  const reader = new WireReader(frame.body);
  reader.varint();
  const { key } = readRecord(reader, frame);
  return key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT;
};
