/** What becomes of bad records beside being counted: `kafka.on_bad_record`, and the commands of `dlq`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { DiscardReason } from '../../src/attribution/discard.ts';
import { openLetter } from '../../src/kafka/letter.ts';
import { LogReader } from '../../src/kafka/log-reader.ts';
import type { NewRecord } from '../../src/kafka/produce.ts';
import { createLogger } from '../../src/telemetry/logger.ts';
import { type Fleet, killReplica, startFleet, untilLine } from '../support/fleet.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { runCommand } from '../support/run-command.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { createTopic, deleteTopic, uniqueName, withAdmin } from '../support/topics.ts';
import type { TrafficRecord } from '../support/traffic.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

const SILENT = createLogger({ level: 'silent', format: 'json' });
const dir = scratchDirectory('dead-letters');
const GOOD = plainRecord('acme', '/good', 3);

afterAll(() => removeScratch(dir));

const bad = (discard: DiscardReason, changed: Partial<TrafficRecord>): TrafficRecord => ({
  ...GOOD,
  tenant: null,
  discard,
  spans: 0,
  series: new Set(),
  ...changed,
});
const broken = (text: string): TrafficRecord =>
  bad('not_otlp', { value: Buffer.from(text), headers: { 'X-Scope-OrgID': 'acme' } });

/** All records of a topic, partition by partition. */
const readAll = async (brokers: readonly string[], topic: string): Promise<readonly NewRecord[]> => {
  const log = new LogReader({ brokers, clientId: 'test', groupId: 'test', logger: SILENT });
  try {
    const [found] = await log.calls.topics([topic]);
    const all = Array.from({ length: found!.partitions }, (_, partition) => ({ topic, partition }));
    const records: NewRecord[] = [];
    for (const { start, end, ...where } of await log.calls.ranges(all)) {
      for await (const part of log.read(where, start, end)) {
        for (const { key, value, headers } of part.records)
          records.push({
            key: key && Buffer.from(key),
            value: value && Buffer.from(value),
            headers: headers.map((header) => ({ ...header, value: Buffer.from(header.value) })),
          });
      }
    }
    return records;
  } finally {
    await log.close();
  }
};

const values = (records: readonly NewRecord[]): string[] =>
  records.map(({ value }) => (value === null ? 'null' : Buffer.from(value).toString()));

const held = (fleet: Fleet, cause: string): Promise<number> => fleet.metric('tracetally_held_partitions', { cause });

const configFile = (fleet: Fleet, letters: string): string => {
  const path = join(dir, `${fleet.topic}.yaml`);
  const kafka = { brokers: fleet.brokers, topics: [fleet.topic], group_id: fleet.group, dead_letter_topic: letters };
  writeFileSync(path, stringify({ kafka, redis: { url: fleet.redis.url, key_prefix: 'tracetally' } }));
  return path;
};

