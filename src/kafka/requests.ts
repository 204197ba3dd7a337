/** Requests that kafkajs does not have, or not in a form that is of use: they are sent over its connections. */
import type { ProtocolRequest } from './kafkajs-internals.ts';
import type { AbortedTransaction } from './record-batch.ts';
import { WireReader, WireWriter } from './wire.ts';

export const NO_ERROR = 0;
export const OFFSET_OUT_OF_RANGE = 1;
export const UNKNOWN_TOPIC_OR_PARTITION = 3;
export const TOPIC_AUTHORIZATION_FAILED = 29;
/** Records of aborted transactions, and those not yet committed, stay out of sight. */
export const READ_COMMITTED = 1;

const request = <T>(
  api: { readonly key: number; readonly version: number; readonly name: string },
  body: Buffer,
  decode: (reader: WireReader) => T,
): ProtocolRequest<T> => ({
  request: {
    apiKey: api.key,
    apiVersion: api.version,
    apiName: api.name,
    encode: async () => ({ buf: body, buffer: body }),
  },
  response: { decode: async (payload) => decode(new WireReader(payload)), parse: async (decoded) => decoded },
});

export type PartitionMetadata = { readonly partition: number; readonly error: number; readonly leader: number };
export type TopicMetadata = {
  readonly name: string;
  readonly error: number;
  /** Hex without dashes; empty where the broker says none. */
  readonly id: string;
  readonly partitions: readonly PartitionMetadata[];
};
export type ClusterMetadata = {
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly clusterId: string;
  readonly topics: readonly TopicMetadata[];
};

export const METADATA = 3;
/** The first with topic ids that also takes names; and one that every broker since 2.1 has. */
export const METADATA_WITH_IDS = 12;
export const METADATA_PLAIN = 7;

const NO_ID = '0'.repeat(32);

/**
 * Asks for these topics, none of which is created by asking.
 *
 *   request:  [topics]  create:bool  (12: topic = id:uuid name tags;  authorized operations:bool tags)
 *   answer:   throttle:i32  [node:i32 host port:i32 rack]  cluster id  controller:i32
 *             [error:i16 name (12: id:uuid) internal:bool [error:i16 index:i32 leader:i32 epoch:i32 replicas isr offline] (12: operations:i32)]
 */
/** `topics` null: all that there are. */
export const metadataRequest = (
  topics: readonly string[] | null,
  withIds: boolean,
): ProtocolRequest<ClusterMetadata> => {
  const out = new WireWriter();
  // The header of a flexible request ends in tags; kafkajs writes headers without.
  out.noTags(withIds);
  if (topics === null) out.noArray(withIds);
  else {
    out.array(withIds, topics, (topic) => {
      if (withIds) out.raw(Buffer.alloc(16));
      out.string(withIds, topic).noTags(withIds);
    });
  }
  out.int8(0);
  if (withIds) out.int8(0).noTags(true);
  const version = withIds ? METADATA_WITH_IDS : METADATA_PLAIN;
  return request({ key: METADATA, version, name: 'Metadata' }, out.buffer, (reader) => readMetadata(reader, withIds));
};

const readMetadata = (reader: WireReader, withIds: boolean): ClusterMetadata => {
  reader.tags(withIds);
  reader.int32();
  const brokers = reader.array(withIds, () => {
    const broker = { nodeId: reader.int32(), host: reader.string(withIds) ?? '', port: reader.int32() };
    reader.string(withIds);
    reader.tags(withIds);
    return broker;
  });
  const clusterId = reader.string(withIds) ?? '';
  reader.int32();
  const topics = reader.array(withIds, () => readTopic(reader, withIds));
  return { brokers, clusterId, topics };
};

const readTopic = (reader: WireReader, withIds: boolean): TopicMetadata => {
  const error = reader.int16();
  const name = reader.string(withIds) ?? '';
  const uuid = withIds ? reader.slice(16).toString('hex') : NO_ID;
  reader.int8();
  const partitions = reader.array(withIds, () => readPartition(reader, withIds));
  if (withIds) reader.int32();
  reader.tags(withIds);
  return { name, error, id: uuid === NO_ID ? '' : uuid, partitions };
};

