/**
 * Traffic for hours at tens of megabytes a second: records that were encoded once and are sent again and again, so that
 * the generator costs next to nothing. Each carries a release of fixed length that is overwritten from time to time:
 * series end, and new ones are born, for as long as it runs.
 */
import { encodeRequest, type OtlpRequest } from '../support/otlp-encode.ts';
import { type Random, seeded } from '../support/random.ts';
import type { Codec, HonestProducer } from '../support/topics.ts';
import { Traffic, type TrafficRecord, type Truth } from '../support/traffic.ts';
import { makeRequest } from '../support/traffic-spans.ts';
import { TENANTS } from '../support/traffic-world.ts';

export const RELEASE_ATTRIBUTE = 'app.release';

/** As long as every release that takes its place. */
const PLACEHOLDER = Buffer.from('r_elease');
const BATCH_BYTES = 900_000;
/** Mostly what costs least here. */
const CODECS: readonly Codec[] = ['lz4', 'lz4', 'none', 'lz4', 'snappy'];
const PAUSE_MS = 200;
const MOST_TRIES = 10;

type PoolRecord = { readonly record: TrafficRecord; readonly bytes: number; readonly releaseAt: readonly number[] };

/** Records of at least `bytes` in all, 2% of them such as must be discarded. The same seed, the same records. */
export class Pool {
  readonly #records: PoolRecord[] = [];
  #next = 0;

  constructor(bytes: number, seed: number) {
    const random = seeded(seed);
    const spoiled = new Traffic(seed, 1);
    for (let made = 0; made < bytes; made += this.#records.at(-1)!.bytes)
      this.#records.push(random.chance(0.02) ? pooled(spoiled.next(Date.now())) : makeGood(random));
  }

  /** The next records, about 900 kB of them. */
  batch(): readonly TrafficRecord[] {
    const batch: TrafficRecord[] = [];
    for (let bytes = 0; bytes < BATCH_BYTES; ) {
      const next = this.#records[this.#next++ % this.#records.length]!;
      batch.push(next.record);
      bytes += next.bytes;
    }
    return batch;
  }

  /** From now on every record belongs to this release, so to series that nobody has seen. */
  release(number: number): void {
    const text = Buffer.from(`r${String(number).padStart(PLACEHOLDER.length - 1, '0')}`);
    for (const { record, releaseAt } of this.#records) for (const at of releaseAt) text.copy(record.value!, at);
  }
}

function makeGood(random: Random): PoolRecord {
  const tenant = random.weighted(TENANTS);
  const spans = random.between(8, 120);
  const { request } = makeRequest(random, tenant, spans, Date.now());
  return pooled({
    value: encodeRequest(withRelease(request), random.pick(['ascending', 'descending'])),
    headers: tenant.header === null ? {} : { 'X-Scope-OrgID': tenant.header },
    tenant: tenant.tenant,
    discard: null,
    spans,
    series: new Set(),
  });
}

function withRelease({ resourceSpans }: OtlpRequest): OtlpRequest {
  const release = [RELEASE_ATTRIBUTE, PLACEHOLDER.toString()] as const;
  return {
    resourceSpans: resourceSpans.map((region) => ({
      ...region,
      resource: { attributes: [...(region.resource?.attributes ?? []), release] },
    })),
  };
}

function pooled(record: TrafficRecord): PoolRecord {
  const releaseAt: number[] = [];
  const { value } = record;
  if (value !== null)
    for (let at = value.indexOf(PLACEHOLDER); at >= 0; at = value.indexOf(PLACEHOLDER, at + 1)) releaseAt.push(at);
  return { record, bytes: value?.length ?? 0, releaseAt };
}

export type SoakFeed = {
  /** Each has a send under way while the others wait for the broker. */
  readonly producers: readonly HonestProducer[];
  readonly topic: string;
  readonly partitions: number;
  readonly pool: Pool;
  readonly truth: Pick<Truth, 'add'>;
  /** Bytes a second at most. */
  readonly bytesPerSecond: number;
  readonly releaseEveryMs: number;
  /** True: so much is unread that retention could pass the group; nothing is sent until it is false again. */
  readonly isHeldBack: () => boolean;
  readonly until: AbortSignal;
};

/** Sends until told to end. What it did not send while held back, or while the brokers were away, it does not make up for. */
export async function feedPool(feed: SoakFeed): Promise<void> {
  const { producers, partitions, pool, truth, bytesPerSecond } = feed;
  const startMs = performance.now();
  let dueMs = startMs;
  let sends = 0;
  const lane = async (producer: HonestProducer, own: readonly number[]): Promise<void> => {
    for (let send = 0; !feed.until.aborted; send++) {
      const waitMs = feed.isHeldBack() ? PAUSE_MS : dueMs - performance.now();
      if (waitMs > 0) {
        await pause(waitMs);
        continue;
      }
      pool.release(Math.floor((performance.now() - startMs) / feed.releaseEveryMs));
      const records = pool.batch();
      const bytes = records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
      dueMs = Math.max(dueMs, performance.now() - 1000) + (bytes / bytesPerSecond) * 1000;
      const messages = records.map(({ value, headers }) => ({ value, headers }));
      const codec = CODECS[sends++ % CODECS.length]!;
      await insist(() => producer.send(feed.topic, own[send % own.length]!, messages, codec));
      for (const record of records) truth.add(record);
    }
  };
  const all = Array.from({ length: partitions }, (_, partition) => partition);
  await Promise.all(
    producers.map((producer, i) =>
      lane(
        producer,
        all.filter((partition) => partition % producers.length === i),
      ),
    ),
  );
}

/**
 * A broker that comes back may be without a leader for longer than the producer's patience. To send the same messages
 * again is safe: it numbers them as before, and a broker that has them already says so.
 */
async function insist(send: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await send();
      return;
    } catch (error) {
      if (tries >= MOST_TRIES) throw error;
      await pause(PAUSE_MS);
    }
  }
}

function pause(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}
