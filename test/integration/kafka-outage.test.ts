import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { createKafkaSource } from '../../src/kafka/source.ts';
import { selfSigned } from '../support/certificate.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { freePort } from '../support/services/ports.ts';
import { connectProducer, createTopic, type HonestProducer, kafkaClient } from '../support/topics.ts';
import { Member, own } from './kafka-listener.ts';

jest.setTimeout(60_000);

const send = async (
  brokers: readonly string[],
  topic: string,
  partition: number,
  values: readonly string[],
): Promise<void> => {
  const producer: HonestProducer = await connectProducer(brokers);
  for (const value of values) await producer.send(topic, partition, [{ value }], 'zstd');
  await producer.disconnect();
};

describe('one broker', () => {
  const { certPem, keyPem } = selfSigned();
  const inOneLine = (pem: string) => pem.replaceAll('\n', '\\n');
  let kafka: KafkaCluster;
  beforeAll(async () => {
    kafka = await startKafka({
      secured: 'SASL_SSL',
      config: {
        'sasl.enabled.mechanisms': 'PLAIN',
        'listener.name.sasl_ssl.plain.sasl.jaas.config':
          'org.apache.kafka.common.security.plain.PlainLoginModule required user_reader="right";',
        'ssl.keystore.type': 'PEM',
        'ssl.keystore.key': inOneLine(keyPem),
        'ssl.keystore.certificate.chain': inOneLine(certPem),
      },
    });
  });
  afterAll(() => kafka.stop());

  test('that is away: calls say so in time, the log says so in words; one that goes is waited for, and nothing is lost', async () => {
    const { topic, groupId } = own('away');
    await createTopic(kafka.brokers, topic);
    await send(kafka.brokers, topic, 0, ['a']);
    await kafka.kill(0);
    const member = await new Member({
      brokers: kafka.brokers,
      groupId,
      topics: [topic],
      callTimeoutMs: 2000,
      sessionTimeoutMs: 10_000,
    }).start();
    const where = { topic, partition: 0 };
    const { source } = member;
    const startedAt = performance.now();
    for (const call of [source.clusterId(), source.topics([topic]), source.ranges([where]), source.commits([where])]) {
      await expect(call).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    }
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    await member.until('the message', (m) => m.said(/Kafka cannot be reached/));
    await kafka.start(0);
    await member.until('the record', (m) => m.values.includes('a'));

    await kafka.kill(0);
    await expect(source.commit(member.generation, [{ ...where, offset: 1, metadata: '' }])).rejects.toMatchObject({
      code: 'SOURCE_UNAVAILABLE',
    });
    await kafka.start(0);
    await send(kafka.brokers, topic, 0, ['b', 'c']);
    await member.until('the other records', (m) => m.values.length === 3, 30_000);
    expect(member.values).toEqual(['a', 'b', 'c']);
    expect(member.of('failed')).toEqual([]);
    await source.commit(member.generation, [{ ...where, offset: 3, metadata: 'm' }]);
    expect(await source.commits([where])).toEqual([{ ...where, offset: 3, metadata: 'm' }]);
  });

  test('that is away for longer than the session: lost is told, and another assignment', async () => {
    const { topic, groupId } = own('long-away');
    await createTopic(kafka.brokers, topic);
    const member = await new Member({
      brokers: kafka.brokers,
      groupId,
      topics: [topic],
      sessionTimeoutMs: 1000,
    }).start();
    await member.until('the assignment', (m) => m.held.length === 1);
    await kafka.kill(0);
    await member.until('the loss', (m) => m.of('lost').length === 1);
    await kafka.start(0);
    await member.until('another assignment', (m) => m.of('assigned').length === 2, 30_000);
    await send(kafka.brokers, topic, 0, ['a']);
    await member.until('a record', (m) => m.values.includes('a'));
  });

  test('with a batch that cannot be decoded: said aloud, the partition stands still, others go on', async () => {
    const { topic, groupId } = own('corrupt');
    await createTopic(kafka.brokers, topic, { partitions: 2 });
    await send(kafka.brokers, topic, 0, ['good', `bad ${'x'.repeat(200)}`, 'behind it']);
    await kafka.kill(0, 'SIGTERM');
    const folder = readdirSync(kafka.dir, { recursive: true, encoding: 'utf8' }).find((file) =>
      file.endsWith(`${topic}-0`),
    )!;
    const log = join(kafka.dir, folder, '00000000000000000000.log');
    const bytes = readFileSync(log);
    const second = 12 + bytes.readInt32BE(8);
    bytes.fill(0xff, second + 61, second + 80);
    writeFileSync(log, bytes);
    await kafka.start(0);
    const member = await new Member({ brokers: kafka.brokers, groupId, topics: [topic] }).start();
    await member.until('the message', (m) => m.said(/cannot be decoded/));
    await send(kafka.brokers, topic, 1, ['other']);
    await member.until('the other partition', (m) => m.values.includes('other'));
    expect(member.values.sort()).toEqual(['good', 'other']);
    expect(member.log.find(({ message }) => /cannot be decoded/.test(message))!.fields).toMatchObject({
      topic,
      partition: 0,
      offset: 1,
      reason: 'corrupt',
    });
    member.source.seek({ topic, partition: 0 }, 2);
    await member.until('what lies behind it', (m) => m.values.includes('behind it'));
  });

  test('with TLS and SASL: what is wrong is named, secrets are never logged, and with the right ones it is read', async () => {
    const { topic, groupId } = own('secured');
    await createTopic(kafka.brokers, topic);
    await send(kafka.brokers, topic, 0, ['a']);
    const options = { brokers: kafka.securedBrokers, groupId, topics: [topic] };
    const sasl = { mechanism: 'plain', username: 'reader', password: 'wrong-secret' } as const;
    const trusted = { ca: certPem };
    const wrong = await new Member({ ...options, sasl, tls: trusted }).start();
    await wrong.until('the message', (m) => m.said(/refuses the credentials of kafka.sasl/));
    expect(JSON.stringify(wrong.log)).not.toContain('wrong-secret');
    await wrong.stop();
    const untrusting = await new Member({ ...options, sasl, tls: {} }).start();
    await untrusting.until('the message', (m) => m.log.some(({ fields }) => /self-signed/.test(String(fields.error))));
    await untrusting.stop();
    const right = await new Member({ ...options, sasl: { ...sasl, password: 'right' }, tls: trusted }).start();
    await right.until('the record', (m) => m.values.includes('a'));
  });

  test('that hangs: calls come back in time, and reading goes on when it does', async () => {
    const { topic, groupId } = own('hang');
    await createTopic(kafka.brokers, topic);
    const member = await new Member({
      brokers: kafka.brokers,
      groupId,
      topics: [topic],
      callTimeoutMs: 1000,
      sessionTimeoutMs: 20_000,
    }).start();
    await member.until('the assignment', (m) => m.held.length === 1);
    await kafka.kill(0, 'SIGSTOP');
    const startedAt = performance.now();
    await expect(member.source.topics([topic])).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
    expect(performance.now() - startedAt).toBeLessThan(15_000);
    await kafka.kill(0, 'SIGCONT');
    await send(kafka.brokers, topic, 0, ['a']);
    await member.until('the record', (m) => m.values.includes('a'));
  });
});

