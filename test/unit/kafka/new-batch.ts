/** Writes record batches byte by byte, for tests that need ones that no client would send. */
import { WireWriter } from '../../../src/kafka/wire.ts';

export type NewRecord = {
  /** Offsets left out before it. */
  readonly gap: number;
  readonly timestampMs: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly name: string; readonly value: Buffer }[];
};

export type NewBatch = {
  readonly baseOffset: number;
  readonly attributes?: number;
  readonly maxTimestampMs?: number;
  readonly producerId?: number;
};

const zigzag = (value: number): number => (value >= 0 ? value * 2 : -value * 2 - 1);

const bytesOf = (out: WireWriter, bytes: Buffer | null): WireWriter =>
  bytes === null ? out.uvarint(zigzag(-1)) : out.uvarint(zigzag(bytes.length)).raw(bytes);

export const batchBytes = (records: readonly NewRecord[], batch: NewBatch): { bytes: Buffer; offsets: number[] } => {
  const baseTimestamp = records[0]?.timestampMs ?? 0;
  const offsets: number[] = [];
  const body = new WireWriter();
  let delta = 0;
  for (const record of records) {
    delta += record.gap;
    const one = new WireWriter()
      .int8(0)
      .uvarint(zigzag(record.timestampMs - baseTimestamp))
      .uvarint(zigzag(delta));
    bytesOf(one, record.key);
    bytesOf(one, record.value);
    one.uvarint(zigzag(record.headers.length));
    for (const { name, value } of record.headers) bytesOf(bytesOf(one, Buffer.from(name)), value);
    bytesOf(body, one.buffer);
    offsets.push(batch.baseOffset + delta);
    delta++;
  }
  const rest = new WireWriter()
    .int32(0)
    .int8(2)
    .int32(0)
    .int16(batch.attributes ?? 0)
    .int32(Math.max(0, delta - 1))
    .int64(baseTimestamp)
    .int64(batch.maxTimestampMs ?? baseTimestamp)
    .int64(batch.producerId ?? -1)
    .int16(0)
    .int32(-1)
    .int32(records.length)
    .raw(body.buffer).buffer;
  return { bytes: new WireWriter().int64(batch.baseOffset).int32(rest.length).raw(rest).buffer, offsets };
};

export const endMarker = (offset: number, producerId: number, how: 'abort' | 'commit'): Buffer => {
  const key = new WireWriter().int16(0).int16(how === 'abort' ? 0 : 1).buffer;
  const record = { gap: 0, timestampMs: 1, key, value: Buffer.alloc(6), headers: [] };
  return batchBytes([record], { baseOffset: offset, attributes: 0x30, producerId }).bytes;
};
