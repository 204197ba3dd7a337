/** `dlq list`: dead letters, where they came from and why. Joins no group and commits nothing. */
import type { Config } from '../config/config.ts';
import type { LogReader } from '../kafka/log-reader.ts';
import { table } from '../telemetry/table.ts';
import { type Command, checkedConfig, type Io, refuse, UsageError, type Values } from './command.ts';
import {
  DLQ_OPTIONS,
  DLQ_OUTPUTS,
  type Found,
  filterOf,
  isWanted,
  letterTopic,
  partitionsOf,
  placeText,
  readLetters,
} from './dlq-letters.ts';
import { withLog } from './kafka-log.ts';
import { choice } from './records.ts';

const DEFAULT_LIMIT = 20;
const MOST = 1_000_000;

type Row = {
  readonly letter: string;
  readonly origin: string;
  readonly timestamp: string;
  readonly reason: string;
  readonly detail: string;
  readonly version: string;
  /** Of the value. */
  readonly bytes: number;
};

const rowOf = ({ origin, record, ...where }: Found): Row => ({
  letter: placeText(where),
  origin: placeText(origin),
  timestamp: origin.timestamp,
  reason: origin.reason,
  detail: origin.detail,
  version: origin.version,
  bytes: record.value?.length ?? 0,
});

const asText = (rows: readonly Row[], total: number, byReason: ReadonlyMap<string, number>): string => {
  const shown = table(
    ['letter', 'record', 'time', 'bytes', 'reason', 'detail'],
    rows.map(({ letter, origin, timestamp, bytes, reason, detail }) => [
      letter,
      origin,
      timestamp,
      String(bytes),
      reason,
      detail,
    ]),
  );
  const sums = [...byReason].sort(([a], [b]) => (a < b ? -1 : 1)).map(([reason, count]) => `${count} ${reason}`);
  const all = `${total} letter${total === 1 ? '' : 's'}${sums.length === 0 ? '' : `: ${sums.join(', ')}`}`;
  return total > rows.length ? `${shown}\n\n${all}; the last ${rows.length} are shown` : `${shown}\n\n${all}`;
};

const list = async (log: LogReader, config: Config, values: Values, limit: number, io: Io): Promise<number> => {
  const filter = filterOf(values);
  const topic = letterTopic(values, config);
  const partitions = await partitionsOf(log, topic);
  const byReason = new Map<string, number>();
  const last: Row[] = [];
  let total = 0;
  let strangers = 0;
  for (const { start, end, ...where } of await log.calls.ranges(partitions)) {
    for await (const part of readLetters(log, where, start, end)) {
      strangers += part.strangers;
      for (const letter of part.letters) {
        if (!isWanted(letter, filter)) continue;
        total++;
        byReason.set(letter.origin.reason, (byReason.get(letter.origin.reason) ?? 0) + 1);
        last.push(rowOf(letter));
        if (last.length > 2 * limit) last.splice(0, last.length - limit);
      }
    }
  }
  const rows = last.slice(-limit);
  if (values.output === 'json') for (const row of rows) io.out(JSON.stringify(row));
  else io.out(asText(rows, total, byReason));
  if (strangers > 0) io.err(`${strangers} records of ${topic} are no dead letters of ours, and are left out`);
  return 0;
};

export const dlqList: Command = {
  name: 'dlq list',
  summary: 'prints dead letters: which record each is, and why it was set aside',
  options: {
    ...DLQ_OPTIONS,
    limit: { type: 'string', value: 'N', doc: `how many letters, the last ones (default ${DEFAULT_LIMIT})` },
    output: { type: 'string', value: 'HOW', doc: `${DLQ_OUTPUTS.join(', ')} (default table); json: an object a line` },
  },
  run: async (values, io) => {
    choice(values, 'output', DLQ_OUTPUTS, 'table');
    const limit = countOf(values, DEFAULT_LIMIT);
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    return withLog(checked.config, io, (log) => list(log, checked.config, values, limit, io));
  },
};

/** Of `--limit`. */
export const countOf = (values: Values, none: number): number => {
  if (values.limit === undefined) return none;
  const limit = typeof values.limit === 'string' && /^\d{1,7}$/.test(values.limit) ? Number(values.limit) : 0;
  if (limit < 1 || limit > MOST) throw new UsageError(`--limit must be a number from 1 to ${MOST}`);
  return limit;
};