test('addresses that nobody listens at: nothing fails, everything says unavailable, and a stop is quick', async () => {
  const nowhere = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  const member = await new Member({ brokers: nowhere, groupId: 'g', topics: ['t'] }).start();
  await member.until('the message', (m) => m.said(/Kafka cannot be reached/));
  await expect(member.source.clusterId()).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  const startedAt = performance.now();
  await member.stop();
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(member.told).toEqual([]);
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  expect(() =>
    createKafkaSource({ brokers: ['http://x:1'], clientId: 'c', groupId: 'g', topics: ['t'], logger }),
  ).toThrow(TypeError);
});

test('three brokers, the one that leads and coordinates killed: read on in the same generation, nothing lost', async () => {
  const kafka = await startKafka({ nodes: 3 });
  try {
    const { topic, groupId } = own('fail-over');
    await createTopic(kafka.brokers, topic, { partitions: 3, replicas: 3 });
    const values = (name: string) => Array.from({ length: 10 }, (_, i) => `${name} ${i}`);
    for (const partition of [0, 1, 2]) await send(kafka.brokers, topic, partition, values(`before ${partition}`));
    const member = await new Member({
      brokers: kafka.brokers,
      groupId,
      topics: [topic],
      sessionTimeoutMs: 20_000,
    }).start();
    await member.until('the first records', (m) => m.values.length === 30);
    const admin = kafkaClient(kafka.brokers).admin();
    await admin.connect();
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    await admin.disconnect();
    const producer = await connectProducer(kafka.brokers);
    await kafka.kill(topics[0]!.partitions.find(({ partitionId }) => partitionId === 0)!.leader - 1);
    for (const partition of [0, 1, 2]) {
      for (const value of values(`after ${partition}`)) await producer.send(topic, partition, [{ value }]);
    }
    await producer.disconnect();
    await member.until('the other records', (m) => m.values.length === 60, 30_000);
    expect(new Set(member.values).size).toBe(60);
    expect(member.of('assigned')).toHaveLength(1);
    expect(member.of('lost')).toEqual([]);
    await member.until('a commit', async (m) => {
      await m.source.commit(m.generation, [{ topic, partition: 0, offset: 20, metadata: '' }]);
      return true;
    });
    await member.stop();
  } finally {
    await kafka.stop();
  }
});
