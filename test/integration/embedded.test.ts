/** A first try: no Redis, one replica. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { type Replica, startReplica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { connectProducer, createTopic, deleteTopic, type HonestProducer, uniqueName } from '../support/topics.ts';
import { Traffic, Truth } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const topic = uniqueName('embedded');
const replicas: Replica[] = [];
let producer: HonestProducer;

const add = async (name: string): Promise<Replica> => {
  const replica = await startReplica({
    name,
    config: {
      kafka: { brokers: sharedKafka(), group_id: topic, topics: [topic], session_timeout: '6s' },
      ledger: { flush_interval: '200ms' },
      publish: { lease: '2s', birth_hold: '0s' },
      overrides: { user_configurable_overrides: { enabled: true } },
    },
  });
  replicas.push(replica);
  return replica;
};

/** Bytes of all tenants, as shown. */
const shown = async (replica: Replica): Promise<number> => {
  const text = await (await fetch(`${replica.url}/usage_metrics`)).text();
  const lines = text.split('\n').filter((line) => line.startsWith('tempo_usage_tracker_bytes_received_total{'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
};

const untilShown = (replica: Replica, bytes: number): Promise<void> =>
  waitFor(
    async () => {
      // It may not listen yet.
      const seen = await shown(replica).catch(String);
      return seen === bytes ? { done: true, value: undefined } : { done: false, seen };
    },
    { timeoutMs: 30_000, what: `${replica.name} to show ${bytes} bytes` },
  );

/** The tenant who tries it sets them for itself, in the memory of that replica alone. */
const setDimensions = async (replica: Replica): Promise<number> => {
  const { status } = await fetch(`${replica.url}/api/overrides`, {
    method: 'POST',
    headers: { 'X-Scope-OrgID': 'trying', 'If-Match': '0' },
    body: JSON.stringify({ cost_attribution: { dimensions: { 'span.http.route': 'path' } } }),
  });
  const page = await replica.scrape('/status/overrides/trying');
  expect(page).toContain('span.http.route: path');
  return status;
};

const write = async (traffic: Traffic, records: number): Promise<number> => {
  const truth = new Truth();
  for (let i = 0; i < records; i += 1) {
    const record = traffic.next(Date.now());
    await producer.send(topic, i % 2, [{ value: record.value, headers: record.headers }]);
    truth.add(record);
  }
  return truth.acceptedBytes;
};

beforeAll(async () => {
  await createTopic(sharedKafka(), topic, { partitions: 2 });
  producer = await connectProducer(sharedKafka());
}, 60_000);

afterAll(async () => {
  await producer?.disconnect();
  await Promise.all(replicas.map((replica) => replica.stop()));
  await deleteTopic(sharedKafka(), topic);
}, 60_000);

test('counts exactly in memory, goes on at the commit of the group, and refuses company', async () => {
  const traffic = new Traffic(1);
  const first = await add('embedded-1');
  const before = await write(traffic, 30);
  await untilShown(first, before);
  expect(await setDimensions(first)).toBe(200);
  first.signal('SIGTERM');
  expect(await first.exit()).toMatchObject({ code: 0 });

  const second = await add('embedded-2');
  await second.waitReady();
  const after = await write(traffic, 30);
  await untilShown(second, after);
  expect(second.log()).not.toContain('ledger_loss');

  // Each of the two may be the one that sees the other first; the one that is left is alone again.
  const third = await add('embedded-3');
  const refused = await Promise.race(
    [second, third].map(async (replica) => ({ replica, ended: await replica.exit() })),
  );
  expect(refused.ended).toMatchObject({ code: 1 });
  expect(refused.replica.log()).toContain('an embedded ledger serves one: set redis.url');
}, 120_000);
