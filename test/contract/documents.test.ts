/** What tenants set for themselves, wherever it is stored: compare-and-set, and one picture of all of them. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import type { Documents } from '../../src/ledger/documents.ts';
import { ledgerKeys } from '../../src/ledger/keys.ts';
import { MemoryDocuments } from '../../src/ledger/memory-documents.ts';
import { RedisConnection, type RedisConnectionOptions } from '../../src/ledger/redis-connection.ts';
import { RedisDocuments } from '../../src/ledger/redis-documents.ts';
import { startRedisCluster } from '../support/services/redis-cluster.ts';
import { sharedRedis } from '../support/shared-servers.ts';
import { newPrefix } from './fixture.ts';

type Place = {
  open(most?: number): Documents;
  /** As if somebody else had written there. */
  damage(name: string, value: string): Promise<void>;
  /** As if the server had lost all of it. */
  lose(): Promise<void>;
  stop(): Promise<void>;
};

const redisPlace = (options: RedisConnectionOptions, admin: Redis | Cluster, more?: () => Promise<void>): Place => {
  const key = ledgerKeys(newPrefix()).overrides;
  const opened: RedisConnection[] = [];
  return {
    open: (most) => {
      const connection = new RedisConnection(options);
      opened.push(connection);
      return new RedisDocuments(connection, key, most);
    },
    damage: async (name, value) => void (await admin.hset(key, `of:${name}`, value, 'version', '7')),
    lose: async () => void (await admin.del(key)),
    stop: async () => {
      await admin.del(key);
      admin.disconnect();
      for (const connection of opened) await connection.close();
      await more?.();
    },
  };
};

const PLACES: readonly (readonly [string, () => Promise<Place>])[] = [
  ['Redis', async () => redisPlace({ url: sharedRedis('redis') }, new Redis(sharedRedis('redis')))],
  ['Valkey', async () => redisPlace({ url: sharedRedis('valkey') }, new Redis(sharedRedis('valkey')))],
  [
    'a cluster',
    async () => {
      const cluster = await startRedisCluster();
      const nodes = cluster.nodes.map(({ host, port }) => `${host}:${port}`);
      return redisPlace({ cluster: nodes }, new Cluster([...cluster.nodes]), async () => {
        await cluster.stop();
      });
    },
  ],
];

describe.each(PLACES)('documents in %s', (_, begin) => {
  let place: Place;
  beforeAll(async () => {
    place = await begin();
  }, 60_000);
  afterAll(() => place.stop());

  test('are as those in memory, step by step', async () => {
    let us = 1_000;
    const sides = [new MemoryDocuments(() => us++, 3), place.open(3)];
    const versions: [string, string][] = [];
    /** The same outcome on both; `known`: the version of that write, by number. */
    const write = async (name: string, known: number | null, content: string | null): Promise<string> => {
      const expected = known === null ? ['0', '0'] : versions[known]!;
      const outcomes = await Promise.all(sides.map((side, i) => side.write(name, expected[i]!, content)));
      const kinds = new Set(outcomes.map(({ kind }) => kind));
      expect(kinds.size).toBe(1);
      const [kind] = kinds;
      if (kind === 'written')
        versions.push(outcomes.map((o) => (o as { version: string }).version) as [string, string]);
      return kind!;
    };
    const odd = 'a{b}:% \u{1f600}\ud800';
    expect(await write('a', null, '{"a":1}')).toBe('written');
    expect(await write('a', null, '{"a":2}')).toBe('other');
    expect(await write('a', 0, '{"a":2}')).toBe('written');
    expect(await write('a', 0, '{"a":3}')).toBe('other');
    expect(await write(odd, null, 'x\n y')).toBe('written');
    expect(await write('c', null, 'c')).toBe('written');
    expect(await write('d', null, 'd')).toBe('full');
    expect(await write('c', 3, null)).toBe('written');
    expect(await write('c', 3, null)).toBe('other');
    expect(await write('c', null, null)).toBe('written');
    expect(await write('d', null, 'd')).toBe('written');
    expect(await write('version', null, 'v')).toBe('full');
    for (const [i, side] of sides.entries()) {
      expect(await side.get('a')).toEqual({ version: versions[1]![i], content: '{"a":2}' });
      expect(await side.get('c')).toBeNull();
      const all = await side.all('');
      expect(new Map([...all!.documents].map(([name, { content }]) => [name, content]))).toEqual(
        new Map([
          ['a', '{"a":2}'],
          [odd, 'x\n y'],
          ['d', 'd'],
        ]),
      );
      expect(all!.version).toBe(versions.at(-1)![i]);
      expect(await side.all(all!.version)).toBeNull();
    }
    for (const i of [0, 1]) {
      const own = versions.map((pair) => Number(pair[i]));
      expect(own).toEqual([...own].sort((a, b) => a - b));
      expect(new Set(own).size).toBe(own.length);
    }
  });

  test('of many who write at once, one is first, and each other is told', async () => {
    const clients = Array.from({ length: 4 }, () => place.open());
    const outcomes = await Promise.all(
      Array.from({ length: 40 }, (_, i) => clients[i % 4]!.write('race', '0', `{"writer":${i}}`)),
    );
    const first = outcomes.filter(({ kind }) => kind === 'written');
    expect(first).toHaveLength(1);
    const version = (first[0] as { version: string }).version;
    expect(outcomes.filter((outcome) => outcome.kind === 'other' && outcome.version === version)).toHaveLength(39);
    const winner = outcomes.findIndex(({ kind }) => kind === 'written');
    expect(await clients[0]!.get('race')).toEqual({ version, content: `{"writer":${winner}}` });
  });

  test('are read whole where they are more than one step holds', async () => {
    const documents = place.open();
    for (let i = 0; i < 230; i++) await documents.write(`many-${i}`, '0', `${i}`);
    const all = await documents.all('');
    expect([...all!.documents.keys()].filter((name) => name.startsWith('many-'))).toHaveLength(230);
  });

  test('that somebody else wrote have no version, and can be replaced', async () => {
    const documents = place.open();
    await place.damage('strange', 'hello');
    expect(await documents.get('strange')).toEqual({ version: '0', content: 'hello' });
    expect((await documents.all(''))!.documents.get('strange')).toEqual({ version: '0', content: 'hello' });
    expect(await documents.write('strange', '0', '{}')).toMatchObject({ kind: 'written' });
  });

  test('that the server lost are gone for all, and come back with higher versions', async () => {
    const documents = place.open();
    const before = await documents.write('lost', '0', '{}');
    const known = (await documents.all(''))!.version;
    await place.lose();
    expect((await documents.all(known))!.documents.size).toBe(0);
    const after = await documents.write('lost', '0', '{}');
    expect(Number((after as { version: string }).version)).toBeGreaterThan(
      Number((before as { version: string }).version),
    );
  });
});
