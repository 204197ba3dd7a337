/** Traffic with a known truth: records as they stand on a real topic, and what each must be counted as. */
import type { DiscardReason } from '../../src/attribution/discard.ts';
import { encodeRequest } from './otlp-encode.ts';
import { type Random, seeded } from './random.ts';
import { type Codec, endOffsets, type HonestProducer } from './topics.ts';
import { makeRequest } from './traffic-spans.ts';
import { TENANTS, type TenantModel } from './traffic-world.ts';

export type TrafficRecord = {
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
  /** Who pays; null for a record that must be discarded. */
  readonly tenant: string | null;
  readonly discard: DiscardReason | null;
  readonly spans: number;
  /** The distinct label sets of its spans, each as JSON: `[[label, value], ...]`, sorted by label. */
  readonly series: ReadonlySet<string>;
  /** Of the value's bytes, those of a registry's frame: consumed, and nobody's. */
  readonly frameBytes?: number;
};

const TENANT_HEADER = 'X-Scope-OrgID';
const NO_SERIES: ReadonlySet<string> = new Set();

/** Endless; the same seed gives the same records (their times apart). */
export class Traffic {
  readonly #random: Random;
  readonly #badShare: number;

  /** `badShare`: how many of the records cannot be counted for a tenant. */
  constructor(seed: number, badShare = 0.02) {
    this.#random = seeded(seed);
    this.#badShare = badShare;
  }

  next(nowMs: number): TrafficRecord {
    const good = this.#good(nowMs);
    return this.#random.chance(this.#badShare) ? this.#spoiled(good) : good;
  }

  #good(nowMs: number): TrafficRecord {
    const random = this.#random;
    const tenant = random.weighted(TENANTS);
    // Now and then a service sends what it has kept during an outage: one record of megabytes.
    const spans = random.chance(0.002) ? 2500 : random.between(8, 120);
    const made = makeRequest(random, tenant, spans, nowMs);
    const value = encodeRequest(made.request, random.pick(['ascending', 'descending']));
    return {
      value,
      headers: headersOf(tenant, random),
      tenant: tenant.tenant,
      discard: null,
      spans,
      series: made.series,
    };
  }

  #spoiled(good: TrafficRecord): TrafficRecord {
    const spoil = (discard: DiscardReason, changed: Partial<TrafficRecord>): TrafficRecord => ({
      ...good,
      tenant: null,
      discard,
      spans: 0,
      series: NO_SERIES,
      ...changed,
    });
    switch (this.#random.between(0, 3)) {
      case 0:
        return spoil('null_value', { value: null });
      case 1:
        return spoil('malformed', { value: good.value!.subarray(0, good.value!.length - this.#random.between(1, 5)) });
      case 2:
        return spoil('not_otlp', { value: Buffer.from('{"message":"wrong topic","level":"info"}') });
      default:
        return spoil('invalid_tenant', { headers: { [TENANT_HEADER]: 'team a/prod' } });
    }
  }
}

function headersOf(tenant: TenantModel, random: Random): Record<string, string> {
  const name = random.chance(0.3) ? TENANT_HEADER.toLowerCase() : TENANT_HEADER;
  const others = random.chance(0.5) ? { 'content-type': 'application/x-protobuf' } : {};
  return tenant.header === null ? others : { ...others, [name]: tenant.header };
}

export type Amounts = { records: number; bytes: number; spans: number };

/** What was written, record by record, as far as the brokers have confirmed it. */
export class Truth {
  readonly tenants = new Map<string, Amounts & { readonly series: Set<string> }>();
  readonly discarded = new Map<DiscardReason, { records: number; bytes: number }>();
  records = 0;
  /** Of all records, discarded ones too. */
  bytes = 0;
  /** Of the records that belong to a tenant. */
  acceptedBytes = 0;

  add(record: TrafficRecord): void {
    const bytes = record.value?.length ?? 0;
    this.records += 1;
    this.bytes += bytes;
    if (record.tenant === null) {
      const discarded = entry(this.discarded, record.discard!, () => ({ records: 0, bytes: 0 }));
      discarded.records += 1;
      discarded.bytes += bytes;
      return;
    }
    const tenant = entry(this.tenants, record.tenant, () => ({
      records: 0,
      bytes: 0,
      spans: 0,
      series: new Set<string>(),
    }));
    tenant.records += 1;
    tenant.bytes += bytes - (record.frameBytes ?? 0);
    tenant.spans += record.spans;
    for (const labels of record.series) tenant.series.add(labels);
    this.acceptedBytes += bytes;
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

export type FeedOptions = {
  readonly producer: HonestProducer;
  readonly topic: string;
  readonly partitions: number;
  readonly traffic: Traffic;
  readonly truth: Pick<Truth, 'add'>;
  /** Records a second; where the machine cannot keep up, fewer. */
  readonly recordsPerSecond: number;
  /** Ends the traffic after the send under way. */
  readonly until: AbortSignal;
};

const CODECS: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Writes traffic over all partitions, with each codec in turn, at a steady pace, until told to end. */
export async function feed(options: FeedOptions): Promise<void> {
  const { producer, topic, traffic, truth, until } = options;
  const startMs = performance.now();
  let written = 0;
  for (let send = 0; !until.aborted; send += 1) {
    const records = Array.from({ length: 1 + (send % 5) }, () => traffic.next(Date.now()));
    const messages = records.map(({ value, headers }) => ({ value, headers }));
    await producer.send(topic, send % options.partitions, messages, CODECS[Math.floor(send / 3) % CODECS.length]!);
    for (const record of records) truth.add(record);
    written += records.length;
    await pause(startMs + (written * 1000) / options.recordsPerSecond - performance.now(), until);
  }
}

/** Rejects when the topic does not hold exactly the records of the truth: then the truth is none. */
export async function confirmTruth(
  brokers: readonly string[],
  topic: string,
  truth: Pick<Truth, 'records'>,
): Promise<void> {
  const ends = await endOffsets(brokers, topic);
  const held = ends.reduce((sum, end) => sum + end, 0);
  if (held !== truth.records) throw new Error(`the topic ${topic} holds ${held} records, the truth ${truth.records}`);
}

function pause(ms: number, until: AbortSignal): Promise<void> {
  if (ms <= 0 || until.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    until.addEventListener('abort', done, { once: true });
    function done() {
      clearTimeout(timer);
      until.removeEventListener('abort', done);
      resolve();
    }
  });
}
