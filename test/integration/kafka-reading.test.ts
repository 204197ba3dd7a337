import { expect, jest, test } from '@jest/globals';
import { sharedKafka } from '../support/shared-servers.ts';
import { type Codec, connectProducer, createTopic } from '../support/topics.ts';
import { Member, own } from './kafka-listener.ts';

jest.setTimeout(30_000);
const brokers = sharedKafka();
const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

test('records of all codecs arrive whole, in order, with headers as they were', async () => {
  const { topic, groupId } = own('codecs');
  await createTopic(brokers, topic);
  const producer = await connectProducer(brokers);
  const sent: string[] = [];
  for (const codec of codecs) {
    const values = Array.from({ length: 50 }, (_, i) => `${codec} ${i} ${'x'.repeat(i * 20)}`);
    const headers = { b: '2', 'X-Scope-OrgID': ['acme', 'globex'], a: '' };
    await producer.send(
      topic,
      0,
      values.map((value) => ({ key: 'k', value, headers })),
      codec,
    );
    sent.push(...values);
  }
  await producer.disconnect();
  const member = await new Member({ brokers, groupId, topics: [topic] }).start();
  await member.until('all records', ({ values }) => values.length === sent.length);
  expect(member.values).toEqual(sent);
  const [first] = member.of('batch')[0]!.batch.records;
  expect(first!.headers.map(({ name, value }) => `${name}=${Buffer.from(value)}`)).toEqual([
    'b=2',
    'X-Scope-OrgID=acme',
    'X-Scope-OrgID=globex',
    'a=',
  ]);
  expect(first!.key?.toString()).toBe('k');
  expect(Math.abs(first!.timestampMs - Date.now())).toBeLessThan(60_000);
});