describe('dead_letter', () => {
  const letters = uniqueName('letters');
  let fleet: Fleet;

  beforeAll(async () => {
    await createTopic(sharedKafka(), letters, { partitions: 2 });
    fleet = await startFleet({
      name: 'dead',
      brokers: sharedKafka(),
      replicas: 1,
      partitions: 3,
      config: { tenants: { default: '' }, kafka: { on_bad_record: 'dead_letter', dead_letter_topic: letters } },
    });
  }, 120_000);

  afterAll(async () => {
    await fleet?.stop();
    await deleteTopic(sharedKafka(), letters);
  }, 60_000);

  test('a letter is the record as it was, with where it lay and why in headers behind its own', async () => {
    const value = Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f, 1]);
    const record = bad('malformed', { value });
    const headers = { 'X-Scope-OrgID': 'acme', twice: ['one', 'two'], empty: '', bytes: Buffer.from([0, 255]) };
    const producer = await fleet.producer();
    const offset = await producer.send(fleet.topic, 2, [
      { key: Buffer.from([1, 0, 254]), value, headers, timestamp: '1700000000123' },
    ]);
    fleet.truth.add(record);
    await fleet.settle();
    const [letter] = await readAll(fleet.brokers, letters);
    const { origin, record: opened } = openLetter(letter!)!;
    expect(origin).toEqual({
      topic: fleet.topic,
      partition: 2,
      offset,
      timestamp: '2023-11-14T22:13:20.123Z',
      reason: 'malformed',
      detail: expect.stringContaining('truncated'),
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    });
    expect(opened.key).toEqual(Buffer.from([1, 0, 254]));
    expect(opened.value).toEqual(value);
    expect(opened.headers.map(({ name, value: bytes }) => [name, Buffer.from(bytes).toString('latin1')])).toEqual([
      ['X-Scope-OrgID', 'acme'],
      ['twice', 'one'],
      ['twice', 'two'],
      ['empty', ''],
      ['bytes', '\u0000\u00ff'],
    ]);
    expect(await fleet.metric('tracetally_dead_letters_total')).toBe(1);
  }, 60_000);

  test('every reason, a null value too, and nothing of what is good', async () => {
    await fleet.send(bad('null_value', { value: null }), 0);
    await fleet.send(bad('no_tenant', { value: Buffer.from('nobody'), headers: {} }), 0);
    await fleet.send(bad('invalid_tenant', { headers: { 'X-Scope-OrgID': 'a/b c' } }), 1);
    await fleet.send(GOOD, 0);
    await fleet.settle();
    const reasons = (await readAll(fleet.brokers, letters)).map((letter) => openLetter(letter)!.origin.reason);
    expect(reasons.toSorted()).toEqual(['invalid_tenant', 'malformed', 'no_tenant', 'null_value']);
  }, 60_000);

  test('killed by SIGKILL in the middle of them: each record has its letter, and is counted once', async () => {
    const before = new Set(values(await readAll(fleet.brokers, letters)));
    const wanted: string[] = [];
    for (let i = 0; i < 300; i++) {
      wanted.push(`poison ${i}`);
      await fleet.send(broken(`poison ${i}`), i % 3);
      if (i % 100 === 50) await killReplica(fleet.replicas.at(-1)!).then(() => fleet.add());
    }
    await fleet.settle(60_000);
    const found = new Set(values(await readAll(fleet.brokers, letters)));
    expect(wanted.filter((text) => !found.has(text))).toEqual([]);
    expect(found.size).toBe(before.size + wanted.length);
  }, 120_000);

  test('dlq list names them; dlq feed gives them back once, as they were', async () => {
    const config = configFile(fleet, letters);
    const listed = await runCommand(['dlq', 'list', '--config', config, '--output', 'json', '--limit', '100000']);
    expect(listed).toMatchObject({ code: 0, err: '' });
    const rows = listed.out.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(rows.filter(({ reason }) => reason === 'not_otlp').length).toBeGreaterThanOrEqual(300);
    expect(rows[0]).toMatchObject({
      origin: expect.stringMatching(`^${fleet.topic}/\\d/\\d+$`),
      version: expect.any(String),
    });
    const table = await runCommand(['dlq', 'list', '--config', config, '--reason', 'null_value']);
    expect(table.out).toContain('1 letter: 1 null_value');

    const target = uniqueName('fed');
    await createTopic(fleet.brokers, target, { partitions: 3 });
    const feed = async (...more: string[]) => {
      const done = await runCommand(['dlq', 'feed', '--config', config, '--to', target, '--output', 'json', ...more]);
      expect(done).toMatchObject({ code: 0, err: '' });
      return JSON.parse(done.out) as Record<string, unknown>;
    };
    const all = new Set(rows.map(({ origin }) => origin)).size;
    expect(await feed('--dry-run')).toMatchObject({ dry_run: true, fed: all, remembered: false });
    expect(await readAll(fleet.brokers, target)).toEqual([]);
    expect(await feed('--reason', 'malformed')).toMatchObject({ fed: 1, remembered: false });
    const [back] = await readAll(fleet.brokers, target);
    expect(back).toMatchObject({
      key: Buffer.from([1, 0, 254]),
      value: Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f, 1]),
    });
    expect(back!.headers.map(({ name }) => name)).toEqual(['X-Scope-OrgID', 'twice', 'twice', 'empty', 'bytes']);
    expect(await feed('--limit', '100')).toMatchObject({ fed: 100, remembered: true });
    expect(await feed()).toMatchObject({ remembered: true });
    expect(await feed()).toMatchObject({ fed: 0 });
    // The malformed one was fed by itself, and then with all.
    expect(new Set(values(await readAll(fleet.brokers, target))).size).toBe(
      new Set(values(await readAll(fleet.brokers, letters))).size,
    );
    expect((await readAll(fleet.brokers, target)).length).toBe(all + 1);
    await deleteTopic(fleet.brokers, target);
  }, 120_000);

  test('fed to where they came from, they are read there, and counted as what they are now', async () => {
    const config = configFile(fleet, letters);
    const before = await fleet.metric('tracetally_records_discarded_total', { reason: 'null_value' });
    const fed = await runCommand(['dlq', 'feed', '--config', config, '--all', '--reason', 'null_value']);
    expect(fed.out).toContain('1 letter (0 bytes) were fed');
    fleet.truth.add(bad('null_value', { value: null }));
    await fleet.settle();
    expect(await fleet.metric('tracetally_records_discarded_total', { reason: 'null_value' })).toBe(before + 1);
  }, 60_000);
});

