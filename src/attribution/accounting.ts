/** How a record's bytes are counted. */
import { Attributor } from './attribute.ts';
import type { Tally } from './tally.ts';
import { TempoAttributor } from './tempo-attribute.ts';

/** `exact`: every byte of the record, as it is on the wire. `tempo`: as Grafana Tempo's usage tracker counts. */
export type Accounting = 'exact' | 'tempo';

/** One per worker. */
export const tallyOf = (accounting: Accounting): Tally =>
  accounting === 'tempo' ? new TempoAttributor() : new Attributor();
