/** The commands as an operator uses them, around a service that counts one record. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runCli } from '../../src/cli.ts';
import type { LedgerState } from '../../src/commands/ledger-state.ts';
import { type Replica, startReplica } from '../support/services/replica.ts';
import { sharedKafka, sharedRedis } from '../support/shared-servers.ts';
import { connectProducer, createTopic, deleteTopic, uniqueName, withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';

/** One region with one span, by hand: a ResourceSpans (1) of a ScopeSpans (2) of a Span (2) with a name (5). */
const RECORD = Buffer.from([0x0a, 0x07, 0x12, 0x05, 0x12, 0x03, 0x2a, 0x01, 0x61]);

type Ended = { readonly code: number; readonly out: string; readonly err: string };

const run = async (argv: readonly string[], env: Record<string, string> = {}): Promise<Ended> => {
  const out: string[] = [];
  const err: string[] = [];
  const io = { env, out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await runCli(argv, io);
  return { code, out: out.join('\n'), err: err.join('\n') };
};

const topic = uniqueName('commands');
let replica: Replica;

beforeAll(async () => {
  await createTopic(sharedKafka(), topic, { partitions: 2 });
  const producer = await connectProducer(sharedKafka());
  const headers = { 'X-Scope-OrgID': 'acme' };
  await producer.send(topic, 1, [{ value: RECORD, headers }]);
  await producer.disconnect();
  replica = await startReplica({
    name: topic,
    from: 'src',
    config: {
      kafka: { brokers: sharedKafka(), group_id: topic, topics: [topic] },
      redis: { url: sharedRedis(), key_prefix: topic },
      ledger: { flush_interval: '200ms' },
    },
  });
  await replica.waitReady();
}, 120_000);

afterAll(async () => {
  await replica?.stop();
  await deleteTopic(sharedKafka(), topic);
}, 60_000);

const inspect = async (): Promise<LedgerState> => {
  const { code, out, err } = await run(['state', 'inspect', '--output', 'json', '--config', replica.configFile]);
  if (code !== 0) throw new Error(err);
  return JSON.parse(out) as LedgerState;
};

describe('an operator', () => {
  test('looks at the last records of a topic, without joining a group', async () => {
    const group = { TRACETALLY_KAFKA_GROUP_ID: `${topic}-tail` };
    const json = await run(['tail', '--limit', '5', '--output', 'json', '--config', replica.configFile], group);
    expect(json.code).toBe(0);
    expect(json.out.split('\n').map((line) => JSON.parse(line))).toEqual([
      {
        topic,
        partition: 1,
        offset: 0,
        timestamp: expect.stringMatching(/^20\d\d-/),
        bytes: RECORD.length,
        outcome: 'accepted',
        detail: '',
        spans: 1,
        series: 1,
        tenants: { acme: RECORD.length },
      },
    ]);
    const { out } = await run(['tail', '--topic', topic, '--config', replica.configFile]);
    expect(out).toMatch(new RegExp(`${topic}/1/0 .* accepted +acme`));
    const { groups } = await withAdmin(sharedKafka(), (admin) => admin.listGroups());
    expect(groups.map(({ groupId }) => groupId)).not.toContain(`${topic}-tail`);
    const missing = await run(['tail', '--topic', `${topic}-missing`, '--config', replica.configFile]);
    expect(missing).toMatchObject({ code: 1, err: `there is no topic ${topic}-missing` });
  });

  test('has a record in Kafka explained, for the tenant that it is of', async () => {
    const explain = (place: string) =>
      run(['explain', '--record', place, '--output', 'json', '--config', replica.configFile]);
    const { code, out } = await explain(`${topic}/1/0`);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      file: `${topic}/1`,
      record: 0,
      bytes: RECORD.length,
      tenant: 'acme',
      regions: [{ spans: [{ name: 'a', series: { service: '__missing__' } }] }],
    });
    expect(await explain(`${topic}/0/0`)).toMatchObject({ code: 1, err: `${topic}/0 is empty` });
    expect(await explain(`${topic}/1/7`)).toMatchObject({ code: 1, err: `${topic}/1 holds the offsets 0 to 0` });
    expect(await explain(`${topic}/9/0`)).toMatchObject({ code: 1, err: `${topic} has 2 partitions, counted from 0` });
    expect(await explain('nonsense')).toMatchObject({ code: 2 });
  });

  test('checks the configuration against Kafka and Redis', async () => {
    const { code, out } = await run(['check', '--connect', '--config', replica.configFile]);
    expect(out).toContain(`the topic ${topic} has 2 partitions, about 1 record;`);
    expect(out).toContain('ok: Redis answers and can hold the ledger');
    expect(code).toBe(0);
  }, 30_000);

  test('is told of a topic and a Redis that are not there', async () => {
    const { code, out } = await run(['check', '--connect', '--config', replica.configFile], {
      TRACETALLY_KAFKA_TOPICS: `${topic}-not`,
      TRACETALLY_REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect(code).toBe(1);
    expect(out).toContain(`problem: kafka.topics: there is no topic ${topic}-not`);
    expect(out).toContain('problem: Redis is not available');
  }, 30_000);

  test('sees markers, totals and owners of the ledger', async () => {
    const state = await waitFor(
      async () => {
        const seen = await inspect();
        const counted = seen.accounts.find(({ tenant }) => tenant === 'acme');
        return counted === undefined ? { done: false, seen: seen.accounts } : { done: true, value: seen };
      },
      { timeoutMs: 30_000, what: 'the record in the ledger' },
    );
    const acme = state.accounts.find(({ tenant }) => tenant === 'acme')!;
    expect(acme).toMatchObject({ live: 1, total: { bytes: RECORD.length, spans: 1 } });
    expect(state.shards).toHaveLength(64);
    expect(Object.keys(state.shards[0]!.markers)).toHaveLength(2);
    const { code, out } = await run(['state', 'inspect', '--config', replica.configFile]);
    expect(code).toBe(0);
    expect(out).toMatch(/^acme +cost-attribution/m);
  }, 60_000);

  test('asks for its health', async () => {
    expect(await run(['health', '--live', '--config', replica.configFile])).toMatchObject({ code: 0 });
    expect(await run(['health', '--config', replica.configFile])).toMatchObject({ code: 0 });
  }, 30_000);
});
