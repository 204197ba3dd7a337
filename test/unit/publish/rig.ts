/**
 * A ledger with a toy worker: a log with known records, applied to a few shards of a memory ledger section by section,
 * and the group's commits. Everything in virtual time.
 */
import { encodeSeriesKey, seriesId } from '../../../src/attribution/series-key.ts';
import { markerField, maxTenantsPerShard, shardOf } from '../../../src/ledger/keys.ts';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import type { CommitReply, MarkerField, Section } from '../../../src/ledger/port.ts';
import type { Snapshot } from '../../../src/publish/publisher.ts';
import type { PublishSettings } from '../../../src/publish/settings.ts';
import { isLive } from '../../../src/publish/shard-table.ts';
import { Scheduler } from '../../simulation/scheduler.ts';

export type ToyRecord = { readonly tenant: string; readonly service: string; readonly bytes: number };

export const TRACKER = 'cost-attribution';
export const START_MS = 1_700_000_000_000;

export type RigOptions = {
  readonly partitions?: number;
  readonly tenants?: readonly string[];
  readonly limit?: number;
  readonly staleS?: number;
  readonly dimensions?: readonly string[];
};

export class Rig {
  readonly scheduler = new Scheduler();
  readonly ledger: MemoryLedger;
  readonly tenants: readonly string[];
  readonly shards: readonly number[];
  readonly fields: readonly MarkerField[];
  readonly log: ToyRecord[][];
  /** The group's commits. */
  readonly commits: Map<MarkerField, number>;
  readonly settings: PublishSettings;
  /** What the server's clock is ahead. */
  serverSkewMs = 0;
  readonly #limit: number;
  readonly #staleS: number;

  constructor({
    partitions = 2,
    tenants = ['a', 'b'],
    limit = 100,
    staleS = 900,
    dimensions = ['service'],
  }: RigOptions = {}) {
    let lives = 0;
    const nowUs = (): number => (START_MS + this.scheduler.now + this.serverSkewMs) * 1000;
    this.ledger = new MemoryLedger({ nowUs, random: () => `life${lives++}` });
    this.tenants = tenants;
    this.shards = [...new Set(tenants.map(shardOf))];
    this.fields = Array.from({ length: partitions }, (_, partition) => markerField('topic', partition));
    this.log = this.fields.map(() => []);
    this.commits = new Map(this.fields.map((field) => [field, 0]));
    this.#limit = limit;
    this.#staleS = staleS;
    this.settings = {
      account: () => ({ limit, staleS }),
      dimensionLabels: () => dimensions,
      measures: () => ['bytes', 'spans'],
    };
  }

  async begin(): Promise<this> {
    await this.ledger.claim({ clusterId: 'c', groupId: 'g' });
    for (const shard of this.shards)
      await this.ledger.setMarkers(
        shard,
        this.fields.map((field) => [field, 0] as const),
        'first',
      );
    return this;
  }

  /** Appends, applies and commits one record. */
  async take(record: ToyRecord, partition = 0): Promise<void> {
    this.log[partition]!.push(record);
    await this.flush();
    this.commitGroup();
  }

  /** Applies what is in the log, at most `most` records of each partition. */
  async flush(most = Number.POSITIVE_INFINITY, shards = this.shards): Promise<void> {
    for (const shard of shards)
      for (let partition = 0; partition < this.fields.length; partition++) await this.apply(shard, partition, most);
  }

  /** One section, cut at the group's commit; below it, a replay. Null: nothing to do. */
  async apply(shard: number, partition: number, most = Number.POSITIVE_INFINITY): Promise<CommitReply | null> {
    const field = this.fields[partition]!;
    const from = (await this.ledger.view(shard))?.markers.get(field);
    if (from === undefined) return null;
    const committed = this.commits.get(field)!;
    const end = Math.min(from + most, this.log[partition]!.length);
    const to = from < committed ? Math.min(end, committed) : end;
    const records = this.log[partition]!.slice(from, to).filter(({ tenant }) => shardOf(tenant) === shard);
    const tenants = [...new Set(records.map(({ tenant }) => tenant))];
    const entries = tenants.map((tenant, account): Section['entries'][number] => {
      const sums = new Map<string, [number, number]>();
      for (const record of records) {
        if (record.tenant !== tenant) continue;
        const [bytes, spans] = sums.get(record.service) ?? [0, 0];
        sums.set(record.service, [bytes + record.bytes, spans + 1]);
      }
      const keys = [...sums.keys()].map((service) => encodeSeriesKey([['service', service]]));
      const values = Float64Array.from([...sums.values()].flat());
      return { account, ids: Buffer.concat(keys.map(seriesId)), values, keys, overflow: null };
    });
    return this.ledger.commit({
      shard,
      maxTenants: maxTenantsPerShard(1000),
      accounts: tenants.map((tenant) => ({
        tenant,
        tracker: TRACKER,
        measures: 2,
        limit: this.#limit,
        staleS: this.#staleS,
      })),
      sections: [{ field, from, to, replay: from < committed, entries }],
    });
  }

  /** Commits as far as every shard is; never down. */
  commitGroup(): void {
    this.fields.forEach((field) => {
      let lowest = Number.POSITIVE_INFINITY;
      for (const shard of this.shards)
        lowest = Math.min(lowest, this.ledger.inspectShard(shard)?.markers.get(field) ?? 0);
      if (lowest > this.commits.get(field)!) this.commits.set(field, lowest);
    });
  }
}

export type ShownRow = {
  readonly shard: number;
  readonly life: string;
  readonly replayedAt: number;
  readonly counter: number;
  readonly tenant: string;
  readonly labels: string;
  readonly birthS: number;
  /** Bytes, as the answer shows them. */
  readonly shown: number;
  readonly bytes: number;
};

/** The series of a snapshot, as an answer would show them. */
export const rowsOf = ({ tables, forScraper }: Snapshot): ShownRow[] => {
  const rows: ShownRow[] = [];
  for (const { shard, life, replayedAt, counter, accounts } of tables)
    for (const version of accounts.values())
      for (let slot = 0; slot < version.slots; slot++) {
        if (!isLive(version, slot)) continue;
        const bytes = version.values[slot * version.measures]!;
        const isHeld = forScraper && (version.holds?.[slot] ?? 0) > counter;
        rows.push({
          shard,
          life,
          replayedAt,
          counter,
          tenant: version.account.tenant,
          labels: version.labels.textAt(slot),
          birthS: version.births[slot]! - 1,
          shown: isHeld ? 0 : bytes,
          bytes,
        });
      }
  return rows;
};
