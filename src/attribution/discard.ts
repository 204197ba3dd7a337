import type { ForeignRecord } from '../otlp/foreign.ts';
import type { Malformed } from '../otlp/malformed.ts';
import type { DISCARD_REASONS } from '../words/reasons.ts';

export type DiscardReason = (typeof DISCARD_REASONS)[number];

export function discardReasonOf(malformed: Malformed | ForeignRecord): DiscardReason {
  if (malformed.kind === 'foreign') return malformed.format;
  return malformed.reason === 'not_otlp' ? 'not_otlp' : 'malformed';
}
