/**
 * `dlq feed`: gives dead letters back to their topic, as the records that they were. What was fed is remembered as the
 * commits of a group of its own (`<kafka.group_id>.dlq`), so that the next run goes on behind it.
 */
import type { Config } from '../config/config.ts';
import { Undelivered } from '../kafka/errors.ts';
import type { LogReader } from '../kafka/log-reader.ts';
import type { LogRange, TopicPartition } from '../kafka/port.ts';
import type { NewRecord } from '../kafka/produce.ts';
import { openProducer, type Producer } from '../kafka/producer.ts';
import { createLogger } from '../telemetry/logger.ts';
import { type Command, checkedConfig, type Io, refuse, UsageError, type Values } from './command.ts';
import {
  DLQ_OPTIONS,
  DLQ_OUTPUTS,
  type Filter,
  type Found,
  filterOf,
  isWanted,
  letterTopic,
  partitionsOf,
  placeText,
  readLetters,
} from './dlq-letters.ts';
import { countOf } from './dlq-list.ts';
import { NotThere, withLog } from './kafka-log.ts';
import { kafkaOptions } from './reach.ts';
import { choice } from './records.ts';

const SILENT = createLogger({ level: 'silent', format: 'json' });
const BATCH_RECORDS = 500;
const BATCH_BYTES = 768 << 10;
const ATTEMPTS = 30;
const RETRY_MS = 1_000;

type Plan = {
  readonly topic: string;
  readonly topicId: string;
  readonly to: string | null;
  readonly filter: Filter;
  readonly limit: number;
  readonly isAll: boolean;
  readonly isDry: boolean;
};

type Done = {
  fed: number;
  bytes: number;
  duplicates: number;
  leftOut: number;
  strangers: number;
  readonly byReason: Map<string, number>;
  readonly byTopic: Map<string, number>;
};

type Batch = TopicPartition & { readonly records: NewRecord[]; bytes: number };

const bump = (counts: Map<string, number>, key: string): void => void counts.set(key, (counts.get(key) ?? 0) + 1);

class Feed {
  readonly done: Done = {
    fed: 0,
    bytes: 0,
    duplicates: 0,
    leftOut: 0,
    strangers: 0,
    byReason: new Map(),
    byTopic: new Map(),
  };
  readonly #log: LogReader;
  readonly #producer: Producer;
  readonly #plan: Plan;
  /** Records whose letters were fed: a letter may have been written twice. */
  readonly #seen = new Set<string>();
  readonly #batches = new Map<string, Batch>();
  readonly #sizes = new Map<string, number>();

  constructor(log: LogReader, producer: Producer, plan: Plan) {
    this.#log = log;
    this.#producer = producer;
    this.#plan = plan;
  }

