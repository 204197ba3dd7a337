import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, jest, test } from '@jest/globals';
import { Connections } from '../../src/kafka/connections.ts';
import type { TopicPartition } from '../../src/kafka/port.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { connectProducer, createTopic, kafkaClient, withAdmin } from '../support/topics.ts';
import { Member, own } from './kafka-listener.ts';

jest.setTimeout(30_000);
const brokers = sharedKafka();

const names = (partitions: readonly TopicPartition[]): number[] => partitions.map(({ partition }) => partition).sort();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const send = async (topic: string, partitions: readonly number[], values: readonly string[]): Promise<void> => {
  const producer = await connectProducer(brokers);
  for (const partition of partitions) {
    for (const value of values) await producer.send(topic, partition, [{ value: `${partition}:${value}` }]);
  }
  await producer.disconnect();
};
const membersOf = (groupId: string) =>
  withAdmin(brokers, async (admin) => (await admin.describeGroups([groupId])).groups[0]!.members);

test('a commit holds from the first moment of an assignment, with its metadata', async () => {
  const { topic, groupId } = own('commit');
  await createTopic(brokers, topic);
  const where = { topic, partition: 0 };
  const metadata = '{"id":"0123456789abcdef0123456789abcdef","start":0,"v":1} \u00e9';
  let committed: Promise<void> | undefined;
  const member = await new Member(
    { brokers, groupId, topics: [topic] },
    {
      onAssigned: (m, _, generation) => {
        committed = m.source.commit(generation, [{ ...where, offset: 7, metadata }]);
      },
    },
  ).start();
  await member.until('the assignment', () => committed !== undefined);
  await committed;
  expect(await member.source.commits([where, { topic, partition: 5 }])).toEqual([
    { ...where, offset: 7, metadata },
    { topic, partition: 5, offset: null, metadata: '' },
  ]);
});

test("a negative commit, as kafkajs's consumer leaves it, is none", async () => {
  const { topic, groupId } = own('negative');
  await createTopic(brokers, topic);
  const connections = new Connections({ brokers, clientId: 'test', logger: silent });
  await connections.onCoordinator(groupId, (broker) =>
    broker.offsetCommit({
      groupId,
      groupGenerationId: -1,
      memberId: '',
      topics: [{ topic, partitions: [{ partition: 0, offset: '-2', metadata: null }] }],
    }),
  );
  await connections.close();
  const member = new Member({ brokers, groupId, topics: [topic] });
  const where = { topic, partition: 0 };
  expect(await member.source.commits([where])).toEqual([{ ...where, offset: null, metadata: '' }]);
});

test('a commit in another generation is refused, and nothing of it is kept', async () => {
  const { topic, groupId } = own('stale');
  await createTopic(brokers, topic, { partitions: 2 });
  const first = await new Member({ brokers, groupId, topics: [topic] }).start();
  await first.until('the assignment', (m) => m.held.length === 2);
  const old = first.generation;
  const where = { topic, partition: 0 };
  await expect(first.source.commit(old + 1, [{ ...where, offset: 1, metadata: '' }])).rejects.toMatchObject({
    code: 'STALE_GENERATION',
  });
  const second = await new Member({ brokers, groupId, topics: [topic] }).start();
  await first.until('a new generation', (m) => m.generation > old);
  await second.until('the assignment', (m) => m.generation > old);
  await expect(first.source.commit(old, [{ ...where, offset: 3, metadata: '' }])).rejects.toMatchObject({
    code: 'STALE_GENERATION',
  });
  expect(await first.source.commits([where])).toEqual([{ ...where, offset: null, metadata: '' }]);
  await first.source.commit(first.generation, [{ ...where, offset: 4, metadata: 'm' }]);
  expect(await second.source.commits([where])).toEqual([{ ...where, offset: 4, metadata: 'm' }]);
  await expect(first.source.commit(first.generation, [{ ...where, offset: -1, metadata: '' }])).rejects.toThrow(
    RangeError,
  );
});

