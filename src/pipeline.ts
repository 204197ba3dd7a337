/**
 * A record is READ (kafka/), DECODED (otlp/), ATTRIBUTED (attribution/), GATHERED and SETTLED (ledger/), and the durable
 * totals are PUBLISHED (publish/). This file says what happens to one record between reading and settling:
 *
 *   read      whose is it, and has the ledger counted it already?
 *   decode    bytes -> regions, spans, wanted attributes; or a reason why not
 *   attribute each byte -> a series of that tenant
 *   gather    series -> pending of the partition, by shard; the worker flushes it
 *
 * A record also has a fate of its own, accepted or discarded with a reason, counted beside the tenants under the
 * ledger's own tenant, with the same exactness: accepted + discarded is everything that was consumed.
 */
import { type Accounting, tallyOf } from './attribution/accounting.ts';
import { type DiscardReason, discardReasonOf } from './attribution/discard.ts';
import { type OwnedRegion, RegionReader } from './attribution/regions.ts';
import { RECORDS_TENANT } from './attribution/reserved.ts';
import { SeriesTable, type TenantSettings } from './attribution/series-table.ts';
import type { Tally } from './attribution/tally.ts';
import type { RegionTenants, TenantResolver } from './attribution/tenant.ts';
import type { SourceRecord, TopicPartition } from './kafka/port.ts';
import type { Gather, RecordSink } from './ledger/gatherer.ts';
import { RECORDS_LABEL, RECORDS_TRACKER, shardOf } from './ledger/keys.ts';
import { Decoder, type Encoding } from './otlp/decode.ts';
import type { ForeignFormat, ForeignRecord } from './otlp/foreign.ts';
import { type Malformed, malformedText } from './otlp/malformed.ts';

/** What becomes of records, told once for each. Must not throw. */
export type WatchRecords = {
  /**
   * `bytes`: of the OTLP protobuf that the record holds, or would hold; `recordBytes`: of its value. `clamped`: series of
   * the record whose bytes came out below zero and are counted as zero.
   */
  accepted(bytes: number, spans: number, clamped: number, recordBytes: number): void;
  discarded(reason: DiscardReason, record: SourceRecord, where: TopicPartition, detail: string): void;
  /** A region of a record that is accepted otherwise. `bytes`: its share of the record's value. */
  regionDiscarded(
    reason: DiscardReason,
    bytes: number,
    record: SourceRecord,
    where: TopicPartition,
    detail: string,
  ): void;
};

/**
 * What is done about a record that is to be discarded, beside counting it. False: it must wait, and so must what lies
 * behind it; it is asked about again. Must not throw.
 */
export type SetAside = (reason: DiscardReason, record: SourceRecord, where: TopicPartition, detail: string) => boolean;

/** What a record's schema says of it. `wait`: that is not known yet, and the record is asked about again. */
export type SchemaVerdict = 'good' | 'wait' | { readonly reason: DiscardReason; readonly detail: string };

export type PipelineOptions = {
  readonly tenants: TenantResolver;
  readonly settings: (tenant: string) => TenantSettings;
  readonly maxLabelValueLength: number;
  /** Of a topic's records; `auto` where it is not given. */
  readonly encoding?: (topic: string) => Encoding;
  /** `exact` where it is not given. */
  readonly accounting?: Accounting;
  /** Nothing, where it is not given. */
  readonly setAside?: SetAside;
  /** Of a record that names a schema of a registry; must be quick, and not throw. Not asked where it is not given. */
  readonly schemaOf?: (record: SourceRecord, where: TopicPartition) => SchemaVerdict;
  readonly watch: WatchRecords;
};

/** A series table beyond either bound is left to what still refers to it, and a new one begun. */
const TABLE_SLOTS = 500_000;
const TABLE_BYTES = 128 << 20;

/** Written by the Collector where one topic carries several signals. */
const SIGNAL_HEADER = 'otelcol.signal';
const TRACES = Buffer.from('traces');

const isOtherSignal = ({ headers }: SourceRecord): boolean =>
  headers.some(({ name, value }) => name === SIGNAL_HEADER && !TRACES.equals(value));

