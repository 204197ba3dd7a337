import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, jest, test } from '@jest/globals';
import type { BatchControl, TopicPartition } from '../../src/kafka/port.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { type Codec, connectProducer, createTopic, kafkaClient, withAdmin } from '../support/topics.ts';
import { Member, own } from './kafka-listener.ts';

jest.setTimeout(30_000);
const brokers = sharedKafka();
const codecs: readonly Codec[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd'];

/** Writes numbered values to a partition, five to a batch; answers them. */
const fill = async (topic: string, partition: number, count: number, bytes = 10): Promise<string[]> => {
  const producer = await connectProducer(brokers);
  const values = Array.from({ length: count }, (_, i) => `${i} `.padEnd(bytes, 'x'));
  for (let at = 0; at < count; at += 5) {
    await producer.send(
      topic,
      partition,
      values.slice(at, at + 5).map((value) => ({ value })),
      codecs[(at / 5) % 5],
    );
  }
  await producer.disconnect();
  return values;
};

/** Long enough for a fetch to have come and gone, by what the group itself does: it has beaten and looked at its topics. */
const sleepUntilFetched = async (member: Member): Promise<void> => {
  const until = performance.now() + 1200;
  await member.until('a few fetches', () => performance.now() > until);
};

/** A member that was put out may not know it yet; the coordinator does. */
const expectToBeMember = async (member: Member, where: TopicPartition): Promise<void> => {
  await member.source.commit(member.generation, [{ ...where, offset: 1, metadata: '' }]);
  expect(member.told.filter(({ kind }) => kind === 'assigned' || kind === 'lost')).toHaveLength(1);
};

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

test('a record of 15 MB arrives, packed and plain', async () => {
  const { topic, groupId } = own('large');
  await createTopic(brokers, topic, { partitions: 2 });
  const value = randomBytes(15_000_000);
  const producer = await connectProducer(brokers);
  await producer.send(topic, 0, [{ value }]);
  await producer.send(topic, 1, [{ value }, { value: 'behind' }], 'zstd');
  await producer.disconnect();
  const member = await new Member({ brokers, groupId, topics: [topic] }, { onBatch: async () => true }).start();
  const records = () => member.of('batch').flatMap(({ batch }) => batch.records);
  await member.until('three records', () => records().length === 3);
  expect(records().filter((r) => r.value?.equals(value))).toHaveLength(2);
});

test('a partition is fetched in small parts where it is told to, and nothing is missing', async () => {
  const { topic, groupId } = own('small-fetch');
  await createTopic(brokers, topic);
  const values = await fill(topic, 0, 200, 500);
  const member = await new Member({ brokers, groupId, topics: [topic], maxBytesPerPartition: 1024 }).start();
  await member.until('all records', (m) => m.values.length === values.length);
  expect(member.values).toEqual(values);
  expect(member.of('batch').length).toBeGreaterThan(10);
  for (const [i, { batch }] of member.of('batch').entries()) {
    expect(batch.fetchedFrom).toBe(i === 0 ? 0 : member.of('batch')[i - 1]!.batch.next);
  }
});

test('nothing is read before the first seek, and what is not taken comes again', async () => {
  const { topic, groupId } = own('seek-first');
  await createTopic(brokers, topic);
  const values = await fill(topic, 0, 10);
  let refusals = 3;
  const offered: number[] = [];
  const member = await new Member(
    { brokers, groupId, topics: [topic] },
    {
      onAssigned: () => {},
      onBatch: async (_, batch) => {
        offered.push(batch.fetchedFrom);
        return refusals-- <= 0;
      },
    },
  ).start();
  await member.until('the assignment', (m) => m.generation >= 0);
  await sleepUntilFetched(member);
  expect(offered).toEqual([]);
  member.source.seek({ topic, partition: 0 }, 4);
  await member.until('the records', (m) => m.values.length > 0);
  expect(offered).toEqual([4, 4, 4, 4]);
  expect(member.values).toEqual(values.slice(4));
});

test('what was asked ahead of a batch that was not taken is not delivered in its place', async () => {
  const { topic, groupId } = own('ahead');
  await createTopic(brokers, topic);
  const values = await fill(topic, 0, 120, 500);
  let offers = 0;
  const member = await new Member(
    { brokers, groupId, topics: [topic], maxBytesPerPartition: 4096 },
    { onBatch: async () => offers++ % 3 !== 1 },
  ).start();
  await member.until('all records', (m) => m.values.length === values.length);
  expect(member.values).toEqual(values);
  const taken = member.of('batch').map(({ batch }) => batch);
  expect(taken.map(({ fetchedFrom }) => fetchedFrom)).toEqual([0, ...taken.slice(0, -1).map(({ next }) => next)]);
  expect(offers).toBeGreaterThan(taken.length);
});

test('after a seek nothing that was fetched before it is delivered', async () => {
  const { topic, groupId } = own('seek-again');
  await createTopic(brokers, topic);
  await fill(topic, 0, 300, 200);
  const target = { topic, partition: 0 };
  let due: number | null = 0;
  let seeks = 0;
  const wrong: number[] = [];
  const seek = (member: Member, offset: number) => {
    seeks++;
    due = offset;
    member.source.seek(target, offset);
  };
  const member = await new Member(
    { brokers, groupId, topics: [topic], maxBytesPerPartition: 2048 },
    {
      onAssigned: (m) => m.source.seek(target, 0),
      onBatch: async (m, batch, control) => {
        if (due !== null && batch.fetchedFrom !== due) wrong.push(batch.fetchedFrom);
        due = null;
        if (seeks % 2 === 0) seek(m, (seeks * 37) % 250);
        else setImmediate(() => seek(m, (seeks * 37) % 250));
        await control.heartbeat();
        if (seeks % 2 === 0 && control.isCurrent()) wrong.push(-1);
        return true;
      },
    },
  ).start();
  await member.until('many seeks', () => seeks > 60);
  expect(wrong).toEqual([]);
});

test('batches that hold only control records, or aborted ones, move on without records', async () => {
  const { topic, groupId } = own('transactions');
  await createTopic(brokers, topic);
  const producer = kafkaClient(brokers).producer({
    transactionalId: groupId,
    idempotent: true,
    maxInFlightRequests: 1,
  });
  await producer.connect();
  const transact = async (values: readonly string[], end: 'commit' | 'abort') => {
    const transaction = await producer.transaction();
    await transaction.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) });
    await transaction[end]();
  };
  await transact(['a', 'b'], 'abort');
  const member = await new Member({ brokers, groupId, topics: [topic] }).start();
  await member.until('the aborted end', (m) => m.of('batch').at(-1)?.batch.next === 3);
  expect(member.of('batch').every(({ batch }) => batch.records.length === 0)).toBe(true);
  await transact(['c'], 'commit');
  await member.until('the committed record and its marker', (m) => m.of('batch').at(-1)?.batch.next === 5);
  expect(member.values).toEqual(['c']);

  const open = await producer.transaction();
  await open.send({ topic, messages: [{ value: 'd', partition: 0 }] });
  const where = { topic, partition: 0 };
  expect(await member.source.ranges([where])).toEqual([{ ...where, start: 0, end: 5 }]);
  await open.commit();
  await producer.disconnect();
  await member.until('the last record', (m) => m.values.length === 2);
  await member.until('the end', (m) => m.of('batch').at(-1)?.batch.next === 7);
  expect(member.of('batch').at(-1)!.batch.highWatermark).toBe(7);
});

