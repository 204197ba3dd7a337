/** What stands between a ledger and its server: the user's rights, passwords, TLS. On servers of their own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { LedgerUnavailable } from '../../src/ledger/port.ts';
import { openRedisLedger, type RedisLedger, type RedisLedgerOptions } from '../../src/ledger/redis-ledger.ts';
import { SCRIPTS } from '../../src/ledger/redis-scripts.ts';
import { selfSigned } from '../support/certificate.ts';
import { makeShippedUser, REDIS_USER, SHIPPED_PREFIX, shippedUser } from '../support/redis-users.ts';
import type { RedisFlavour } from '../support/services/install-redis.ts';
import { freePort } from '../support/services/ports.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { type RedisServer, startRedis } from '../support/services/redis.ts';
import { startRedisCluster } from '../support/services/redis-cluster.ts';
import { account, add, begin, read, SHARD } from './calls.ts';
import { IDENTITY } from './fixture.ts';

jest.setTimeout(60_000);

const PASSWORD = 'canary-password-of-redis';
const { commands, keys } = shippedUser();
const a = account('a');

const withLedger = async <T>(
  options: Partial<RedisLedgerOptions>,
  work: (ledger: RedisLedger) => Promise<T>,
): Promise<T> => {
  const ledger = openRedisLedger({ keyPrefix: SHIPPED_PREFIX, commandTimeoutMs: 5_000, ...options });
  try {
    return await work(ledger);
  } finally {
    await ledger.close();
  }
};

/** What the ledger does in a life, from the first claim to the removal of a shard. */
const wholeLife = async (ledger: RedisLedger): Promise<void> => {
  await ledger.claim(IDENTITY);
  expect(await ledger.firstSight('topic', 3)).toBe(3);
  await begin(ledger);
  await add(ledger, 0, a, { x: [1, 1], y: [2, 1] });
  expect((await read(ledger, SHARD, a))!.totals.total).toEqual([3, 2]);
  await ledger.changes(SHARD, -1);
  await ledger.liveIds(SHARD, a);
  await ledger.signIn('r', 60_000);
  await ledger.take(SHARD, 'r', 't', 60_000);
  await ledger.renew(SHARD, 't', 60_000);
  expect(await ledger.free('other', [SHARD])).toEqual([false]);
  await ledger.release(SHARD, 't', 'other', 60_000);
  expect((await ledger.purge(SHARD, a, -1, null, 100)).purged).toBe(2);
  expect(await ledger.removeAccount(SHARD, a, -1)).toBe(true);
  await add(ledger, 1, a, { x: [1, 1] });
  await ledger.forgetShard(SHARD);
  await ledger.signOut('r');
  const { documents } = ledger;
  const made = await documents.write('a', '0', '{}');
  expect((await documents.all(''))!.documents.get('a')).toEqual(await documents.get('a'));
  expect(made.kind === 'written' && (await documents.write('a', made.version, null)).kind).toBe('written');
};

