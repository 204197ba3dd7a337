/**
 * Fixed lists that more than one folder says: each is a type of the code that tells, a label of its metrics, and some are
 * values of settings. Each stands here and nowhere else.
 */

/** Why a record is not accepted. Each is a series of the house as well. */
export const DISCARD_REASONS = [
  'null_value',
  'malformed',
  'not_otlp',
  'jaeger',
  'zipkin',
  'other_signal',
  'no_tenant',
  'invalid_tenant',
  'unknown_schema',
  'foreign_schema',
] as const;

/** Why what was gathered of a partition was dropped and read again. */
export const DROP_CAUSES = ['marker_moved', 'shard_absent', 'marker_absent', 'topic_changed', 'out_of_range'] as const;

/**
 * Why a partition is not read while others are.
 *   dead_letter: its dead letters cannot be delivered; bad_record: it stands at a record that nobody may pass;
 *   schema: it stands at a record whose schema is not known yet
 */
export const HOLD_CAUSES = ['dead_letter', 'bad_record', 'schema'] as const;

/** How questions to the schema registry end. */
export const LOOKUP_OUTCOMES = ['found', 'unknown', 'failed'] as const;

/** What keeps records from being read. */
export const SOURCE_TROUBLES = [
  'topic_missing',
  'broker_silent',
  'no_leader',
  'not_authorized',
  'undecodable',
  'group_refused',
] as const;
