import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isReservedTenant, overflowTenant, RECORDS_TENANT, removedTenant } from '../../../src/attribution/reserved.ts';
import {
  accountMember,
  accountOf,
  installationOf,
  ledgerKeys,
  markerField,
  markerParts,
  maxTenantsPerShard,
  partitionsAmong,
  placeOf,
  shardOf,
} from '../../../src/ledger/keys.ts';

/** Any string at all, with what is special to Redis, to us, and to UTF-8 more often than chance would have it. */
const name = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(fc.constantFrom('{', '}', ':', '%', 'u', '4', '\ud800', '\udc00', '\ufffd', 'a', '\0'))
    .map((all) => all.join('')),
  fc.string({ minLength: 200, maxLength: 300 }),
);
const account = fc.record({ tenant: name, tracker: name });

/** The part of a key that Redis Cluster hashes. */
const slotPart = (key: string): string => /^[^{]*\{([^}]+)\}/.exec(key)?.[1] ?? key;

describe('names of accounts', () => {
  test('two accounts never have one key, and a member of :tenants leads back to its account', () => {
    fc.assert(
      fc.property(account, account, (a, b) => {
        expect(accountOf(accountMember(a))).toEqual(a);
        const same = a.tenant === b.tenant && a.tracker === b.tracker;
        expect(accountMember(a) === accountMember(b)).toBe(same);
      }),
      { numRuns: 500 },
    );
  });

  test('all keys of a shard share the slot of its tag, whatever prefix and tenant are', () => {
    fc.assert(
      fc.property(name, fc.nat(63), account, (prefix, shard, of) => {
        const keys = ledgerKeys(prefix);
        const all = [...Object.values(keys.shard(shard)), ...Object.values(keys.account(shard, of))];
        expect(new Set(all).size).toBe(9);
        expect(new Set(all.map(slotPart)).size).toBe(1);
        expect(slotPart(all[0]!)).not.toBe(slotPart(keys.shard((shard + 1) % 64).meta));
      }),
    );
  });

  test('prefixes never share a key', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        fc.pre(a !== b);
        const [x, y] = [ledgerKeys(a), ledgerKeys(b)];
        expect(new Set([x.ledger, x.replicas, y.ledger, y.replicas, x.shard(1).meta, y.shard(1).meta]).size).toBe(6);
      }),
    );
  });

  test('what the keys of a plain tenant look like', () => {
    expect(ledgerKeys('tracetally').shard(7).meta).toBe('{tracetally:7}:meta');
    expect(ledgerKeys('tracetally').account(7, { tenant: 'team-a', tracker: 'cost-attribution' }).series).toBe(
      '{tracetally:7}:series:team-a:cost-attribution',
    );
  });
});

describe('shards', () => {
  test('tenants keep their shard for ever', () => {
    expect(['', 'single-tenant', 'team-a', RECORDS_TENANT].map(shardOf)).toEqual([2, 61, 44, 8]);
  });

  test('a shard has room for its part of the tenants in spite of chance', () => {
    const maxTenants = 10_000;
    const held = new Array<number>(64).fill(0);
    for (let i = 0; i < maxTenants; i++) held[shardOf(`tenant-${i}`)]!++;
    expect(Math.max(...held)).toBeLessThanOrEqual(maxTenantsPerShard(maxTenants));
    expect(maxTenantsPerShard(maxTenants)).toBe(157 + 76 + 8);
    expect(maxTenantsPerShard(1)).toBe(1 + 6 + 8);
  });
});

describe('names of ours', () => {
  test('are reserved, and only records need no place', () => {
    expect([RECORDS_TENANT, overflowTenant(3), removedTenant(3), 'team', '__x'].map(isReservedTenant)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
    expect([RECORDS_TENANT, overflowTenant(3), '__mine__', 'team', ''].map(placeOf)).toEqual([
      'always',
      'never',
      'bounded',
      'bounded',
      'bounded',
    ]);
  });
});

describe('markers', () => {
  test('name topic and partition', () => {
    expect(markerParts(markerField('a.b_c-d', 12))).toEqual({ topicId: 'a.b_c-d', partition: 12 });
  });

  test('tell how many partitions were seen', () => {
    const fields = [markerField('x', 3), markerField('x', 0), markerField('y', 9)];
    expect([partitionsAmong(fields, 'x'), partitionsAmong(fields, 'y'), partitionsAmong(fields, 'z')]).toEqual([
      4,
      10,
      null,
    ]);
  });
});

test('an installation is cluster, group and prefix together', () => {
  const identity = { clusterId: 'c', groupId: 'g' };
  const all = [
    installationOf(identity, 'p'),
    installationOf({ clusterId: 'cg', groupId: '' }, 'p'),
    installationOf({ clusterId: 'c', groupId: 'h' }, 'p'),
    installationOf(identity, 'q'),
  ];
  expect(new Set(all).size).toBe(4);
  expect(installationOf({ ...identity }, 'p')).toBe(all[0]);
});
