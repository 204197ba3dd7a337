/** Dead letters as the commands of `dlq` read them. */
import type { Config } from '../config/config.ts';
import { type Origin, openLetter } from '../kafka/letter.ts';
import type { LogReader } from '../kafka/log-reader.ts';
import type { TopicPartition } from '../kafka/port.ts';
import type { NewRecord } from '../kafka/produce.ts';
import { CONFIG_OPTION, UsageError, type Values } from './command.ts';
import { NotThere } from './kafka-log.ts';

export const DLQ_OUTPUTS = ['table', 'json'] as const;

export const DLQ_OPTIONS = {
  ...CONFIG_OPTION,
  topic: { type: 'string', value: 'NAME', doc: 'the dead-letter topic (default: kafka.dead_letter_topic)' },
  reason: { type: 'string', value: 'REASON', multiple: true, doc: 'only letters with this reason; repeatable' },
  origin: { type: 'string', value: 'TOPIC', doc: 'only letters that were read from this topic' },
} as const;

/** A dead letter where it lies, and the record in it. Its buffers may be read until the next one is asked for. */
export type Found = TopicPartition & {
  readonly offset: number;
  readonly origin: Origin;
  readonly record: NewRecord;
};

export type Filter = { readonly reasons: ReadonlySet<string>; readonly origin: string | null };

export const filterOf = (values: Values): Filter => ({
  reasons: new Set((values.reason as readonly string[] | undefined) ?? []),
  origin: typeof values.origin === 'string' ? values.origin : null,
});

export const isWanted = ({ origin }: Found, filter: Filter): boolean =>
  (filter.reasons.size === 0 || filter.reasons.has(origin.reason)) &&
  (filter.origin === null || filter.origin === origin.topic);

export const letterTopic = (values: Values, config: Config): string => {
  const topic = typeof values.topic === 'string' ? values.topic : config.kafka.deadLetterTopic;
  if (topic === '') throw new UsageError('--topic is missing: kafka.dead_letter_topic is not set');
  return topic;
};

export const partitionsOf = async (log: LogReader, topic: string): Promise<readonly TopicPartition[]> => {
  const [found] = await log.calls.topics([topic]);
  if (found === undefined) throw new NotThere(`there is no topic ${topic}`);
  return Array.from({ length: found.partitions }, (_, partition) => ({ topic, partition }));
};

/** What was read of a part of the log: letters of ours, and how many records are none. */
export type LetterPart = { readonly letters: readonly Found[]; readonly strangers: number; readonly next: number };

export async function* readLetters(
  log: LogReader,
  where: TopicPartition,
  from: number,
  to: number,
): AsyncGenerator<LetterPart> {
  for await (const { records, next } of log.read(where, from, to)) {
    const letters: Found[] = [];
    for (const record of records) {
      const opened = openLetter(record);
      if (opened !== null) letters.push({ ...where, offset: record.offset, ...opened });
    }
    yield { letters, strangers: records.length - letters.length, next };
  }
}

/** A place of a record, as `explain --record` takes it. */
export const placeText = ({ topic, partition, offset }: TopicPartition & { readonly offset: number }): string =>
  `${topic}/${partition}/${offset}`;