const FOREIGN_TEXTS: Readonly<Record<ForeignFormat, string>> = {
  jaeger: 'a span of Jaeger',
  zipkin: 'spans of Zipkin',
  other_signal: 'OTLP, but no traces',
};

const RECORDS_SHARD = shardOf(RECORDS_TENANT);

export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #tally: Tally;
  readonly #decoder = new Decoder();
  readonly #regions = new RegionReader();
  readonly #shards = new Map<string, number>();
  #table: SeriesTable;
  #fates = new Map<string, number>();

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#tally = tallyOf(options.accounting ?? 'exact');
    this.#table = this.#newTable();
  }

  /** Bytes that the present series table holds. */
  get footprint(): number {
    return this.#table.footprint;
  }

  /** Tenants' settings are asked for anew, from the next record on. What was gathered before stays as it was. */
  settingsChanged(): void {
    this.#table = this.#newTable();
  }

  readonly gather: Gather = (record, where, sink) => {
    // read
    if (isOtherSignal(record)) {
      return this.#discard('other_signal', `the header ${SIGNAL_HEADER} names no traces`, record, where, sink);
    }
    const owner = this.#options.tenants.resolve(record, where.topic);
    if (record.value === null) return this.#discard('null_value', 'the value is null', record, where, sink);
    if (owner.kind === 'discard') return this.#discard(owner.reason, owner.text, record, where, sink);
    const shard = owner.kind === 'tenant' ? this.#shardOf(owner.tenant) : null;
    if (shard !== null && !sink.wants(shard) && !sink.wants(RECORDS_SHARD)) return true;
    if (this.#table.size >= TABLE_SLOTS || this.#table.footprint >= TABLE_BYTES) this.#table = this.#newTable();

    // decode
    const schema = this.#options.schemaOf?.(record, where) ?? 'good';
    if (schema === 'wait') return false;
    if (schema !== 'good') return this.#discard(schema.reason, schema.detail, record, where, sink);
    const decoded = this.#decoder.decode(record.value, this.#options.encoding?.(where.topic) ?? 'auto');
    if (!Buffer.isBuffer(decoded)) return this.#refuse(decoded, record, where, sink);

    // attribute, gather
    const outcome =
      owner.kind === 'regions'
        ? this.#gatherRegions(decoded, owner, record, where, sink)
        : this.#gatherWhole(decoded, owner.tenant, record, sink);
    return typeof outcome === 'boolean' ? outcome : this.#refuse(outcome, record, where, sink);
  };

  #gatherWhole(decoded: Buffer, tenant: string, record: SourceRecord, sink: RecordSink): Malformed | true {
    const tally = this.#tally;
    const malformed = tally.attribute(decoded, this.#table, this.#table.plan(tenant));
    if (malformed !== null) return malformed;
    const shard = this.#shardOf(tenant);
    if (sink.wants(shard)) {
      const { slots, values, rows } = tally;
      for (let row = 0; row < rows; row++)
        sink.add(shard, this.#table, slots[row]!, values[2 * row]!, values[2 * row + 1]!);
    }
    const bytes = record.value!.length;
    this.#count('accepted', bytes, 1, sink);
    this.#options.watch.accepted(decoded.length, tally.spans, tally.clamped, bytes);
    return true;
  }

  /** Nothing is gathered before all of the record is known to be sound: it is accepted or malformed as a whole. */
  #gatherRegions(
    decoded: Buffer,
    tenants: RegionTenants,
    record: SourceRecord,
    where: TopicPartition,
    sink: RecordSink,
  ): Malformed | boolean {
    const regions = this.#regions.read(decoded, tenants);
    if ('kind' in regions) return regions;
    const { owner } = regions.find((region) => region.owner.kind === 'tenant') ?? regions[0]!;
    if (owner.kind === 'discard') return this.#discard(owner.reason, owner.text, record, where, sink);
    if (regions.every((region) => region.owner.kind === 'tenant' && region.owner.tenant === owner.tenant))
      return this.#gatherWhole(decoded, owner.tenant, record, sink);

    const tally = this.#tally;
    const held: [shard: number, slot: number, bytes: number, spans: number][] = [];
    let spans = 0;
    let clamped = 0;
    for (const { owner: own, start, end, beside } of regions) {
      if (own.kind === 'discard') continue;
      const plan = this.#table.plan(own.tenant);
      const malformed = tally.attribute(decoded.subarray(start, end), this.#table, plan, beside);
      if (malformed !== null) return { ...malformed, position: malformed.position + start };
      spans += tally.spans;
      clamped += tally.clamped;
      const shard = this.#shardOf(own.tenant);
      if (!sink.wants(shard)) continue;
      const { slots, values, rows } = tally;
      for (let row = 0; row < rows; row++) held.push([shard, slots[row]!, values[2 * row]!, values[2 * row + 1]!]);
    }
    for (const [shard, slot, bytes, count] of held) sink.add(shard, this.#table, slot, bytes, count);
    this.#settleFates(decoded.length, regions, { spans, clamped }, record, where, sink);
    return true;
  }

  /** Of a record with regions of somebody: it is accepted, but for the bytes of nobody's. */
  #settleFates(
    decodedBytes: number,
    regions: readonly OwnedRegion[],
    { spans, clamped }: { readonly spans: number; readonly clamped: number },
    record: SourceRecord,
    where: TopicPartition,
    sink: RecordSink,
  ): void {
    const total = record.value!.length;
    let taken = 0;
    let discarded = 0;
    for (const { owner, start, end, beside } of regions) {
      if (owner.kind === 'tenant') continue;
      const before = Math.floor((taken * total) / decodedBytes);
      taken += end - start + beside;
      // Of a value in another encoding the region's share.
      const bytes = Math.floor((taken * total) / decodedBytes) - before;
      discarded += bytes;
      this.#count(owner.reason, bytes, 0, sink);
      this.#options.watch.regionDiscarded(owner.reason, bytes, record, where, owner.text);
    }
    this.#count('accepted', total - discarded, 1, sink);
    this.#options.watch.accepted(decodedBytes - taken, spans, clamped, total);
  }

  #refuse(refusal: Malformed | ForeignRecord, record: SourceRecord, where: TopicPartition, sink: RecordSink): boolean {
    const detail = refusal.kind === 'malformed' ? malformedText(refusal) : FOREIGN_TEXTS[refusal.format];
    return this.#discard(discardReasonOf(refusal), detail, record, where, sink);
  }

  /** What the ledger has counted as discarded has been set aside, too: the marker passed it only then. */
  #discard(
    reason: DiscardReason,
    detail: string,
    record: SourceRecord,
    where: TopicPartition,
    sink: RecordSink,
  ): boolean {
    const { setAside } = this.#options;
    if (setAside !== undefined && sink.wants(RECORDS_SHARD) && !setAside(reason, record, where, detail)) return false;
    this.#count(reason, record.value?.length ?? 0, 1, sink);
    this.#options.watch.discarded(reason, record, where, detail);
    return true;
  }

  #count(outcome: string, bytes: number, records: number, sink: RecordSink): void {
    if (!sink.wants(RECORDS_SHARD)) return;
    let slot = this.#fates.get(outcome);
    if (slot === undefined) {
      slot = this.#table.reserved(RECORDS_TENANT, RECORDS_TRACKER, { [RECORDS_LABEL]: outcome });
      this.#fates.set(outcome, slot);
    }
    sink.add(RECORDS_SHARD, this.#table, slot, bytes, records);
  }

  #shardOf(tenant: string): number {
    let shard = this.#shards.get(tenant);
    if (shard === undefined) {
      if (this.#shards.size >= 100_000) this.#shards.clear();
      shard = shardOf(tenant);
      this.#shards.set(tenant, shard);
    }
    return shard;
  }

  #newTable(): SeriesTable {
    this.#fates = new Map();
    const { settings, maxLabelValueLength, accounting } = this.#options;
    return new SeriesTable({ settings, maxLabelValueLength, precedence: accounting === 'tempo' ? 'level' : 'order' });
  }
}