describe('dead letters that cannot be delivered', () => {
  test('the partition waits, visibly, others go on; when they can be, it goes on, and nothing is lost', async () => {
    const letters = uniqueName('later');
    const fleet = await startFleet({
      name: 'waits',
      brokers: sharedKafka(),
      replicas: 1,
      partitions: 2,
      config: { kafka: { on_bad_record: 'dead_letter', dead_letter_topic: letters } },
    });
    try {
      await fleet.send(GOOD, 0);
      await fleet.settle();
      await fleet.send(broken('no topic for it'), 0);
      const line = await untilLine(fleet.replicas[0]!, 'dead_letter_failed', 20_000);
      expect(line).toMatchObject({ topic: fleet.topic, partition: 0, offset: 1, to: letters });
      expect(JSON.stringify(line)).toContain(`there is no topic ${letters}`);
      await waitUntil(async () => (await held(fleet, 'dead_letter')) === 1, {
        timeoutMs: 10_000,
        what: 'the partition to be held',
      });
      for (let i = 0; i < 5; i++) await fleet.send(GOOD, 1);
      for (let i = 0; i < 5; i++) await fleet.send(GOOD, 0);
      await waitUntil(async () => (await fleet.metric('tracetally_records_consumed_total')) >= 7, {
        timeoutMs: 20_000,
        what: 'the other partition to be read',
      });
      await waitUntil(async () => (await fleet.metric('tracetally_lag_records', { partition: '0' })) > 0, {
        timeoutMs: 20_000,
        what: 'a lag to be shown',
      });
      // Killed and started again, it meets the record again: no marker has passed it.
      await killReplica(fleet.replicas[0]!);
      await fleet.replicas[0]!.start();
      await untilLine(fleet.replicas[0]!, 'dead_letter_failed', 40_000);
      await createTopic(fleet.brokers, letters, { partitions: 1 });
      await fleet.settle(40_000);
      expect(values(await readAll(fleet.brokers, letters))).toEqual(['no topic for it']);
      expect(await held(fleet, 'dead_letter')).toBe(0);
      expect(await fleet.metric('tracetally_dead_letter_failures_total')).toBeGreaterThan(0);
      expect(fleet.lines('partition_goes_on')).toHaveLength(1);
    } finally {
      await fleet.stop();
    }
  }, 120_000);
});

