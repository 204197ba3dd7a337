/** Writing records: a batch of one partition, and the request that carries it. Nothing here is packed. */
import { crc32c, type ProtocolRequest } from './kafkajs-internals.ts';
import type { RecordHeader } from './port.ts';
import { WireReader, WireWriter } from './wire.ts';

export type NewRecord = {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** In this order, the same name possibly several times. */
  readonly headers: readonly RecordHeader[];
};

export const PRODUCE = 0;
/** Every broker from 2.1 to 4 has it. */
const PRODUCE_VERSION = 7;
const ALL_IN_SYNC = -1;
/** Beyond the time that the broker may wait for its followers. */
export const GRACE_MS = 2_000;

/** What the leader says. `baseOffset`: of the first record, -1 for none. */
export type ProduceAnswer = {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly baseOffset: number;
};

/**
 * Asks the leader to write records to one partition and to answer when all replicas in sync have them. One partition
 * for each request: an answer is about these records, or there is none.
 *
 *   request:  transaction:null  acks:i16  timeout:i32  [topic [partition:i32 batch:bytes]]
 *   answer:   [topic [partition:i32 error:i16 base offset:i64 append time:i64 log start:i64]]  throttle:i32
 */
export const produceRequest = (
  topic: string,
  partition: number,
  batch: Buffer,
  timeoutMs: number,
): ProtocolRequest<ProduceAnswer | null> => {
  const body = new WireWriter()
    .int16(-1)
    .int16(ALL_IN_SYNC)
    .int32(timeoutMs)
    .int32(1)
    .string(false, topic)
    .int32(1)
    .int32(partition)
    .int32(batch.length)
    .raw(batch).buffer;
  return {
    request: {
      apiKey: PRODUCE,
      apiVersion: PRODUCE_VERSION,
      apiName: 'Produce',
      encode: async () => ({ buf: body, buffer: body }),
    },
    response: { decode: async (payload) => readAnswer(new WireReader(payload)), parse: async (decoded) => decoded },
    requestTimeout: timeoutMs + GRACE_MS,
  };
};

/** Null where the answer is about nothing. */
const readAnswer = (reader: WireReader): ProduceAnswer | null => {
  const answers: ProduceAnswer[] = [];
  reader.array(false, () => {
    const topic = reader.string(false) ?? '';
    reader.array(false, () => {
      const partition = reader.int32();
      const error = reader.int16();
      const baseOffset = reader.int64();
      reader.int64();
      reader.int64();
      answers.push({ topic, partition, error, baseOffset });
    });
  });
  return answers[0] ?? null;
};

/** A record batch of format 2 (record-batch.ts has its layout), of this time. */
export const batchOf = (records: readonly NewRecord[], timestampMs: number): Buffer => {
  const behindChecksum = new WireWriter()
    .int16(0)
    .int32(records.length - 1)
    .int64(timestampMs)
    .int64(timestampMs)
    .int64(-1)
    .int16(-1)
    .int32(-1)
    .int32(records.length);
  records.forEach((record, index) => {
    const bytes = recordBytes(record, index);
    behindChecksum.varint(bytes.length).raw(bytes);
  });
  const checked = behindChecksum.buffer;
  const checksum = Buffer.alloc(4);
  checksum.writeUInt32BE(crc32c(checked));
  const behindLength = new WireWriter().int32(-1).int8(2).raw(checksum).raw(checked).buffer;
  return new WireWriter().int64(0).int32(behindLength.length).raw(behindLength).buffer;
};

const recordBytes = ({ key, value, headers }: NewRecord, index: number): Buffer => {
  const out = new WireWriter().int8(0).varint(0).varint(index);
  nullable(out, key);
  nullable(out, value);
  out.varint(headers.length);
  for (const header of headers) {
    nullable(out, Buffer.from(header.name));
    nullable(out, header.value);
  }
  return out.buffer;
};

const nullable = (out: WireWriter, bytes: Uint8Array | null): void => {
  if (bytes === null) out.varint(-1);
  else out.varint(bytes.length).raw(bytes);
};
