/** Looks at Kafka and at the ledger as a service would meet them. Changes nothing and joins no group. */
import type { Config } from '../config/config.ts';
import type { RecordSource } from '../kafka/port.ts';
import { createKafkaSource } from '../kafka/source.ts';
import { isPattern, unmatched } from '../kafka/topic-names.ts';
import type { Finding, Ledger } from '../ledger/port.ts';
import { openRedisLedger } from '../ledger/redis-ledger.ts';
import { openConfluentRegistry } from '../schemas/confluent.ts';
import { createLogger } from '../telemetry/logger.ts';
import { kafkaOptions, ledgerOptions } from './reach.ts';

export type Remark = Finding | { readonly severity: 'good'; readonly text: string };

const SILENT = createLogger({ level: 'silent', format: 'json' });
const TIMEOUT_MS = 5_000;

const good = (text: string): Remark => ({ severity: 'good', text });
const warn = (text: string): Remark => ({ severity: 'warn', text });
const refuse = (text: string): Remark => ({ severity: 'refuse', text });

const whole = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

/** What may be asked of a source that has not been started. */
type Cluster = Pick<RecordSource, 'clusterId' | 'topics' | 'ranges' | 'commits'>;

const examineTopics = async (source: Cluster, names: readonly string[]): Promise<readonly Remark[]> => {
  const topics = await source.topics(names);
  const found = await Promise.all(
    topics.map(async ({ name, partitions }) => {
      const all = Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition }));
      const held = (await source.ranges(all)).reduce((sum, { start, end }) => sum + end - start, 0);
      const committed = (await source.commits(all)).filter(({ offset }) => offset !== null).length;
      return good(
        `the topic ${name} has ${whole(partitions, 'partition')}, about ${whole(held, 'record')}; ` +
          `the group has a commit in ${committed}`,
      );
    }),
  );
  const missing = unmatched(names, topics).map((name) =>
    isPattern(name)
      ? warn(`kafka.topics: no topic matches ${name} yet`)
      : refuse(`kafka.topics: there is no topic ${name}`),
  );
  return [...found, ...missing];
};

/** `letters`: where dead letters are written to; empty: nowhere. */
const examineLetters = async (source: Cluster, letters: string): Promise<readonly Remark[]> => {
  if (letters === '') return [];
  const [found] = await source.topics([letters]);
  if (found === undefined)
    return [refuse(`kafka.dead_letter_topic: there is no topic ${letters}; make it: the service does not`)];
  return [good(`the dead-letter topic ${letters} has ${whole(found.partitions, 'partition')}`)];
};

/** Never rejects. `letters`: where dead letters are written to; empty: nowhere. */
export const examineCluster = async (
  source: Cluster,
  names: readonly string[],
  letters = '',
): Promise<readonly Remark[]> => {
  try {
    const clusterId = await source.clusterId();
    const topics = await examineTopics(source, names);
    return [good(`Kafka answers, the cluster is ${clusterId}`), ...topics, ...(await examineLetters(source, letters))];
  } catch (error) {
    return [refuse(`Kafka cannot be asked: ${(error as Error).message}`)];
  }
};

export const examineKafka = async (config: Config): Promise<readonly Remark[]> => {
  const source = createKafkaSource({ ...kafkaOptions(config), callTimeoutMs: TIMEOUT_MS, logger: SILENT });
  try {
    const { topics, onBadRecord, deadLetterTopic } = config.kafka;
    return await examineCluster(source, topics, onBadRecord === 'dead_letter' ? deadLetterTopic : '');
  } finally {
    await source.stop();
  }
};

/** Never rejects. */
export const examineRegistry = async (config: Config): Promise<readonly Remark[]> => {
  if (config.schemaRegistry === null) return [];
  try {
    const registry = await openConfluentRegistry({ ...config.schemaRegistry, timeoutMs: TIMEOUT_MS });
    await registry.probe();
    return [good('the schema registry answers')];
  } catch (error) {
    return [refuse(`the schema registry cannot be asked: ${(error as Error).message}`)];
  }
};

/** Never rejects. */
export const examineServer = async (ledger: Pick<Ledger, 'examine'>): Promise<readonly Remark[]> => {
  try {
    const findings = await ledger.examine();
    const refused = findings.some(({ severity }) => severity === 'refuse');
    return refused ? findings : [good('Redis answers and can hold the ledger'), ...findings];
  } catch (error) {
    return [refuse((error as Error).message)];
  }
};

export const examineLedger = async (config: Config): Promise<readonly Remark[]> => {
  const options = ledgerOptions(config);
  if (options === null)
    return [
      { severity: 'warn', text: 'the ledger is embedded: in memory, for one replica; redis.url names a server for it' },
    ];
  const ledger = openRedisLedger({ ...options, commandTimeoutMs: TIMEOUT_MS });
  try {
    return await examineServer(ledger);
  } finally {
    await ledger.close();
  }
};