test('out of range is told, changes nothing, and leaves other partitions alone', async () => {
  const { topic, groupId } = own('range');
  await createTopic(brokers, topic, { partitions: 2 });
  const values = await fill(topic, 0, 10);
  const gone = { topic, partition: 0 };
  const other = { topic, partition: 1 };
  const member = await new Member({ brokers, groupId, topics: [topic] }, { onAssigned: () => {} }).start();
  await member.until('the assignment', (m) => m.generation >= 0);
  await member.source.commit(member.generation, [{ ...gone, offset: 2, metadata: 'kept' }]);
  await withAdmin(brokers, async (admin) => {
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '6' }] });
  });
  member.source.seek(other, 0);
  member.source.seek(gone, 2);
  await member.until('out of range', (m) => m.of('outOfRange').length > 0);
  await fill(topic, 1, 3);
  await member.until('the other partition', (m) => m.values.length === 3);
  expect(member.of('outOfRange')).toEqual([{ kind: 'outOfRange', where: gone }]);
  expect(await member.source.commits([gone])).toEqual([{ ...gone, offset: 2, metadata: 'kept' }]);
  expect(await member.source.ranges([gone])).toEqual([{ ...gone, start: 6, end: 10 }]);
  member.source.seek(gone, 6);
  await member.until('the rest', (m) => m.values.length === 7);
  expect(member.values.slice(3)).toEqual(values.slice(6));
  member.source.seek(gone, 999);
  await member.until('out of range beyond the end', (m) => m.of('outOfRange').length === 2);
});