test('a member that was put out hears that it is lost, and comes back', async () => {
  const { topic, groupId } = own('evicted');
  await createTopic(brokers, topic);
  const member = await new Member({ brokers, groupId, topics: [topic] }).start();
  await member.until('the assignment', (m) => m.generation >= 0);
  const old = member.generation;
  const { memberId } = (await membersOf(groupId))[0]!;
  const connections = new Connections({ brokers, clientId: 'test', logger: silent });
  await connections.onCoordinator(groupId, (broker) => broker.leaveGroup({ groupId, memberId }));
  await connections.close();
  const request = [{ topic, partition: 0, offset: 1, metadata: '' }];
  await expect(member.source.commit(old, request)).rejects.toMatchObject({ code: 'STALE_GENERATION' });
  // Well before the session's end, which would tell it anyway.
  await member.until('a second assignment', (m) => m.of('assigned').length === 2, 2000);
  expect(member.told.map(({ kind }) => kind).filter((kind) => kind !== 'batch')).toEqual([
    'assigned',
    'lost',
    'assigned',
  ]);
  await member.source.commit(member.generation, request);
});

test('partitions stay where they are over joins and leaves, and every record is read in one place', async () => {
  const { topic, groupId } = own('sticky');
  await createTopic(brokers, topic, { partitions: 6 });
  const all = [0, 1, 2, 3, 4, 5];
  const commitAll = {
    onBatch: async (
      m: Member,
      { topic: name, partition, next }: { topic: string; partition: number; next: number },
    ) => {
      await m.source.commit(m.generation, [{ topic: name, partition, offset: next, metadata: '' }]).catch(() => {});
      return true;
    },
  };
  const a = await new Member({ brokers, groupId, topics: [topic] }, commitAll).start();
  await a.until('all six', (m) => m.held.length === 6);
  await send(topic, all, ['one']);
  await a.until('the first records', (m) => m.values.length === 6);
  const b = await new Member({ brokers, groupId, topics: [topic] }, commitAll).start();
  await b.until('three of six', (m) => m.held.length === 3);
  await a.until('three of six', (m) => m.held.length === 3);
  expect([...names(a.held), ...names(b.held)].sort()).toEqual(all);
  const kept = names(a.held);
  const c = await new Member({ brokers, groupId, topics: [topic] }, commitAll).start();
  await c.until('two of six', (m) => m.held.length === 2);
  await a.until('two of six', (m) => m.held.length === 2);
  await b.until('two of six', (m) => m.held.length === 2);
  expect(names(a.held).every((partition) => kept.includes(partition))).toBe(true);
  const [keptByA, keptByB] = [names(a.held), names(b.held)];
  await c.stop();
  await a.until('three again', (m) => m.held.length === 3);
  await b.until('three again', (m) => m.held.length === 3);
  expect(names(a.held)).toEqual(expect.arrayContaining(keptByA));
  expect(names(b.held)).toEqual(expect.arrayContaining(keptByB));
  await send(topic, all, ['two']);
  await a.until(
    'the second records',
    () => [a, b].flatMap((m) => m.values).filter((v) => v.endsWith('two')).length === 6,
  );
  expect([a, b, c].flatMap((m) => m.values).sort()).toEqual(all.flatMap((p) => [`${p}:one`, `${p}:two`]).sort());
});

test('a rebalance ends long handlers at their next heartbeat, and nothing of the old generation follows', async () => {
  const { topic, groupId } = own('storm');
  await createTopic(brokers, topic, { partitions: 6 });
  await send(topic, [0, 1, 2, 3, 4, 5], ['x', 'y', 'z']);
  let hasEnded = 0;
  let late = 0;
  let isOver = false;
  const a: Member = new Member(
    { brokers, groupId, topics: [topic], sessionTimeoutMs: 2000 },
    {
      onBatch: async (m, _, control) => {
        if (isOver && m.generation === 1) late++;
        if (m.generation > 1) return true;
        try {
          for (;;) {
            await sleep(20);
            await control.heartbeat();
          }
        } finally {
          isOver = true;
          hasEnded++;
        }
      },
    },
  );
  await a.start();
  await a.until('the assignment', (m) => m.held.length === 6);
  const startedAt = performance.now();
  const b = await new Member({ brokers, groupId, topics: [topic] }).start();
  await b.until('a share', (m) => m.held.length === 3);
  // Far from the session's 30 s, which a member that is not heard of costs.
  expect(performance.now() - startedAt).toBeLessThan(15_000);
  expect(hasEnded).toBeGreaterThan(0);
  expect(late).toBe(0);
  await a.until('all records', () => new Set([...a.values, ...b.values]).size === 18);
  expect(a.of('lost')).toEqual([]);
});

