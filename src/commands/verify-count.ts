/** Reads records again and attributes them as the service does: what the totals should be. In constant memory. */

import type { Accounting } from '../attribution/accounting.ts';
import type { SeriesTable, TenantSettings } from '../attribution/series-table.ts';
import type { TenantResolver } from '../attribution/tenant.ts';
import type { SourceRecord, TopicPartition } from '../kafka/port.ts';
import { type Counted, timesAt } from '../ledger/counted.ts';
import type { RecordSink } from '../ledger/gatherer.ts';
import type { AccountName } from '../ledger/port.ts';
import { SHARDS } from '../ledger/port.ts';
import type { Encoding } from '../otlp/decode.ts';
import { Pipeline } from '../pipeline.ts';

/** What records add to an account of a shard. */
export type Truth = AccountName & { readonly shard: number; readonly amounts: [number, number] };

export type CountOptions = {
  readonly tenants: TenantResolver;
  readonly encoding?: (topic: string) => Encoding;
  readonly settings: (tenant: string) => TenantSettings;
  readonly maxLabelValueLength: number;
  readonly accounting: Accounting;
  /** Accounts that are told apart. Amounts of others go together, by shard and tracker: a client may make up tenants. */
  readonly known: ReadonlySet<string>;
};

/** The tenant under which those beyond the bound are summed up; no tenant has this name. */
export const OTHERS = '';
/** Tenants that the ledger does not have and that are told apart all the same. */
const MORE_TENANTS = 10_000;

export const accountKey = (shard: number, { tenant, tracker }: AccountName): string =>
  JSON.stringify([shard, tenant, tracker]);

export class TruthCount {
  records = 0;
  bytes = 0;
  readonly #pipeline: Pipeline;
  readonly #options: CountOptions;
  readonly #truth = new Map<string, Truth>();
  /** Where the amounts of an account of a series table go. */
  readonly #ofTable = new WeakMap<SeriesTable, Truth[]>();
  readonly #sink: RecordSink;
  #counted: readonly Counted[] = [];
  #offset = 0;

  constructor(options: CountOptions) {
    this.#options = options;
    const watch = { accepted: () => {}, discarded: () => {}, regionDiscarded: () => {} };
    this.#pipeline = new Pipeline({ ...options, watch });
    this.#sink = { wants: (shard) => this.#times(shard) !== 0, add: this.#add.bind(this) };
  }

  /** By `accountKey`. */
  get truth(): ReadonlyMap<string, Truth> {
    return this.#truth;
  }

  /** `counted`: by shard, of the partition that the records are of. */
  add(records: readonly SourceRecord[], where: TopicPartition, counted: readonly Counted[]): void {
    this.#counted = counted;
    for (const record of records) {
      this.#offset = record.offset;
      this.#pipeline.gather(record, where, this.#sink);
      this.records++;
      this.bytes += record.value?.length ?? 0;
    }
  }

  #times(shard: number): number {
    const counted = this.#counted[shard];
    return counted === undefined ? 0 : timesAt(counted, this.#offset);
  }

  #add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    const { amounts } = this.#truthOf(shard, table, table.accountOf(slot));
    const times = this.#times(shard);
    amounts[0] += times * first;
    amounts[1] += times * second;
  }

  #truthOf(shard: number, table: SeriesTable, account: number): Truth {
    let known = this.#ofTable.get(table);
    if (known === undefined) {
      known = [];
      this.#ofTable.set(table, known);
    }
    const found = known[account];
    if (found !== undefined) return found;
    const { tenant, tracker } = table.accounts[account]!;
    const truth = this.#find(shard, { tenant, tracker });
    known[account] = truth;
    return truth;
  }

  #find(shard: number, name: AccountName): Truth {
    const key = accountKey(shard, name);
    const found = this.#truth.get(key);
    if (found !== undefined) return found;
    const isKept = this.#options.known.has(key) || this.#truth.size < this.#options.known.size + MORE_TENANTS;
    if (!isKept && name.tenant !== OTHERS) return this.#find(shard, { tenant: OTHERS, tracker: name.tracker });
    const truth: Truth = { ...name, shard, amounts: [0, 0] };
    this.#truth.set(key, truth);
    return truth;
  }
}

export const noneCounted = (): Counted[] => new Array<Counted>(SHARDS).fill({ offsets: [], times: [] });