test('the file that is shipped allows what the scripts are tried with, and what is asked beside them; nothing else', () => {
  const tried = [...SCRIPTS.probe.text.matchAll(/\{ '([A-Z]+)'/g)].map(([, name]) => name!.toLowerCase());
  const beside = ['eval', 'evalsha', 'info', 'config|get', 'cluster|slots', 'cluster|info'];
  expect([...commands].sort()).toEqual([...new Set([...tried, ...beside])].sort());
});

test('the scripts are tried with every command that one of them uses', () => {
  const tried = new Set([...SCRIPTS.probe.text.matchAll(/\{ '([A-Z]+)'/g)].map(([, name]) => name!));
  const used = Object.values(SCRIPTS).flatMap(({ text }) =>
    [...text.matchAll(/redis\.p?call\('([A-Z]+)'/g)].map(([, name]) => name!),
  );
  expect([...new Set(used)].filter((name) => !tried.has(name))).toEqual([]);
});

describe.each<RedisFlavour>(['redis', 'valkey'])('the user of deploy/redis/users.acl on %s', (flavour) => {
  let server: RedisServer;
  let admin: Redis;
  const login = () => ({ url: server.url, username: REDIS_USER, password: PASSWORD });

  beforeAll(async () => {
    server = await startRedis({ flavour });
    admin = new Redis(server.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await server.stop();
  });
  beforeEach(async () => {
    await admin.flushall();
    await admin.config('SET', 'appendonly', 'yes');
    await makeShippedUser(admin, PASSWORD);
  });

  test('can do all that a ledger does, and is not found wanting', async () => {
    await withLedger(login(), async (ledger) => {
      expect(await ledger.examine()).toEqual([]);
      await wholeLife(ledger);
    });
  });

  test.each([
    'keys *',
    'scan 0',
    'flushall',
    'config set save x',
    'acl whoami',
    'module list',
    'script flush',
    'monitor',
    'publish a b',
    'shutdown nosave',
    'get key-of-another',
    'set tracetally:key-of-another x',
  ])('cannot %s', async (command) => {
    const user = new Redis(server.url, { username: REDIS_USER, password: PASSWORD });
    user.on('error', () => {});
    const [name, ...rest] = command.split(' ');
    try {
      await expect(user.call(name!, ...rest)).rejects.toThrow(/NOPERM/);
    } finally {
      user.disconnect();
    }
  });

  test.each(commands.filter((name) => !name.startsWith('cluster|')))(
    'without %s: said before the first flush',
    async (name) => {
      await makeShippedUser(admin, PASSWORD, SHIPPED_PREFIX, [`+${name}`]);
      if (name === 'config|get') await admin.config('SET', 'appendonly', 'no');
      const findings = await withLedger(login(), (ledger) => ledger.examine());
      if (name === 'info' || name === 'config|get') {
        expect(findings).toEqual([{ severity: 'warn', text: expect.stringMatching(/\+info|whether it saves/) }]);
        return;
      }
      expect(findings).toEqual([
        { severity: 'refuse', text: expect.stringContaining(` ${name.toUpperCase()}. Allow`) },
      ]);
    },
  );

  test('without the key of documents a ledger that keeps none is not refused', async () => {
    await makeShippedUser(admin, PASSWORD, SHIPPED_PREFIX, [`~${SHIPPED_PREFIX}:overrides`]);
    expect(await withLedger(login(), (ledger) => ledger.examine())).toEqual([]);
  });

  test.each(keys)('without the keys %s: said before the first flush', async (pattern) => {
    await makeShippedUser(admin, PASSWORD, SHIPPED_PREFIX, [`~${pattern}`]);
    const [finding, ...others] = await withLedger({ ...login(), usesDocuments: true }, (ledger) => ledger.examine());
    expect(others).toEqual([]);
    expect(finding!.severity).toBe('refuse');
    expect(finding!.text).toContain(pattern.includes('{') ? 'the keys {tracetally:...}:*' : `the key ${pattern}.`);
  });

  test.each([
    ['a wrong password', { password: 'canary-wrong-password' }],
    ['no such user', { username: 'nobody' }],
  ])('%s: the settings are named, no secret is', async (_, wrong) => {
    const asked = withLedger({ ...login(), ...wrong }, (ledger) => ledger.examine());
    await expect(asked).rejects.toThrow(LedgerUnavailable);
    await expect(asked).rejects.toThrow(/look at redis\.username and redis\.password/);
    await expect(asked).rejects.not.toThrow(/canary/);
  });

  test('no login where one is needed: the settings are named', async () => {
    await admin.call('ACL', 'SETUSER', 'default', 'off');
    try {
      await expect(withLedger({ url: server.url }, (ledger) => ledger.examine())).rejects.toThrow(
        /look at redis\.username and redis\.password/,
      );
    } finally {
      await admin.call('ACL', 'SETUSER', 'default', 'on');
    }
  });
});

test('the same user in a cluster; without a right about it nothing can be asked, and that is said', async () => {
  const cluster = await startRedisCluster();
  const admins = cluster.masters.map(({ url }) => new Redis(url));
  const options = {
    cluster: cluster.nodes.map(({ host, port }) => `${host}:${port}`),
    username: REDIS_USER,
    password: PASSWORD,
  };
  try {
    for (const admin of admins) await makeShippedUser(admin, PASSWORD);
    await withLedger(options, async (ledger) => {
      expect(await ledger.examine()).toEqual([]);
      await wholeLife(ledger);
    });
    for (const right of ['cluster|slots', 'cluster|info']) {
      for (const admin of admins) await makeShippedUser(admin, PASSWORD, SHIPPED_PREFIX, [`+${right}`]);
      const claim = withLedger(options, (ledger) => ledger.claim(IDENTITY));
      await expect(claim).rejects.toThrow(new RegExp(right.replace('|', '.'), 'i'));
    }
  } finally {
    for (const admin of admins) admin.disconnect();
    await cluster.stop();
  }
});

// The Valkey that the tests fetch was built without TLS.
describe('TLS to Redis', () => {
  const certificate = selfSigned();
  const another = selfSigned();
  const dir = scratchDirectory('redis-tls');
  const file = (name: string, text: string): string => {
    const path = join(dir, name);
    writeFileSync(path, text);
    return path;
  };
  const start = async (clients: 'yes' | 'no') => {
    const port = await freePort();
    const server = await startRedis({
      flavour: 'redis',
      config: {
        'tls-port': String(port),
        'tls-cert-file': file('cert.pem', certificate.certPem),
        'tls-key-file': file('key.pem', certificate.keyPem),
        'tls-ca-cert-file': file('ca.pem', certificate.certPem),
        'tls-auth-clients': clients,
      },
    });
    return { server, port };
  };
  let open: { server: RedisServer; port: number };
  let strict: { server: RedisServer; port: number };
  beforeAll(async () => {
    [open, strict] = await Promise.all([start('no'), start('yes')]);
  });
  afterAll(async () => {
    await Promise.all([open.server.stop(), strict.server.stop()]);
    removeScratch(dir);
  });
  const trusted = { ca: certificate.certPem };

  test('a ledger lives over it', async () => {
    await withLedger({ url: `redis://localhost:${open.port}`, tls: trusted }, wholeLife);
  });

  test('with a certificate of the client, too', async () => {
    const tls = { ...trusted, cert: certificate.certPem, key: certificate.keyPem };
    await withLedger({ url: `redis://127.0.0.1:${strict.port}`, tls }, wholeLife);
  });

  test.each<[string, () => Partial<RedisLedgerOptions>, RegExp]>([
    ['an unknown authority', () => ({ url: `redis://127.0.0.1:${open.port}`, tls: {} }), /redis\.tls\.ca_file/],
    [
      'another authority',
      () => ({ url: `redis://127.0.0.1:${open.port}`, tls: { ca: another.certPem } }),
      /redis\.tls\.ca_file/,
    ],
    [
      'a host that the certificate does not name',
      () => ({ url: `redis://127.1:${open.port}`, tls: trusted }),
      /certificate of Redis names other hosts/,
    ],
    [
      'no certificate where one is wanted',
      () => ({ url: `redis://127.0.0.1:${strict.port}`, tls: trusted }),
      /redis\.tls\.cert_file/,
    ],
  ])('%s: nothing is said to the server, and the setting is named', async (_, options, setting) => {
    const asked = withLedger({ ...options(), password: PASSWORD }, (ledger) => ledger.examine());
    await expect(asked).rejects.toThrow(LedgerUnavailable);
    await expect(asked).rejects.toThrow(setting);
    await expect(asked).rejects.not.toThrow(/canary/);
  });
});
