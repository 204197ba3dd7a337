/**
 * The generator's book: for each place in a log, what the record there must be counted as. Every record carries a
 * number in a header, so that the log, read independently, can be held against the book.
 */
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { shardOf } from '../../src/ledger/keys.ts';
import type { Expected } from '../support/fleet-ledger.ts';
import type { TrafficRecord } from '../support/traffic.ts';
import type { LogRecord } from './log-reader.ts';

/** `<topic id>/<partition>`, as the ledger names markers. */
export type Field = string;

export const NUMBER_HEADER = 'chaos-number';

export type Entry = {
  readonly number: number;
  readonly offset: number;
  readonly tenant: string | null;
  /** `accepted`, or the reason why it must be set aside. */
  readonly fate: string;
  readonly bytes: number;
  readonly spans: number;
};

type Log = {
  readonly entries: Entry[];
  /** The topic is gone: what the ledger has not counted by then it can never count. */
  isGone: boolean;
  /** In the log, counted, and lost with the ledger: never counted again. */
  readonly forgotten: Entry[];
  /** Counted, and then lost by the brokers (an unclean election): stays counted, wherever markers stand. */
  readonly outlived: Entry[];
};

export type MarkersOf = (shard: number) => ReadonlyMap<string, number>;

export class Book {
  readonly #logs = new Map<Field, Log>();
  /** Records by their number, until it is known where they lie. */
  readonly #known = new Map<number, TrafficRecord>();
  /** Some replica of a log may still hold them, and nobody counts them. */
  readonly #leftOut = new Set<number>();
  #numbers = 0;

  /** What to write for a record: a header more. */
  number(record: TrafficRecord): { readonly number: number; readonly headers: Record<string, string> } {
    const number = this.#numbers++;
    this.#known.set(number, record);
    return { number, headers: { ...record.headers, [NUMBER_HEADER]: String(number) } };
  }

  /** The brokers hold the record there. */
  place(field: Field, offset: number, number: number): void {
    const record = this.#known.get(number);
    if (record === undefined) throw new Error(`no record has the number ${number}, or it lies elsewhere already`);
    this.#known.delete(number);
    const { value, tenant, discard, spans } = record;
    const entry = { number, offset, tenant, fate: discard ?? 'accepted', bytes: value?.length ?? 0, spans };
    this.#log(field).entries.push(entry);
  }

  /** The record was not written, or is not there for readers of committed records. */
  strike(number: number): void {
    this.#known.delete(number);
  }

  /** Numbers of records of which nobody knows whether they were written. */
  get doubts(): readonly number[] {
    return [...this.#known.keys()];
  }

  /** Holds the book against the log, and settles doubts by it. Answers what differs, in words. */
  compare(field: Field, records: readonly LogRecord[]): string[] {
    const problems: string[] = [];
    const { entries, forgotten } = this.#log(field);
    const held = new Map([...entries, ...forgotten].map((entry) => [entry.offset, entry]));
    for (const { offset, number, bytes } of records) {
      const entry = held.get(offset);
      held.delete(offset);
      if (entry === undefined && number !== null && this.#leftOut.has(number)) continue;
      if (entry === undefined && number !== null && this.#known.has(number)) this.place(field, offset, number);
      else if (entry === undefined) problems.push(`${field}@${offset}: the log holds record ${number}, the book none`);
      else if (entry.number !== number || entry.bytes !== bytes)
        problems.push(`${field}@${offset}: the log holds record ${number}, the book ${entry.number}`);
    }
    for (const { offset, number } of held.values()) problems.push(`${field}@${offset}: record ${number} is not there`);
    return problems;
  }

  /** No record of a doubt was found in any log. */
  strikeDoubts(): void {
    this.#known.clear();
  }

  /** What is not in a log that was compacted. Each broker compacts by itself: another leader may still have it. */
  leaveOutDoubts(): void {
    for (const number of this.#known.keys()) this.#leftOut.add(number);
    this.#known.clear();
  }

  /** The topic was deleted. */
  bury(fields: readonly Field[]): void {
    for (const field of fields) this.#log(field).isGone = true;
  }

  /** The log was cut at `end`; all of it had been counted. Answers the records that are lost. */
  truncate(field: Field, end: number): number {
    const log = this.#log(field);
    const lost = log.entries.filter(({ offset }) => offset >= end);
    log.outlived.push(...lost);
    log.entries.splice(0, log.entries.length, ...log.entries.filter(({ offset }) => offset < end));
    return lost.length;
  }

  /** The ledger was lost, all of these logs had been counted, and it goes on at their ends. */
  forget(): void {
    for (const { entries, outlived, forgotten } of this.#logs.values()) {
      forgotten.push(...entries.splice(0));
      outlived.splice(0);
    }
  }

  /**
   * What the ledger must hold at rest: all of the logs that are there, and of a topic that is gone what lies below the
   * markers that each shard had reached.
   */
  expected(markersOf: MarkersOf): Expected {
    const tenants = new Map<string, { bytes: number; spans: number }>();
    const fates = new Map<string, { records: number; bytes: number }>();
    const ofRecords = markersOf(shardOf(RECORDS_TENANT));
    for (const [entry, log, field] of this.#everything()) {
      const { tenant, bytes, spans, fate } = entry;
      const isCounted = (markers: ReadonlyMap<string, number>) =>
        !log.isGone || log.outlived.includes(entry) || entry.offset < (markers.get(field) ?? 0);
      if (tenant !== null && isCounted(markersOf(shardOf(tenant)))) {
        const sum = tenants.get(tenant) ?? { bytes: 0, spans: 0 };
        tenants.set(tenant, { bytes: sum.bytes + bytes, spans: sum.spans + spans });
      }
      if (isCounted(ofRecords)) {
        const sum = fates.get(fate) ?? { records: 0, bytes: 0 };
        fates.set(fate, { records: sum.records + 1, bytes: sum.bytes + bytes });
      }
    }
    return { tenants, fates };
  }

  /** Bytes, and spans or records, that an account must hold while its shard's markers are these. */
  below(markers: ReadonlyMap<string, number>, tenant: string): readonly [number, number] {
    let [bytes, second] = [0, 0];
    const isOfAll = tenant === RECORDS_TENANT;
    for (const [entry, log, field] of this.#everything()) {
      if (!isOfAll && entry.tenant !== tenant) continue;
      if (entry.offset >= (markers.get(field) ?? 0) && !log.outlived.includes(entry)) continue;
      bytes += entry.bytes;
      second += isOfAll ? 1 : entry.spans;
    }
    return [bytes, second];
  }

  /** Bytes of all records that are counted, discarded ones too, and their number. */
  get size(): { readonly bytes: number; readonly records: number } {
    let [bytes, records] = [0, 0];
    for (const [entry] of this.#everything()) {
      bytes += entry.bytes;
      records += 1;
    }
    return { bytes, records };
  }

  *#everything(): Generator<readonly [Entry, Log, Field]> {
    for (const [field, log] of this.#logs) {
      for (const entry of log.entries) yield [entry, log, field];
      for (const entry of log.outlived) yield [entry, log, field];
    }
  }

  #log(field: Field): Log {
    let log = this.#logs.get(field);
    if (log === undefined) {
      log = { entries: [], isGone: false, forgotten: [], outlived: [] };
      this.#logs.set(field, log);
    }
    return log;
  }
}