test('a handler that does not come back does not hold the group up for ever, and is not called twice for a partition', async () => {
  const { topic, groupId } = own('stuck');
  await createTopic(brokers, topic, { partitions: 2 });
  await send(topic, [0, 1], ['x']);
  let release: () => void = () => {};
  const stuck = new Promise<void>((resolve) => {
    release = resolve;
  });
  const calls: string[] = [];
  const a = await new Member(
    { brokers, groupId, topics: [topic] },
    {
      onBatch: async (m, batch) => {
        calls.push(`${m.generation}/${batch.partition}`);
        if (m.generation === 1) await stuck;
        return true;
      },
    },
  ).start();
  await a.until('two stuck handlers', () => calls.length === 2);
  const b = await new Member({ brokers, groupId, topics: [topic] }).start();
  await a.until('the next generation', (m) => m.held.length === 1, 9_000);
  await b.until('a record', (m) => m.values.length === 1);
  await sleep(700);
  expect(calls).toHaveLength(2);
  release();
  await a.until('the record of the new generation', () => calls.length === 3);
});

test('a quiet source hears nothing more, stays a member and commits; a stopped one has left', async () => {
  const { topic, groupId } = own('quiet');
  await createTopic(brokers, topic);
  await send(topic, [0], ['a']);
  const member = await new Member({ brokers, groupId, topics: [topic], sessionTimeoutMs: 1000 }).start();
  await member.until('the record', (m) => m.values.length === 1);
  await member.source.quiesce();
  const told = member.told.length;
  await send(topic, [0], ['b']);
  await sleep(2500);
  const where = { topic, partition: 0 };
  await member.source.commit(member.generation, [{ ...where, offset: 1, metadata: 'last' }]);
  expect(await member.source.topics([topic])).toHaveLength(1);
  expect(member.told).toHaveLength(told);
  expect(await membersOf(groupId)).toHaveLength(1);
  const startedAt = performance.now();
  await member.stop();
  expect(performance.now() - startedAt).toBeLessThan(10_000);
  expect(await membersOf(groupId)).toHaveLength(0);
  const next = new Member({ brokers, groupId, topics: [topic] });
  expect(await next.source.commits([where])).toEqual([{ ...where, offset: 1, metadata: 'last' }]);
});

test('stopping works at any moment: before the start, while joining, and twice', async () => {
  const { topic, groupId } = own('stop');
  await createTopic(brokers, topic);
  const never = new Member({ brokers, groupId, topics: [topic] });
  await never.stop();
  for (let delay = 0; delay < 60; delay += 15) {
    const member = await new Member({ brokers, groupId, topics: [topic] }).start();
    await sleep(delay);
    await member.stop();
    await member.stop();
    expect(member.of('failed')).toEqual([]);
  }
  const last = await new Member({ brokers, groupId, topics: [topic] }).start();
  await last.until('a join that nobody holds up', (m) => m.held.length === 1, 2000);
});

test('a group of another program is named, and joined once it is gone', async () => {
  const { topic, groupId } = own('foreign');
  await createTopic(brokers, topic);
  const foreign = kafkaClient(brokers).consumer({ groupId, sessionTimeout: 6000, maxWaitTimeInMs: 200 });
  await foreign.connect();
  await foreign.subscribe({ topics: [topic] });
  const joined = new Promise<void>((resolve) => void foreign.on('consumer.group_join', () => resolve()));
  await foreign.run({ eachMessage: async () => {} });
  await joined;
  const member = await new Member({ brokers, groupId, topics: [topic] }).start();
  await member.until('the message', (m) => m.said(/members of another program/));
  await foreign.disconnect();
  await member.until('the assignment', (m) => m.held.length === 1);
});

test('a session that the broker does not allow is a failure with its reason', async () => {
  const { topic, groupId } = own('session');
  await createTopic(brokers, topic);
  const member = await new Member({ brokers, groupId, topics: [topic], sessionTimeoutMs: 10 }).start();
  await member.until('the failure', (m) => m.of('failed').length === 1);
  expect(String(member.of('failed')[0]!.error)).toContain('kafka.session_timeout');
});

test('a process that stopped its source ends by itself, and an idle one hardly uses the processor', async () => {
  const { topic, groupId } = own('process');
  await createTopic(brokers, topic);
  const script = join(import.meta.dirname, 'kafka-idle-process.ts');
  const child = spawn(process.execPath, [script, brokers.join(','), topic, groupId], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const [code] = (await once(child, 'exit')) as [number];
  expect([code, err]).toEqual([0, '']);
  const { timersPerSecond } = JSON.parse(out) as { timersPerSecond: number };
  expect(timersPerSecond).toBeLessThan(60);
});
