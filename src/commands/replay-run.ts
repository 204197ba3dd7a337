/**
 * Counts records without Kafka and without Redis, as the service does: the same pipeline, the same sections, a ledger
 * in memory. All records are of one partition and are applied in their order, so the same input gives the same series.
 */
import { OVERFLOW } from '../attribution/label-value.ts';
import { decodeSeriesKey, type Labels } from '../attribution/series-key.ts';
import type { SeriesTable } from '../attribution/series-table.ts';
import { Admission } from '../ledger/admission.ts';
import type { Gather, RecordSink } from '../ledger/gatherer.ts';
import { markerField, shardOf } from '../ledger/keys.ts';
import { MemoryLedger } from '../ledger/memory-ledger.ts';
import { PartitionPending, RowCount } from '../ledger/pending.ts';
import type { AccountName, Totals } from '../ledger/port.ts';
import { SERIES_ID_BYTES, SHARDS } from '../ledger/port.ts';
import { buildCall, learn } from '../ledger/sections.ts';

export type Amounts = { readonly bytes: number; readonly spans: number };

/** A series as it is exposed. */
export type CountedSeries = AccountName & { readonly labels: Labels } & Amounts;

export type CountedAccount = AccountName & { readonly totals: Totals };

const WHERE = { topic: 'replay', partition: 0 };
const FIELD = markerField(WHERE.topic, WHERE.partition);
const MAX_TENANTS = 1_000_000;
const PAGE = 1_000;
/** Rows that are gathered before the ledger is given them. */
const ROWS = 20_000;

export class ReplayRun {
  readonly ledger: MemoryLedger;
  readonly #admission = new Admission(shardOf);
  readonly #rows = new RowCount(ROWS);
  readonly #pending = new PartitionPending(this.#rows);
  readonly #markers = new Map<number, number>();
  readonly #sink: RecordSink;
  #offset = 0;

  /** `nowUs`: a clock that stands still keeps every series. */
  constructor(nowUs: () => number = () => 0) {
    this.ledger = new MemoryLedger({ nowUs });
    this.#sink = { wants: () => true, add: this.#add.bind(this) };
  }

  /** Call it first. */
  async begin(): Promise<void> {
    await this.ledger.claim({ clusterId: 'replay', groupId: 'replay' });
  }

  /** Records counted so far, discarded ones too. */
  get records(): number {
    return this.#offset;
  }

  /** Whether enough is gathered for a flush. */
  get isFull(): boolean {
    return this.#rows.total >= ROWS;
  }

  /** Gathers the record as the next one. Keeps nothing of it. */
  add(gather: Gather, value: Buffer): void {
    const record = { offset: this.#offset, timestampMs: 0, key: null, value, headers: [] };
    gather(record, WHERE, this.#sink);
    this.#offset++;
  }

  /** Gives what is gathered to the ledger. */
  async flush(): Promise<void> {
    this.#pending.sealAll(this.#offset);
    for (let shard = 0; shard < SHARDS; shard++) {
      while (this.#pending.first(shard) !== undefined) await this.#settle(shard);
    }
  }

  #add(shard: number, table: SeriesTable, slot: number, first: number, second: number): void {
    const from = this.#markers.get(shard) ?? 0;
    const segment = this.#pending.open(shard, table, from, this.#offset);
    if (this.#admission.place(table, slot) === 'series') this.#pending.add(shard, segment, slot, first, second);
    else segment.divert(table.accountOf(slot), first, second, table.gapsOf(slot));
  }

  async #settle(shard: number): Promise<void> {
    const segment = this.#pending.first(shard)!;
    if (!this.#markers.has(shard)) await this.ledger.setMarkers(shard, [[FIELD, 0]], 'first');
    const part = { field: FIELD, from: segment.from, to: segment.to!, replay: false, segment };
    const built = buildCall(shard, MAX_TENANTS, [part], this.#admission);
    const reply = await this.ledger.commit(built.call);
    learn(built, reply, this.#admission, 0);
    if (reply.kind !== 'answered') throw new Error('the ledger lost a shard');
    const [outcome] = reply.sections;
    if (outcome!.kind === 'keys-needed') return;
    if (outcome!.kind !== 'applied') throw new Error(`a section was answered with ${outcome!.kind}`);
    this.#markers.set(shard, segment.to!);
    this.#pending.settle(shard);
  }

  /** All accounts with their totals, the house's own included. */
  async accounts(): Promise<readonly CountedAccount[]> {
    const found: CountedAccount[] = [];
    for (const shard of this.#markers.keys()) {
      const changed = await this.ledger.changes(shard, -1);
      for (const name of changed?.accounts ?? []) {
        const page = await this.ledger.page(shard, name, null, 1);
        if (page !== null) found.push({ ...name, totals: page.totals });
      }
    }
    return found;
  }

  /** The series of an account in no order; what overflowed is one of them. `labels`: names of the account's labels. */
  async *series(account: AccountName, labels: readonly string[]): AsyncGenerator<CountedSeries> {
    const shard = shardOf(account.tenant);
    let overflow: Amounts = { bytes: 0, spans: 0 };
    let hasOverflow = false;
    const isOverflow = (own: Labels): boolean => own.length === labels.length && own.every(([, v]) => v === OVERFLOW);
    for (let cursor: string | null = null, isFirst = true; isFirst || cursor !== null; isFirst = false) {
      const page = await this.ledger.page(shard, account, cursor, PAGE);
      if (page === null) return;
      if (isFirst) {
        const [bytes, spans] = page.totals.overflow;
        overflow = { bytes: bytes!, spans: spans! };
        hasOverflow = page.totals.overflow.some((amount) => amount > 0);
      }
      const keys = await this.ledger.keys(
        shard,
        account,
        Buffer.concat(
          page.rows.map(({ id }) => id),
          page.rows.length * SERIES_ID_BYTES,
        ),
      );
      for (const [i, { values }] of page.rows.entries()) {
        const own = decodeSeriesKey(keys[i]!);
        let [bytes, spans] = values as [number, number];
        if (hasOverflow && isOverflow(own)) {
          bytes += overflow.bytes;
          spans += overflow.spans;
          hasOverflow = false;
        }
        yield { ...account, labels: own, bytes, spans };
      }
      cursor = page.cursor;
    }
    if (hasOverflow) {
      const own = labels.map((name) => [name, OVERFLOW] as const);
      yield { ...account, labels: own, ...overflow };
    }
  }
}