  /** Notes what earlier runs fed of a partition: a letter may have been written once before and once behind them. */
  async recall({ start, ...where }: LogRange, remembered: number | null): Promise<void> {
    if (this.#plan.isAll || remembered === null) return;
    for await (const { letters } of readLetters(this.#log, where, start, remembered))
      for (const { origin } of letters) this.#seen.add(placeText(origin));
  }

  /** Feeds [from, end) of a partition of the dead-letter topic, and remembers how far it came. */
  async partition({ start, end, ...where }: LogRange, remembered: number | null): Promise<void> {
    const from = this.#plan.isAll ? start : Math.max(start, remembered ?? start);
    let reached = from;
    for await (const { letters, strangers, next } of readLetters(this.#log, where, from, end)) {
      this.done.strangers += strangers;
      for (const letter of letters) {
        if (this.done.fed >= this.#plan.limit) break;
        await this.#take(letter);
        reached = letter.offset + 1;
      }
      // The records are slices of what was fetched: nothing of them is kept beyond this part.
      await this.#flush();
      const isFull = this.done.fed >= this.#plan.limit;
      if (!isFull) reached = next;
      await this.#remember(where, reached, remembered);
      if (isFull) return;
    }
  }

  async #take(letter: Found): Promise<void> {
    const { origin, record } = letter;
    if (!isWanted(letter, this.#plan.filter)) {
      this.done.leftOut++;
      return;
    }
    const place = placeText(origin);
    if (this.#seen.has(place)) {
      this.done.duplicates++;
      return;
    }
    this.#seen.add(place);
    const topic = this.#plan.to ?? origin.topic;
    if (topic === this.#plan.topic) throw new NotThere(`${topic} is the dead-letter topic itself`);
    const partition = origin.partition % (await this.#partitionsOf(topic));
    this.done.fed++;
    this.done.bytes += record.value?.length ?? 0;
    bump(this.done.byReason, origin.reason);
    bump(this.done.byTopic, topic);
    if (!this.#plan.isDry) await this.#add({ topic, partition }, record);
  }

  async #partitionsOf(topic: string): Promise<number> {
    let size = this.#sizes.get(topic);
    if (size === undefined) {
      const [found] = await this.#log.calls.topics([topic]);
      if (found === undefined) throw new NotThere(`there is no topic ${topic}; --to names another one`);
      size = found.partitions;
      this.#sizes.set(topic, size);
    }
    return size;
  }

  async #add(where: TopicPartition, record: NewRecord): Promise<void> {
    const key = `${where.partition}/${where.topic}`;
    const batch = this.#batches.get(key) ?? { ...where, records: [], bytes: 0 };
    this.#batches.set(key, batch);
    const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    if (batch.records.length >= BATCH_RECORDS || (batch.bytes > 0 && batch.bytes + bytes > BATCH_BYTES)) {
      await this.#send(batch);
      batch.records.length = 0;
      batch.bytes = 0;
    }
    batch.records.push(record);
    batch.bytes += bytes;
  }

  async #flush(): Promise<void> {
    for (const batch of this.#batches.values()) if (batch.records.length > 0) await this.#send(batch);
    this.#batches.clear();
  }

  async #send({ topic, partition, records }: Batch): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#producer.send(topic, partition, records);
        return;
      } catch (error) {
        if (!(error instanceof Undelivered) || error.isTooLarge || attempt === ATTEMPTS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Never back: what was fed once is not forgotten. A run that leaves letters out says nothing of what it has passed. */
  async #remember(where: TopicPartition, reached: number, remembered: number | null): Promise<void> {
    const { isDry, topicId } = this.#plan;
    if (isDry || isFiltered(this.#plan) || reached <= (remembered ?? -1)) return;
    await this.#log.calls.commitUnheld([{ ...where, offset: reached, metadata: JSON.stringify({ fed: topicId }) }]);
  }
}

const isFiltered = ({ filter }: Plan): boolean => filter.reasons.size > 0 || filter.origin !== null;

const asText = ({ fed, bytes, duplicates, leftOut, strangers, byReason, byTopic }: Done, plan: Plan): string => {
  const list = (counts: ReadonlyMap<string, number>): string =>
    [...counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, count]) => `${count} ${name}`)
      .join(', ');
  const letters = `${fed} letter${fed === 1 ? '' : 's'} (${bytes} bytes)`;
  const lines = [plan.isDry ? `${letters} would be fed; nothing was written` : `${letters} were fed`];
  if (fed > 0) lines.push(`  by reason: ${list(byReason)}`, `  to: ${list(byTopic)}`);
  if (duplicates > 0) lines.push(`${duplicates} were written twice, and are fed once`);
  if (strangers > 0) lines.push(`${strangers} records are no dead letters of ours, and are left out`);
  if (isFiltered(plan) && !plan.isDry)
    lines.push(
      `${leftOut} were left out by --reason or --origin, so nothing is remembered: the same command would feed these again, and so would one without`,
    );
  return lines.join('\n');
};

const asJson = (done: Done, plan: Plan): string =>
  JSON.stringify({
    dry_run: plan.isDry,
    fed: done.fed,
    bytes: done.bytes,
    duplicates: done.duplicates,
    left_out: done.leftOut,
    strangers: done.strangers,
    by_reason: Object.fromEntries(done.byReason),
    by_topic: Object.fromEntries(done.byTopic),
    remembered: !plan.isDry && !isFiltered(plan),
  });

/** Up to where each partition was fed by earlier runs; null where by none. */
const rememberedOf = async (
  log: LogReader,
  partitions: readonly TopicPartition[],
  topicId: string,
): Promise<ReadonlyMap<number, number>> => {
  const commits = await log.calls.commits(partitions);
  const ours = JSON.stringify({ fed: topicId });
  return new Map(
    commits.flatMap(({ partition, offset, metadata }) =>
      offset === null || metadata !== ours ? [] : [[partition, offset] as const],
    ),
  );
};

const feed = async (log: LogReader, config: Config, values: Values, limit: number, io: Io): Promise<number> => {
  const topic = letterTopic(values, config);
  const partitions = await partitionsOf(log, topic);
  const [found] = await log.calls.topics([topic]);
  const plan: Plan = {
    topic,
    topicId: found!.id,
    to: typeof values.to === 'string' ? values.to : null,
    filter: filterOf(values),
    limit,
    isAll: values.all === true,
    isDry: values['dry-run'] === true,
  };
  const remembered = await rememberedOf(log, partitions, plan.topicId);
  const producer = openProducer({ ...kafkaOptions(config), logger: SILENT });
  const run = new Feed(log, producer, plan);
  try {
    const ranges = await log.calls.ranges(partitions);
    for (const range of ranges) await run.recall(range, remembered.get(range.partition) ?? null);
    for (const range of ranges) await run.partition(range, remembered.get(range.partition) ?? null);
  } catch (error) {
    io.err(`stopped after ${run.done.fed} letters; the last ones may have been fed or not`);
    throw error;
  } finally {
    await producer.close();
  }
  io.out(values.output === 'json' ? asJson(run.done, plan) : asText(run.done, plan));
  return 0;
};

export const dlqFeed: Command = {
  name: 'dlq feed',
  summary: 'gives dead letters back to the topic and partition that they came from, each once',
  options: {
    ...DLQ_OPTIONS,
    to: { type: 'string', value: 'TOPIC', doc: 'into this topic instead, by the number of the partition' },
    limit: { type: 'string', value: 'N', doc: 'so many letters at most' },
    all: { type: 'boolean', doc: 'also those that were fed before' },
    'dry-run': { type: 'boolean', doc: 'only say what would be fed' },
    output: { type: 'string', value: 'HOW', doc: `${DLQ_OUTPUTS.join(', ')} (default table)` },
  },
  run: async (values, io) => {
    choice(values, 'output', DLQ_OUTPUTS, 'table');
    const limit = countOf(values, Number.POSITIVE_INFINITY);
    if (values.to === '') throw new UsageError('--to must name a topic');
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const { config } = checked;
    // Its positions are not those of the service.
    const own = { ...config, kafka: { ...config.kafka, groupId: `${config.kafka.groupId}.dlq` } };
    return withLog(own, io, (log) => feed(log, config, values, limit, io));
  },
};
