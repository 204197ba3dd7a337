/** Tables out of a memory ledger, for tests of what is written from them. */
import { MISSING } from '../../../src/attribution/label-value.ts';
import { encodeSeriesKey, type Labels, seriesId } from '../../../src/attribution/series-key.ts';
import type { Clock } from '../../../src/ledger/clock.ts';
import { LocalDemand } from '../../../src/ledger/demand.ts';
import { markerField, shardOf } from '../../../src/ledger/keys.ts';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import { commitsOf } from '../../../src/publish/markers.ts';
import type { Snapshot } from '../../../src/publish/publisher.ts';
import { PUBLISH_DEFAULTS, type PublishOptions, type PublishSettings } from '../../../src/publish/settings.ts';
import { type ReaderDeps, ShardReader } from '../../../src/publish/shard-reader.ts';

export const FIELD = markerField('topic', 0);
export const TRACKER = 'cost-attribution';

export const settingsOf = (limit: number, dimensions: readonly string[]): PublishSettings => ({
  account: () => ({ limit, staleS: 900 }),
  dimensionLabels: () => dimensions,
  measures: (tracker) => (tracker === 'records' ? [] : ['bytes', 'spans']),
});

const unattributedOf = (series: readonly (readonly [Labels, number, number])[]): ReadonlyMap<string, number> => {
  const sums = new Map<string, number>();
  for (const [labels, bytes] of series)
    for (const [name, value] of labels) if (value === MISSING) sums.set(name, (sums.get(name) ?? 0) + bytes);
  return sums;
};

/** What a worker sends of series that it saw overflow. */
const marksOf = (series: readonly Labels[]): Buffer => {
  const local = new LocalDemand(900, 0);
  for (const labels of series) local.add(seriesId(encodeSeriesKey(labels)));
  return local.take();
};

/** One shard with its reader. Virtual milliseconds pass only when the test says so. */
export class OneShard {
  readonly ledger: MemoryLedger;
  readonly shard: number;
  readonly errors: string[] = [];
  readonly counts = { auditFailures: 0, fullReadings: 0, fallbacks: 0 };
  readonly options: PublishOptions;
  readonly settings: PublishSettings;
  nowMs = 1_700_000_000_000;
  marker = 0;
  committed = 0;
  reader: ShardReader;
  readonly limit: number;

  constructor(
    tenant: string,
    limit = 100,
    dimensions: readonly string[] = ['service'],
    options: Partial<PublishOptions> = {},
  ) {
    this.limit = limit;
    this.shard = shardOf(tenant);
    this.ledger = new MemoryLedger({ nowUs: () => this.nowMs * 1000 });
    this.options = { ...PUBLISH_DEFAULTS, replica: 'me', pageSeries: 3, ...options };
    this.settings = settingsOf(limit, dimensions);
    this.reader = this.newReader();
  }

  /** As another owner would begin, whose take wrote `tookAt`. */
  newReader(tookAt = 0): ShardReader {
    const { ledger, settings, options, counts } = this;
    const clock: Clock = {
      wallMs: () => this.nowMs,
      monotonicMs: () => this.nowMs,
      after: () => () => {},
      turn: async () => {},
    };
    const log = { info: () => {}, warn: () => {}, error: (_: object, text: string) => void this.errors.push(text) };
    const inTurn: ReaderDeps['inTurn'] = (reading) => reading();
    const deps = { reader: ledger, clock, settings, log, options, counts, inTurn };
    this.reader = new ShardReader(this.shard, tookAt, deps);
    return this.reader;
  }

  async begin(): Promise<this> {
    await this.ledger.claim({ clusterId: 'c', groupId: 'g' });
    await this.ledger.setMarkers(this.shard, [[FIELD, 0]], 'first');
    return this;
  }

  /** Adds to series of a tenant; bytes and spans for each. */
  async add(
    tenant: string,
    series: readonly (readonly [Labels, number, number])[],
    {
      replay = false,
      tracker = TRACKER,
      overflow = null as readonly number[] | null,
      seen = [] as readonly Labels[],
    } = {},
  ): Promise<void> {
    const keys = series.map(([labels]) => encodeSeriesKey(labels));
    const reply = await this.ledger.commit({
      shard: this.shard,
      maxTenants: 1000,
      accounts: [{ tenant, tracker, measures: 2, limit: this.limit, staleS: 900, demand: marksOf(seen) }],
      sections: [
        {
          field: FIELD,
          from: this.marker,
          to: this.marker + 1,
          replay,
          entries: [
            {
              account: 0,
              ids: Buffer.concat(keys.map(seriesId)),
              keys,
              values: Float64Array.from(series.flatMap(([, bytes, spans]) => [bytes, spans])),
              overflow: overflow && Float64Array.from(overflow),
              unattributed: unattributedOf(series),
            },
          ],
        },
      ],
    });
    if (reply.kind !== 'answered' || reply.sections[0]!.kind !== 'applied') throw new Error(JSON.stringify(reply));
    this.marker++;
  }

  /** One look of the reader, with the commits as they are. */
  look(usable = true): Promise<void> {
    return this.reader.look(commitsOf(new Map([[FIELD, this.committed]]), this.nowMs), usable ? 0 : null);
  }

  /** Commits everything, looks until it is shown. */
  async show(): Promise<void> {
    this.committed = this.marker;
    await this.look();
    await this.look();
  }

  snapshot(forScraper = false): Snapshot {
    return { forScraper, tables: this.reader.table === null ? [] : [this.reader.table], done: () => {} };
  }
}
