/** Records of the log for commands, read as the service reads them, without joining the group. */
import type { Config } from '../config/config.ts';
import { LogGone, LogReader } from '../kafka/log-reader.ts';
import type { SourceRecord, TopicPartition } from '../kafka/port.ts';
import { createLogger } from '../telemetry/logger.ts';
import { type Io, UsageError } from './command.ts';
import { kafkaOptions } from './reach.ts';

const SILENT = createLogger({ level: 'silent', format: 'json' });
const TIMEOUT_MS = 10_000;

/** What is not there, in words for a person. */
export class NotThere extends Error {
  override readonly name = 'NotThere';
}

/** Runs with a reader of the log; what Kafka does not have or answer is said in one line. Answers the exit code. */
export const withLog = async (config: Config, io: Io, run: (log: LogReader) => Promise<number>): Promise<number> => {
  const { topics: _, ...source } = kafkaOptions(config);
  const log = new LogReader({ ...source, callTimeoutMs: TIMEOUT_MS, logger: SILENT });
  try {
    return await run(log);
  } catch (error) {
    const isExpected =
      error instanceof NotThere || error instanceof LogGone || (error as { code?: unknown }).code !== undefined;
    if (!isExpected || error instanceof UsageError) throw error;
    io.err((error as Error).message);
    return 1;
  } finally {
    await log.close();
  }
};

/** A place as a person writes it, `topic/partition/offset`. */
export const placeOf = (text: string): TopicPartition & { readonly offset: number } => {
  const match = /^(.+)\/(\d{1,9})\/(\d{1,15})$/.exec(text);
  if (match === null) throw new UsageError('--record must be topic/partition/offset');
  return { topic: match[1]!, partition: Number(match[2]), offset: Number(match[3]) };
};

/** The record at a place. Its buffers may be kept. */
export const recordAt = async (
  log: LogReader,
  { topic, partition, offset }: TopicPartition & { readonly offset: number },
): Promise<SourceRecord> => {
  const where = { topic, partition };
  const [found] = await log.calls.topics([topic]);
  if (found === undefined) throw new NotThere(`there is no topic ${topic}`);
  if (partition >= found.partitions) throw new NotThere(`${topic} has ${found.partitions} partitions, counted from 0`);
  const [range] = await log.calls.ranges([where]);
  const { start, end } = range!;
  if (offset < start || offset >= end) {
    const held = start === end ? 'is empty' : `holds the offsets ${start} to ${end - 1}`;
    throw new NotThere(`${topic}/${partition} ${held}`);
  }
  for await (const { records } of log.read(where, offset, offset + 1)) {
    const record = records.find((one) => one.offset === offset);
    if (record === undefined) continue;
    const { key, value, headers } = record;
    return {
      ...record,
      key: key === null ? null : Buffer.from(key),
      value: value === null ? null : Buffer.from(value),
      headers: headers.map((header) => ({ ...header, value: Buffer.from(header.value) })),
    };
  }
  throw new NotThere(
    `${topic}/${partition} has no record at ${offset}: compaction took it, or it is a mark of a transaction`,
  );
};
