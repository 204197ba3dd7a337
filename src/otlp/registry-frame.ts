/**
 * The frame that Confluent's serializers put before a value:
 *
 *   value   = ( %x00 4 bytes of schema id, big-endian | %x01 16 bytes of schema GUID ) [ indexes ] payload
 *   indexes = %x00 | count *count index        zigzag varints; the path of the message in its file, %x00 for the first
 *
 * No protobuf message and no JSON text begins with %x00 or %x01. A payload of JSON has no indexes before it.
 */
import type { Malformed } from './malformed.ts';

const ID_BYTES = 4;
const GUID_BYTES = 16;
/** Messages in messages. */
const MAX_INDEXES = 100;
const BRACE = 0x7b;

/** `schema`: the id as a number, or the GUID as hex. `payload` is a slice of the value. */
export type Framed = {
  readonly schema: number | string;
  readonly indexes: readonly number[];
  readonly payload: Buffer;
};

export const isFramed = (value: Buffer): boolean => value[0] === 0 || value[0] === 1;

/** Takes the frame of an `isFramed` value apart. */
export const unframe = (value: Buffer): Framed | Malformed => {
  const isGuid = value[0] === 1;
  const head = 1 + (isGuid ? GUID_BYTES : ID_BYTES);
  if (value.length < head) return bad('it is cut off');
  const schema = isGuid ? value.toString('hex', 1, head) : value.readUInt32BE(1);
  if (value[head] === BRACE) return { schema, indexes: [], payload: value.subarray(head) };
  const cursor = { at: head };
  const count = zigzag(value, cursor);
  if (count === null || count < 0 || count > MAX_INDEXES) return bad('no message indexes follow the schema');
  const indexes: number[] = count === 0 ? [0] : [];
  for (let i = 0; i < count; i++) {
    const index = zigzag(value, cursor);
    if (index === null || index < 0) return bad('its message indexes are broken');
    indexes.push(index);
  }
  return { schema, indexes, payload: value.subarray(cursor.at) };
};

const bad = (detail: string): Malformed => ({ kind: 'malformed', position: 0, reason: 'bad_frame', detail });

/** Null: cut off, or beyond 32 bits. */
const zigzag = (bytes: Buffer, cursor: { at: number }): number | null => {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
  return null;
};