const readPartition = (reader: WireReader, withIds: boolean): PartitionMetadata => {
  const error = reader.int16();
  const partition = reader.int32();
  const leader = reader.int32();
  reader.int32();
  for (let list = 0; list < 3; list++) reader.array(withIds, () => reader.int32());
  reader.tags(withIds);
  return { partition, error, leader };
};

export type FetchPartition = { readonly topic: string; readonly partition: number; readonly offset: number };
export type FetchLimits = {
  readonly maxWaitMs: number;
  readonly maxBytes: number;
  readonly maxBytesPerPartition: number;
};
export type FetchedPartition = {
  readonly topic: string;
  readonly partition: number;
  readonly error: number;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly aborted: readonly AbortedTransaction[];
  /** Record batches as the broker has them; the last may be cut off. */
  readonly records: Buffer;
};
export type FetchAnswer = {
  readonly error: number;
  readonly partitions: readonly FetchedPartition[];
  /** What `records` are slices of. */
  readonly memory: Buffer;
};

export const FETCH = 1;
export const FETCH_VERSION = 11;
const NO_RECORDS = Buffer.alloc(0);

/**
 * A fetch without a session. kafkajs has the same one, but unpacks all of the answer at once, fails as a whole for one
 * partition's error or one bad batch, and loses the order of record headers.
 *
 *   request:  replica:i32  wait:i32  min:i32  max:i32  isolation:i8  session:i32  epoch:i32
 *             [topic [partition:i32 leader epoch:i32 offset:i64 log start:i64 max:i32]]  [forgotten]  rack
 *   answer:   throttle:i32  error:i16  session:i32
 *             [topic [partition:i32 error:i16 high:i64 stable:i64 start:i64 [producer:i64 first:i64] replica:i32 records]]
 */
export const fetchRequest = (wanted: readonly FetchPartition[], limits: FetchLimits): ProtocolRequest<FetchAnswer> => {
  const out = new WireWriter();
  out.int32(-1).int32(limits.maxWaitMs).int32(1).int32(limits.maxBytes).int8(READ_COMMITTED).int32(0).int32(-1);
  // In the order given, each on its own: the broker fills the answer in this order.
  out.array(false, wanted, ({ topic, partition, offset }) => {
    out
      .string(false, topic)
      .int32(1)
      .int32(partition)
      .int32(-1)
      .int64(offset)
      .int64(-1)
      .int32(limits.maxBytesPerPartition);
  });
  out.int32(0).string(false, '');
  const made = request({ key: FETCH, version: FETCH_VERSION, name: 'Fetch' }, out.buffer, readFetch);
  return { ...made, requestTimeout: limits.maxWaitMs + FETCH_GRACE_MS };
};

/** Beyond the wait that was asked for: 16 MiB over a slow line, from a busy broker. */
const FETCH_GRACE_MS = 30_000;

const readFetch = (reader: WireReader): FetchAnswer => {
  reader.int32();
  const error = reader.int16();
  reader.int32();
  const partitions: FetchedPartition[] = [];
  reader.array(false, () => {
    const topic = reader.string(false) ?? '';
    reader.array(false, () => partitions.push(readFetched(reader, topic)));
  });
  return { error, partitions, memory: reader.buffer };
};

const readFetched = (reader: WireReader, topic: string): FetchedPartition => {
  const partition = reader.int32();
  const error = reader.int16();
  const highWatermark = reader.int64();
  const lastStableOffset = reader.int64();
  reader.int64();
  const aborted = reader.array(false, () => ({ producerId: reader.int64(), firstOffset: reader.int64() }));
  reader.int32();
  const bytes = reader.int32();
  const records = bytes < 0 ? NO_RECORDS : reader.slice(bytes);
  return { topic, partition, error, highWatermark, lastStableOffset, aborted, records };
};
