/** `tail`: the last records of a topic, as the service sees them. Joins no group and commits nothing. */

import { RECORDS_TENANT } from '../attribution/reserved.ts';
import type { SeriesTable } from '../attribution/series-table.ts';
import { TenantChain } from '../attribution/tenant.ts';
import type { Config } from '../config/config.ts';
import type { LogReader } from '../kafka/log-reader.ts';
import type { SourceRecord, TopicPartition } from '../kafka/port.ts';
import type { Gather, RecordSink } from '../ledger/gatherer.ts';
import { tenantSettings } from '../overrides/settings.ts';
import { OverridesFile } from '../overrides/source.ts';
import { topicEncodings } from '../overrides/static.ts';
import { Pipeline } from '../pipeline.ts';
import { table } from '../telemetry/table.ts';
import { CONFIG_OPTION, type Command, checkedConfig, refuse, UsageError, type Values } from './command.ts';
import { NotThere, withLog } from './kafka-log.ts';
import { choice } from './records.ts';

const OUTPUTS = ['table', 'json'] as const;
const DEFAULT_LIMIT = 10;
const MOST = 100_000;

/** A record in a line. */
type Seen = {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly timestamp: string;
  /** Of the value. */
  readonly bytes: number;
  /** `accepted`, or why not. */
  readonly outcome: string;
  readonly detail: string;
  readonly spans: number;
  readonly series: number;
  /** Bytes by tenant. */
  readonly tenants: Readonly<Record<string, number>>;
};

/** Sees records with the eyes of the service. */
class Eyes implements RecordSink {
  readonly #gather: Gather;
  readonly #tenants = new Map<string, number>();
  readonly #series = new Set<number>();
  #outcome = '';
  #detail = '';
  #spans = 0;

  constructor(config: Config) {
    const overrides = new OverridesFile(config);
    overrides.look();
    this.#gather = new Pipeline({
      tenants: new TenantChain(config.tenants.from, config.tenants.default),
      settings: tenantSettings(config, overrides.current),
      encoding: topicEncodings(config),
      maxLabelValueLength: config.usage.maxLabelValueLengthBytes,
      accounting: config.usage.accounting,
      watch: {
        accepted: (_bytes, spans) => {
          this.#outcome = 'accepted';
          this.#spans = spans;
        },
        discarded: (reason, _record, _where, detail) => {
          this.#outcome = reason;
          this.#detail = detail;
        },
        regionDiscarded: (reason, bytes) => {
          this.#detail = `${bytes} bytes: ${reason}`;
        },
      },
    }).gather;
  }

  wants(): boolean {
    return true;
  }

  add(_shard: number, series: SeriesTable, slot: number, bytes: number): void {
    const { tenant } = series.accounts[series.accountOf(slot)]!;
    if (tenant === RECORDS_TENANT) return;
    this.#series.add(slot);
    this.#tenants.set(tenant, (this.#tenants.get(tenant) ?? 0) + bytes);
  }

  see(record: SourceRecord, where: TopicPartition): Seen {
    this.#tenants.clear();
    this.#series.clear();
    this.#detail = '';
    this.#spans = 0;
    this.#gather(record, where, this);
    return {
      topic: where.topic,
      partition: where.partition,
      offset: record.offset,
      timestamp: new Date(record.timestampMs).toISOString(),
      bytes: record.value?.length ?? 0,
      outcome: this.#outcome,
      detail: this.#detail,
      spans: this.#spans,
      series: this.#series.size,
      tenants: Object.fromEntries(this.#tenants),
    };
  }
}

/** The last records of each partition, by their time; of those the last `limit`. */
const lastRecords = async (log: LogReader, eyes: Eyes, topic: string, limit: number): Promise<readonly Seen[]> => {
  const [found] = await log.calls.topics([topic]);
  if (found === undefined) throw new NotThere(`there is no topic ${topic}`);
  const all = Array.from({ length: found.partitions }, (_, partition) => ({ topic, partition }));
  const seen: Seen[] = [];
  for (const { start, end, ...where } of await log.calls.ranges(all)) {
    for await (const { records } of log.read(where, Math.max(start, end - limit), end))
      for (const record of records) seen.push(eyes.see(record, where));
  }
  seen.sort((a, b) => (a.timestamp < b.timestamp ? -1 : a.timestamp > b.timestamp ? 1 : a.offset - b.offset));
  return seen.slice(-limit);
};

const asTable = (seen: readonly Seen[]): string =>
  table(
    ['record', 'time', 'bytes', 'spans', 'series', 'outcome', 'tenants'],
    seen.map(({ topic, partition, offset, timestamp, bytes, spans, series, outcome, detail, tenants }) => [
      `${topic}/${partition}/${offset}`,
      timestamp,
      String(bytes),
      String(spans),
      String(series),
      outcome,
      [Object.keys(tenants).join(' '), detail].filter((text) => text !== '').join('  '),
    ]),
  );

const limitOf = (values: Values): number => {
  const given = values.limit ?? String(DEFAULT_LIMIT);
  const limit = typeof given === 'string' && /^\d{1,6}$/.test(given) ? Number(given) : 0;
  if (limit < 1 || limit > MOST) throw new UsageError(`--limit must be a number of records from 1 to ${MOST}`);
  return limit;
};

export const tail: Command = {
  name: 'tail',
  summary: 'prints the last records of a topic as the service sees them, without joining the group',
  options: {
    ...CONFIG_OPTION,
    topic: { type: 'string', value: 'NAME', doc: 'the topic (default: the one of kafka.topics, if it is one)' },
    limit: { type: 'string', value: 'N', doc: `how many records (default ${DEFAULT_LIMIT})` },
    output: { type: 'string', value: 'HOW', doc: `${OUTPUTS.join(', ')} (default table); json: an object a line` },
  },
  run: async (values, io) => {
    const output = choice(values, 'output', OUTPUTS, 'table');
    const limit = limitOf(values);
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const { config } = checked;
    const [only, ...others] = config.kafka.topics;
    const topic = typeof values.topic === 'string' ? values.topic : only!;
    if (values.topic === undefined && (others.length > 0 || only!.startsWith('^')))
      throw new UsageError('--topic is missing: kafka.topics has several');
    return withLog(config, io, async (log) => {
      const seen = await lastRecords(log, new Eyes(config), topic, limit);
      if (output === 'json') for (const one of seen) io.out(JSON.stringify(one));
      else io.out(asTable(seen));
      return 0;
    });
  },
};
