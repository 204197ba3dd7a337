/**
 * Vectors that we answer otherwise than Tempo, on purpose, with what takes the place of equality. Everything else must
 * be equal. docs/tempo.md says the same to users.
 */
import type { Vector } from './tempo-vectors.ts';

export type Deviation =
  /** Tempo counts and then cannot show: the setting is refused, by check and at the start. */
  | 'refused-at-load'
  /** Tempo cannot show label values of invalid UTF-8; here they are shown with U+FFFD. */
  | 'invalid-utf8'
  /** Label sets whose values hold the byte that Tempo's hash joins them with are one series there. */
  | 'hash-collision'
  /** Tempo shows series that were counted under other dimensions with the label names of today. */
  | 'renamed-labels'
  /** In Tempo, the overflow series takes a place under the limit once it is there. */
  | 'overflow-place'
  /** A series is stale after the duration, in Tempo at it; and here a full account is rid of stale ones at once. */
  | 'stale';

const BY_NAME: Readonly<Record<string, Deviation>> = {
  'invalid_utf8/012-hash-collision': 'hash-collision',
  'config_change/001-rename-label-other-values': 'renamed-labels',
  'config_change/007-shrink-to-second': 'renamed-labels',
  'config_change/008-back-and-forth': 'renamed-labels',
  'cardinality/022-limit-raised': 'overflow-place',
  'staleness/001-at-limit': 'stale',
  'staleness/006-without-purge-no-room': 'stale',
  'staleness/007-short-duration': 'stale',
};

/** `refused`: our settings are not those of the vector, because they are refused. */
export const deviationOf = (vector: Vector, refused: boolean): Deviation | null => {
  if (refused) return 'refused-at-load';
  const named = BY_NAME[vector.name];
  if (named !== undefined) return named;
  return vector.expected_dropped === undefined ? null : 'invalid-utf8';
};

/** Records that only `exact` refuses: a field number beyond 2^29 - 1, which Tempo takes for what its low bits say. */
export const REFUSED_BY_EXACT: readonly string[] = ['noncanonical/021-field-number-alias'];
