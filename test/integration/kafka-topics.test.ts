import { expect, jest, test } from '@jest/globals';
import { Connections } from '../../src/kafka/connections.ts';
import { metadataRequest } from '../../src/kafka/requests.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { connectProducer, createTopic, deleteTopic, withAdmin } from '../support/topics.ts';
import { Member, own } from './kafka-listener.ts';

jest.setTimeout(30_000);
const brokers = sharedKafka();

const send = async (topic: string, partition: number, value: string): Promise<void> => {
  const producer = await connectProducer(brokers);
  await producer.send(topic, partition, [{ value }]);
  await producer.disconnect();
};

test('topics are told with their ids and partitions; those that do not exist are left out', async () => {
  const { topic, groupId } = own('ids');
  await createTopic(brokers, topic, { partitions: 3 });
  const { source } = new Member({ brokers, groupId, topics: [topic] });
  const [found, ...others] = await source.topics([topic, `${topic}-missing`]);
  expect(others).toEqual([]);
  expect(found).toEqual({ name: topic, id: expect.stringMatching(/^[0-9a-f]{32}$/), partitions: 3 });
  const described = await withAdmin(brokers, (admin) => admin.describeCluster());
  expect(await source.clusterId()).toBe(described.clusterId);
  await send(topic, 1, 'a');
  const where = [2, 1, 0].map((partition) => ({ topic, partition }));
  expect((await source.ranges(where)).map(({ partition, start, end }) => [partition, start, end])).toEqual([
    [2, 0, 0],
    [1, 0, 1],
    [0, 0, 0],
  ]);
  await expect(source.ranges([{ topic, partition: 7 }])).rejects.toMatchObject({ code: 'SOURCE_UNAVAILABLE' });
  expect(await source.ranges([])).toEqual([]);
  expect(await source.commits([])).toEqual([]);
});

test('a broker from before topic ids is asked in its own words', async () => {
  const { topic } = own('plain-metadata');
  await createTopic(brokers, topic, { partitions: 2 });
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const connections = new Connections({ brokers, clientId: 'test', logger });
  const withIds = await connections.metadata([topic]);
  const plain = await connections.on(withIds.brokers[0]!.nodeId, (broker) =>
    broker.connectionPool.send(metadataRequest([topic, `${topic}-missing`], false)),
  );
  await connections.close();
  expect(plain.clusterId).toBe(withIds.clusterId);
  expect(plain.brokers).toEqual(withIds.brokers);
  const byName = (name: string) => plain.topics.find((t) => t.name === name)!;
  const sorted = (t: (typeof plain.topics)[number]) => [...t.partitions].sort((a, b) => a.partition - b.partition);
  expect(byName(topic).id).toBe('');
  expect(sorted(byName(topic))).toEqual(sorted(withIds.topics[0]!));
  expect(byName(`${topic}-missing`).error).toBe(3);
});

test('a topic that is missing at the start is waited for, in words, and read from its first record', async () => {
  const { topic, groupId } = own('missing');
  const member = await new Member({ brokers, groupId, topics: [topic] }).start();
  await member.until('the message', (m) => m.said(/waiting for topics that do not exist/));
  expect(member.told).toEqual([]);
  await createTopic(brokers, topic);
  await send(topic, 0, 'first');
  await member.until('the first record', (m) => m.values.includes('first'));
});

test('of two topics the one that exists is read, and the other as soon as it is there', async () => {
  const { topic, groupId } = own('one-of-two');
  await createTopic(brokers, topic);
  const later = `${topic}-later`;
  const member = await new Member({ brokers, groupId, topics: [topic, later] }).start();
  await send(topic, 0, 'a');
  await member.until('the topic that exists', (m) => m.values.includes('a'));
  await createTopic(brokers, later);
  await send(later, 0, 'b');
  await member.until('the other topic', (m) => m.values.includes('b'));
  expect(member.held.map((where) => where.topic).sort()).toEqual([topic, later]);
});

test('topics that match a pattern are read, also those that appear later, each from its first record', async () => {
  const { topic, groupId } = own('pattern');
  const [first, second, other] = [`${topic}-a`, `${topic}-b`, `other-${topic}`] as const;
  const member = await new Member({ brokers, groupId, topics: [`^${topic}-`] }).start();
  await member.until('the message', (m) => m.said(/waiting for topics that do not exist/));
  await createTopic(brokers, other);
  await createTopic(brokers, first);
  await send(other, 0, 'not wanted');
  await send(first, 0, 'a');
  await member.until('the first topic', (m) => m.values.includes('a'));
  await createTopic(brokers, second);
  await send(second, 0, 'b');
  await member.until('the second topic', (m) => m.values.includes('b'));
  expect(member.held.map((where) => where.topic).sort()).toEqual([first, second]);
  expect((await member.source.topics([`^${topic}-`, topic])).map(({ name }) => name).sort()).toEqual([first, second]);
  await deleteTopic(brokers, first);
  await send(second, 0, 'c');
  await member.until('the rest', (m) => m.values.includes('c'));
  expect(member.values).not.toContain('not wanted');
});

test('added partitions are read from their first record', async () => {
  const { topic, groupId } = own('grown');
  await createTopic(brokers, topic);
  const a = await new Member({ brokers, groupId, topics: [topic] }).start();
  const b = await new Member({ brokers, groupId, topics: [topic] }).start();
  await a.until('two members', () => a.generation === b.generation && a.held.length + b.held.length === 1);
  await withAdmin(brokers, (admin) => admin.createPartitions({ topicPartitions: [{ topic, count: 4 }] }));
  await send(topic, 3, 'new');
  await a.until('all four', () => a.held.length === 2 && b.held.length === 2);
  await a.until('the record', () => [...a.values, ...b.values].includes('new'));
});

test('a topic that is made again is assigned again, under its other id', async () => {
  const { topic, groupId } = own('remade');
  await createTopic(brokers, topic);
  for (const value of ['old 1', 'old 2', 'old 3']) await send(topic, 0, value);
  const ids: string[] = [];
  // So seldom that the broker's own words must bring it up.
  const member = await new Member(
    { brokers, groupId, topics: [topic], topicsEveryMs: 60_000 },
    {
      onAssigned: (m, partitions) =>
        void m.source.topics([topic]).then(([info]) => {
          ids.push(info!.id);
          for (const where of partitions) m.source.seek(where, 0);
        }),
    },
  ).start();
  await member.until('the old records', (m) => m.values.length === 3);
  await deleteTopic(brokers, topic);
  await createTopic(brokers, topic);
  await send(topic, 0, 'new');
  await member.until('the new record', (m) => m.values.includes('new'));
  expect(member.values.filter((value) => value.startsWith('new'))).toEqual(['new']);
  expect(new Set(ids).size).toBe(2);
  expect(member.of('failed')).toEqual([]);
});
