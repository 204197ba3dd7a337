/** Why bytes are not OTLP trace data. A fixed list: it reaches logs and metrics. */
export type MalformedReason =
  /** They do not decode, and no writer of OTLP begins so: JSON, a schema registry's frame, text. */
  | 'not_otlp'
  /** A varint, a fixed number or a length reaches beyond the message that it lies in. */
  | 'truncated'
  /** A varint of more than ten bytes. */
  | 'bad_varint'
  /** Field number 0 or beyond 2^29 - 1, or a wire type that does not exist. */
  | 'bad_tag'
  /** A field of OTLP with another wire type than its own. */
  | 'bad_wire_type'
  /** A group that is not closed, or closed and not open. */
  | 'bad_group'
  /** Groups in groups, or values in values, beyond what is followed. */
  | 'too_deep'
  /** An id of another length than ids of its kind have; refused where Tempo's accounting is asked for. */
  | 'bad_id'
  /** More bytes than `MAX_RECORD_BYTES`. */
  | 'too_long'
  /** JSON that is broken off, or in which a field of OTLP has another kind of value than its own. */
  | 'bad_json'
  /** A schema registry's frame that cannot be read. */
  | 'bad_frame'
  /** No record of Tempo's ingest topic, or one that has not as many trace ids as traces. */
  | 'bad_push';

/** Far above what Kafka carries; positions and lengths of a record stay small integers. */
export const MAX_RECORD_BYTES = 2 ** 28;

/** `position`: offset of the field at fault in the protobuf message that the record holds. `detail`: for people. */
export type Malformed = {
  readonly kind: 'malformed';
  readonly position: number;
  readonly reason: MalformedReason;
  readonly detail?: string;
};

/** For people. */
export const malformedText = ({ reason, position, detail }: Malformed): string =>
  `${reason}${detail === undefined ? ` at byte ${position}` : `: ${detail}`}`;
