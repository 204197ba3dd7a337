import type { ForeignRecord } from '../otlp/foreign.ts';
import type { Malformed } from '../otlp/malformed.ts';

/** Why a record is not accepted. Fixed: each is a series of the house and a label value of its metrics. */
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

export type DiscardReason = (typeof DISCARD_REASONS)[number];

export function discardReasonOf(malformed: Malformed | ForeignRecord): DiscardReason {
  if (malformed.kind === 'foreign') return malformed.format;
  return malformed.reason === 'not_otlp' ? 'not_otlp' : 'malformed';
}