describe('stop', () => {
  test('the partition stands before the bad record, others go on; state seek steps over it', async () => {
    const fleet = await startFleet({
      name: 'stops',
      brokers: sharedKafka(),
      replicas: 1,
      partitions: 2,
      config: { kafka: { on_bad_record: 'stop', bad_record_reasons: ['not_otlp'] } },
    });
    try {
      await fleet.send(bad('null_value', { value: null }), 0);
      await fleet.send(GOOD, 0);
      await fleet.settle();
      const producer = await fleet.producer();
      const value = Buffer.from('poison');
      const offset = await producer.send(fleet.topic, 0, [{ value, headers: { 'X-Scope-OrgID': 'acme' } }]);
      const line = await untilLine(fleet.replicas[0]!, 'partition_stopped', 20_000);
      expect(line).toMatchObject({ topic: fleet.topic, partition: 0, offset, reason: 'not_otlp' });
      expect(line.way_out).toContain(`--record ${fleet.topic}/0/${offset}`);
      expect(await held(fleet, 'bad_record')).toBe(1);
      for (let i = 0; i < 5; i++) await fleet.send(GOOD, 1);
      await waitFor(
        async () => {
          const consumed = await fleet.metric('tracetally_records_consumed_total');
          return consumed === 7 ? { done: true, value: undefined } : { done: false, seen: consumed };
        },
        { timeoutMs: 20_000, what: 'the other partition to be read' },
      );
      await fleet.send(GOOD, 0);
      const config = configFile(fleet, '');
      const args = ['--topic', fleet.topic, '--partition', '0', '--to', String(offset + 1), '--execute'];
      expect(await runCommand(['state', 'seek', '--config', config, ...args])).toMatchObject({ code: 0 });
      await waitUntil(async () => (await held(fleet, 'bad_record')) === 0, {
        timeoutMs: 40_000,
        what: 'the partition to go on',
      });
      await waitFor(
        async () => {
          const consumed = await fleet.metric('tracetally_records_consumed_total');
          return consumed >= 8 ? { done: true, value: undefined } : { done: false, seen: consumed };
        },
        { timeoutMs: 20_000, what: 'what lies behind it to be read' },
      );
      expect(await fleet.metric('tracetally_records_discarded_total', { reason: 'not_otlp' })).toBe(0);
    } finally {
      await fleet.stop();
    }
  }, 120_000);
});

describe('the leader of the dead-letter topic dies while letters are written', () => {
  let kafka: KafkaCluster;

  beforeAll(async () => {
    kafka = await startKafka({ nodes: 3 });
  }, 120_000);

  afterAll(async () => {
    await kafka?.stop();
  }, 60_000);

  test('none is lost', async () => {
    const letters = uniqueName('led');
    const topic = { replicas: 3, config: { 'min.insync.replicas': '2' } };
    await createTopic(kafka.brokers, letters, { ...topic, partitions: 3 });
    const fleet = await startFleet({
      name: 'leader',
      brokers: kafka.brokers,
      replicas: 1,
      partitions: 3,
      topicReplicas: 3,
      config: { kafka: { on_bad_record: 'dead_letter', dead_letter_topic: letters } },
    });
    try {
      const wanted: string[] = [];
      const write = async (count: number) => {
        for (let i = 0; i < count; i++) {
          const text = `poison ${wanted.length}`;
          await fleet.send(broken(text), wanted.length % 3);
          wanted.push(text);
        }
      };
      const writing = write(600);
      await waitUntil(async () => (await fleet.metric('tracetally_dead_letters_total')) > 50, {
        timeoutMs: 30_000,
        what: 'letters to be written',
      });
      await kafka.kill(await leaderOf(kafka.brokers, letters, 0));
      await writing;
      await write(60);
      await fleet.settle(90_000);
      const found = new Set(values(await readAll(kafka.brokers, letters)));
      expect(wanted.filter((text) => !found.has(text))).toEqual([]);
      expect(found.size).toBe(wanted.length);
      expect(await held(fleet, 'dead_letter')).toBe(0);
    } finally {
      await fleet.stop();
    }
  }, 240_000);
});

/** The index of the node that leads the partition. */
const leaderOf = (brokers: readonly string[], topic: string, partition: number): Promise<number> =>
  withAdmin(brokers, async (admin) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics[0]!.partitions.find((one) => one.partitionId === partition)!.leader - 1;
  });
