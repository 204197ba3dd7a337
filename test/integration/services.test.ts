import { existsSync } from 'node:fs';
import { afterAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { startKafka } from '../support/services/kafka.ts';
import { startRedis } from '../support/services/redis.ts';
import { sharedKafka, sharedRedis } from '../support/shared-servers.ts';
import { connectProducer, createTopic, deleteTopic, endOffsets, uniqueName } from '../support/topics.ts';

const cleanUps: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

describe('the run has servers to share', () => {
  test('a Kafka that takes records as they were sent', async () => {
    const topic = uniqueName('services');
    await createTopic(sharedKafka(), topic, { partitions: 3 });
    cleanUps.push(() => deleteTopic(sharedKafka(), topic));
    const producer = await connectProducer(sharedKafka());
    cleanUps.push(() => producer.disconnect());

    expect(await producer.send(topic, 1, [{ value: 'a' }, { value: 'b' }])).toBe(0);
    expect(await producer.send(topic, 1, [{ value: Buffer.alloc(16 * 1024 * 1024) }], 'gzip')).toBe(2);
    expect(await endOffsets(sharedKafka(), topic)).toEqual([0, 3, 0]);
  });

  test.each(['redis', 'valkey'] as const)('a %s of that kind', async (flavour) => {
    const client = new Redis(sharedRedis(flavour));
    cleanUps.push(async () => client.disconnect());
    const info = await client.info('server');
    expect(info.includes('server_name:valkey')).toBe(flavour === 'valkey');
    expect(await client.config('GET', 'appendonly')).toEqual(['appendonly', 'yes']);
  });
});

test('a Redis keeps what it was told over a SIGKILL, and can be put back', async () => {
  const server = await startRedis();
  cleanUps.push(() => server.stop());
  const client = new Redis(server.url);
  client.on('error', () => {});
  cleanUps.push(async () => client.disconnect());

  await client.set('key', 'early');
  const snapshot = await server.snapshot();
  await client.set('key', 'late');
  await server.kill();
  await server.start();
  expect(await client.get('key')).toBe('late');

  await server.kill();
  await server.restore(snapshot);
  await server.start();
  expect(await client.get('key')).toBe('early');
});

test('three brokers lose no record of a producer when the leader is killed', async () => {
  const kafka = await startKafka({ nodes: 3 });
  cleanUps.push(() => kafka.stop());
  const topic = uniqueName('services');
  await createTopic(kafka.brokers, topic, { partitions: 3, replicas: 3 });
  const producer = await connectProducer(kafka.brokers);
  cleanUps.push(() => producer.disconnect());

  for (let i = 0; i < 30; i += 1) {
    if (i === 10) await kafka.kill(0);
    await producer.send(topic, i % 3, [{ value: String(i) }]);
  }
  expect(await endOffsets(kafka.brokers.slice(1), topic)).toEqual([10, 10, 10]);
  await kafka.start(0);
  await kafka.stop();
  expect(existsSync(kafka.dir)).toBe(false);
}, 60_000);