test('a pause longer than the session keeps the membership, and a resume is felt at once', async () => {
  const { topic, groupId } = own('pause');
  await createTopic(brokers, topic, { partitions: 2 });
  const all = [0, 1].map((partition) => ({ topic, partition }));
  const member = await new Member({
    brokers,
    groupId,
    topics: [topic],
    sessionTimeoutMs: 2_000,
    maxWaitMs: 12_000,
  }).start();
  await fill(topic, 0, 1);
  await member.until('the first record', (m) => m.values.length === 1);
  for (let round = 1; round <= 3; round++) {
    member.source.pause(all);
    const pausedAt = performance.now();
    await fill(topic, 0, 1);
    await fill(topic, 1, 1);
    await member.until('more than a session', () => performance.now() - pausedAt > 2_500);
    expect(member.values).toHaveLength(round * 2 - 1);
    member.source.resume(all);
    const resumedAt = performance.now();
    await member.until('the other records', (m) => m.values.length === round * 2 + 1);
    // Not after the fetch that was waiting.
    expect(performance.now() - resumedAt).toBeLessThan(6_000);
  }
  await expectToBeMember(member, all[0]!);
});

/** Takes one record in more time than a session has; answers how often it was asked to. */
const takeLong = async (name: string, handle: (control: BatchControl, isOver: () => boolean) => Promise<void>) => {
  const { topic, groupId } = own(name);
  await createTopic(brokers, topic);
  await fill(topic, 0, 1);
  let calls = 0;
  const member = await new Member(
    { brokers, groupId, topics: [topic], sessionTimeoutMs: 3_000 },
    {
      onBatch: async (_, __, control) => {
        calls++;
        const until = performance.now() + 4_500;
        await handle(control, () => performance.now() >= until);
        return control.isCurrent();
      },
    },
  ).start();
  await member.until('the slow record', (m) => m.values.length === 1);
  await expectToBeMember(member, { topic, partition: 0 });
  return calls;
};

test('a handler that waits for longer than the session keeps the membership: the source beats by itself', async () => {
  // Who has lost the membership is given the record again.
  const calls = await takeLong('waits', async (_, isOver) => {
    while (!isOver()) await sleep(50);
  });
  expect(calls).toBe(1);
});

test('a handler that computes for longer than the session keeps the membership by its own heartbeats', async () => {
  const still = new Int32Array(new SharedArrayBuffer(4));
  const calls = await takeLong('computes', async ({ heartbeat }, isOver) => {
    while (!isOver()) {
      // No timer and no socket has a turn but while a heartbeat that is due is waited for.
      Atomics.wait(still, 0, 0, 50);
      await heartbeat();
    }
  });
  expect(calls).toBe(1);
});

test('a handler that throws stops the source for good, visibly', async () => {
  const { topic, groupId } = own('fault');
  await createTopic(brokers, topic);
  await fill(topic, 0, 1);
  const onBatch = () => Promise.reject(new Error('an impossible state'));
  const member = await new Member({ brokers, groupId, topics: [topic] }, { onBatch }).start();
  await member.until('the failure', (m) => m.of('failed').length > 0);
  expect(member.of('failed')).toHaveLength(1);
  expect(String(member.of('failed')[0]!.error)).toContain('an impossible state');
  await withAdmin(brokers, async (admin) => {
    await member.until(
      'leaving the group',
      async () => (await admin.describeGroups([groupId])).groups[0]!.members.length === 0,
    );
  });
});
