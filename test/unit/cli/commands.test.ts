import { describe, expect, test } from '@jest/globals';
import { examineCluster, examineServer } from '../../../src/commands/examine.ts';
import { readState } from '../../../src/commands/ledger-state.ts';
import { kafkaOptions, ledgerOptions } from '../../../src/commands/reach.ts';
import { stateText } from '../../../src/commands/state-inspect.ts';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { markerField, shardOf } from '../../../src/ledger/keys.ts';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import { LedgerUnavailable } from '../../../src/ledger/port.ts';
import { selfSigned } from '../../support/certificate.ts';

const CA = selfSigned().certPem;

const config = (yaml: string): Config => {
  const loaded = loadConfig({ file: 'c', env: {}, read: (path) => (path === 'c' ? yaml : CA) });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};

const FIELD = markerField('topic1', 0);

const ledgerWith = async (tenant: string, bytes: number): Promise<MemoryLedger> => {
  const ledger = new MemoryLedger({ nowUs: () => 1_000_000 });
  await ledger.claim({ clusterId: 'c', groupId: 'g' });
  const shard = shardOf(tenant);
  await ledger.setMarkers(shard, [[FIELD, 0]], 'first');
  const account = { tenant, tracker: 'cost-attribution', measures: 2, limit: 10, staleS: 900 };
  const entry = {
    account: 0,
    ids: Buffer.alloc(16, 1),
    values: Float64Array.of(bytes, 3),
    keys: [Buffer.from('key')],
    overflow: Float64Array.of(5, 1),
  };
  const section = { field: FIELD, from: 0, to: 7, replay: false, entries: [entry] };
  await ledger.commit({ shard, maxTenants: 10, accounts: [account], sections: [section] });
  return ledger;
};

describe('state inspect', () => {
  const owned = async (shard: number) => (shard === shardOf('acme') ? 'held replica-1/0af3' : null);

  test('shows the markers, totals and owners that the ledger holds', async () => {
    const state = await readState(await ledgerWith('acme', 100), owned);
    expect(state.shards).toEqual([
      expect.objectContaining({
        shard: shardOf('acme'),
        markers: { [FIELD]: 7 },
        owner: 'held replica-1/0af3',
        moves: [],
        movesForgotten: 0,
      }),
    ]);
    expect(state.accounts).toEqual([
      {
        tenant: 'acme',
        tracker: 'cost-attribution',
        shard: shardOf('acme'),
        live: 1,
        admissions: 1,
        total: { bytes: 105, spans: 4 },
        overflow: { bytes: 5, spans: 1 },
        retired: { bytes: 0, spans: 0 },
        unattributed: {},
      },
    ]);
  });

  test('prints them as tables', async () => {
    const text = stateText(await readState(await ledgerWith('acme', 100), owned));
    expect(text).toContain('1 of 64 shards, 1 live series');
    expect(text).toMatch(/^topic1\/0 +7 +7 +1$/m);
    expect(text).toMatch(/^acme +cost-attribution +\d+ +1 +105 bytes, 4 spans +5 bytes, 1 spans +0 bytes, 0 spans$/m);
    expect(text).toMatch(/^held replica-1 +\d+$/m);
  });

  test('tells of markers that were moved, alike ones in one line', async () => {
    const ledger = await ledgerWith('acme', 100);
    for (const shard of [1, 2]) {
      await ledger.setMarkers(shard, [[FIELD, 5]], 'first');
      await ledger.move(shard, FIELD, 5, 90, 'gap');
    }
    await ledger.move(2, FIELD, 90, null, 'forget');
    const text = stateText(await readState(ledger, owned));
    expect(text).toMatch(/^1970-01-01T00:00:01\.000Z +topic1\/0 +5 +90 +gap +2$/m);
    expect(text).toMatch(/^\S+ +topic1\/0 +90 +none +forget +1$/m);
  });

  test('of an empty ledger is empty', async () => {
    const state = await readState(new MemoryLedger({ nowUs: () => 0 }), owned);
    expect(state).toEqual({ shards: [], accounts: [] });
    expect(stateText(state)).toContain('0 of 64 shards');
  });
});

describe('check --connect', () => {
  const cluster = {
    clusterId: async () => 'abc',
    topics: async () => [{ name: 'a', id: '1', partitions: 2 }],
    ranges: async (all: readonly { topic: string; partition: number }[]) =>
      all.map((where) => ({ ...where, start: 10, end: 15 })),
    commits: async (all: readonly { topic: string; partition: number }[]) =>
      all.map((where) => ({ ...where, offset: where.partition === 0 ? 12 : null, metadata: '' })),
  };

  test('tells of the topics, and of those that are missing', async () => {
    expect(await examineCluster(cluster, ['a', 'b'])).toEqual([
      { severity: 'good', text: 'Kafka answers, the cluster is abc' },
      { severity: 'good', text: 'the topic a has 2 partitions, about 10 records; the group has a commit in 1' },
      { severity: 'refuse', text: 'kafka.topics: there is no topic b' },
    ]);
  });

  test('tells of a Kafka that does not answer', async () => {
    const away = { ...cluster, clusterId: () => Promise.reject(new Error('no broker')) };
    expect(await examineCluster(away, ['a'])).toEqual([
      { severity: 'refuse', text: 'Kafka cannot be asked: no broker' },
    ]);
  });

  test('tells what the ledger finds', async () => {
    const warning = { severity: 'warn', text: 'w' } as const;
    const refusal = { severity: 'refuse', text: 'r' } as const;
    expect(await examineServer({ examine: async () => [warning] })).toEqual([
      { severity: 'good', text: 'Redis answers and can hold the ledger' },
      warning,
    ]);
    expect(await examineServer({ examine: async () => [refusal] })).toEqual([refusal]);
    expect(await examineServer({ examine: () => Promise.reject(new LedgerUnavailable('away')) })).toEqual([
      { severity: 'refuse', text: 'away' },
    ]);
  });
});

describe('what clients are told', () => {
  test('of Kafka', () => {
    const options = kafkaOptions(
      config(`kafka: { brokers: ["k:1"], tls: { enabled: true, ca_file: /ca },
        sasl: { mechanism: plain, username: u, password: p } }`),
    );
    expect(options).toMatchObject({
      brokers: ['k:1'],
      tls: { ca: CA },
      sasl: { mechanism: 'plain', username: 'u', password: 'p' },
      sessionTimeoutMs: 30_000,
    });
    expect(kafkaOptions(config(''))).toMatchObject({ tls: null, sasl: null });
  });

  test.each([
    ['redis://u:p@[::1]:7/2', { url: 'redis://[::1]:7/2', username: 'u', password: 'p' }],
    ['rediss://h', { url: 'redis://h:6379/0', tls: {} }],
  ])('of Redis at %s', (url, expected) => {
    expect(ledgerOptions(config(`redis: { url: "${url}" }`))).toEqual({ ...expected, keyPrefix: 'tracetally' });
  });

  test('of a cluster, of Sentinels, of nothing', () => {
    expect(ledgerOptions(config('redis: { cluster: ["a:1", "[::1]:2"] }'))).toMatchObject({
      cluster: ['a:1', '[::1]:2'],
    });
    expect(ledgerOptions(config('redis: { sentinels: ["a:1"], sentinel_master: m }'))).toMatchObject({
      sentinels: { nodes: ['a:1'], master: 'm' },
    });
    expect(ledgerOptions(config(''))).toBeNull();
  });
});
