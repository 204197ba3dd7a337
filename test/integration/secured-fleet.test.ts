/**
 * The fleet as it should be run: TLS everywhere, SCRAM, and no right beyond those of deploy/kafka/acls.sh and
 * deploy/redis/users.acl. What is wrong is named by its setting; no secret is ever written.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } from 'kafkajs';
import { stringify } from 'yaml';
import { type Certificate, selfSigned } from '../support/certificate.ts';
import { type Fleet, killReplica, startFleet } from '../support/fleet.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { REDIS_USER, shippedUser } from '../support/redis-users.ts';
import { type KafkaCluster, startKafka } from '../support/services/kafka.ts';
import { addScramUser, runShippedAcls } from '../support/services/kafka-tools.ts';
import { freePort } from '../support/services/ports.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import type { Replica, ReplicaConfig } from '../support/services/replica.ts';
import { createTopic, endOffsets, withAdmin } from '../support/topics.ts';
import { waitFor } from '../support/wait-for.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const USER = 'tracetally';
const SECRETS = {
  kafka: 'canary-kafka-password',
  redis: 'canary-redis-password',
  admin: 'canary-administrators-token',
  metrics: 'canary-scrapers-token',
};

const LETTERS = 'letters';

const own = selfSigned();
const another = selfSigned();
const dir = scratchDirectory('secured');
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const files = {
  cert: file('cert.pem', own.certPem),
  key: file('key.pem', own.keyPem),
  ca: file('ca.pem', own.certPem),
  anotherCa: file('another-ca.pem', another.certPem),
  admin: file('admin', `${SECRETS.admin}\n`),
  metrics: file('metrics', SECRETS.metrics),
  kafkaPassword: file('kafka-password', `${SECRETS.kafka}\n`),
  redisPassword: file('redis-password', SECRETS.redis),
};
const TLS = { enabled: true, ca_file: files.ca, cert_file: files.cert, key_file: files.key };

let kafka: KafkaCluster;
let fleet: Fleet;
let redisPort: number;

const secured = (): ReplicaConfig => ({
  server: {
    admin_token_file: files.admin,
    metrics_token_file: files.metrics,
    tls: { cert_file: files.cert, key_file: files.key },
  },
  kafka: {
    brokers: kafka.securedBrokers,
    tls: TLS,
    sasl: { mechanism: 'scram-sha-512', username: USER, password_file: files.kafkaPassword },
    on_bad_record: 'dead_letter',
    dead_letter_topic: LETTERS,
  },
  redis: {
    url: `rediss://localhost:${redisPort}`,
    username: REDIS_USER,
    password_file: files.redisPassword,
    tls: TLS,
  },
  log: { level: 'debug' },
});

/** The shipped relabeling apart, what Prometheus is told: a CA and a token. */
const get = (replica: Replica, path: string, token = '', ca = own.certPem): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const headers = token === '' ? {} : { Authorization: `Bearer ${token}` };
    const asked = request(
      { host: '127.0.0.1', port: replica.port, path, ca, headers, agent: false, timeout: 10_000 },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('end', () => resolve({ status: answer.statusCode!, body: String(Buffer.concat(chunks)) }));
        answer.once('error', reject);
      },
    );
    asked.once('timeout', () => asked.destroy(new Error('no answer')));
    asked.once('error', reject).end();
  });

const untilReady = (replica: Replica): Promise<void> =>
  waitFor(
    async () => {
      const seen = await get(replica, '/ready').catch(String);
      return typeof seen === 'object' && seen.status === 200 ? { done: true, value: undefined } : { done: false, seen };
    },
    { timeoutMs: 60_000, what: `${replica.name} to be ready; its log ends: ${replica.log().slice(-1500)}` },
  );

const grant = (): Promise<void> =>
  runShippedAcls(dir, {
    broker: kafka.brokers[0]!,
    principal: `User:${USER}`,
    topics: fleet.topic,
    group: fleet.group,
    deadLetters: LETTERS,
  });

let commands = 0;
/** A command as an operator gives it. */
const run = (args: readonly string[], config: ReplicaConfig): Promise<{ status: number | null; output: string }> => {
  const path = file(`command-${commands++}.yaml`, stringify(config));
  const child = spawn(process.execPath, ['--no-warnings', MAIN, ...args, '--config', path], {
    env: { PATH: process.env.PATH },
    timeout: 60_000,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
};

/** What a command knows of a replica's configuration. */
const complete = (over: (config: ReturnType<typeof sections>) => void = () => {}): ReplicaConfig => {
  const config = sections();
  over(config);
  return config;
};
type Section = Record<string, unknown>;
const sections = (): { server: Section; kafka: Section; redis: Section } => {
  const { server, kafka: toKafka, redis } = secured() as Record<'server' | 'kafka' | 'redis', Record<string, unknown>>;
  return {
    server: { ...server, host: '127.0.0.1', port: fleet.replicas[0]?.port ?? 1 },
    kafka: { ...toKafka, topics: [fleet.topic], group_id: fleet.group },
    redis: { ...redis },
  };
};

beforeAll(async () => {
  const inOneLine = (pem: string) => pem.replaceAll('\n', '\\n');
  const trust = (certificate: Certificate) => inOneLine(certificate.certPem);
  const login = 'org.apache.kafka.common.security.scram.ScramLoginModule required;';
  redisPort = await freePort();
  kafka = await startKafka({
    secured: 'SASL_SSL',
    config: {
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'super.users': 'User:ANONYMOUS',
      'sasl.enabled.mechanisms': 'SCRAM-SHA-256,SCRAM-SHA-512',
      'listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config': login,
      'listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config': login,
      'listener.name.sasl_ssl.ssl.client.auth': 'required',
      'ssl.keystore.type': 'PEM',
      'ssl.keystore.key': inOneLine(own.keyPem),
      'ssl.keystore.certificate.chain': inOneLine(own.certPem),
      'ssl.truststore.type': 'PEM',
      'ssl.truststore.certificates': trust(own),
    },
  });
  await createTopic(kafka.brokers, LETTERS);
  await addScramUser(kafka.brokers[0]!, USER, SECRETS.kafka);
  fleet = await startFleet({
    name: 'secured',
    brokers: kafka.brokers,
    replicas: 0,
    partitions: 2,
    config: secured(),
    redis: {
      user: `${REDIS_USER} ${shippedUser().rules.join(' ')} >${SECRETS.redis}`,
      'tls-port': String(redisPort),
      'tls-cert-file': files.cert,
      'tls-key-file': files.key,
      'tls-ca-cert-file': files.ca,
      'tls-auth-clients': 'yes',
    },
  });
}, 180_000);

afterAll(async () => {
  await fleet?.stop();
  await kafka?.stop();
  removeScratch(dir);
}, 60_000);

describe('without rights in Kafka', () => {
  test('check --connect says what is missing', async () => {
    const { status, output } = await run(['check', '--connect'], complete());
    expect(output).toMatch(/problem: .*(not authorized|there is no topic)/);
    expect(output).toMatch(/ok: Redis answers and can hold the ledger/);
    expect(status).toBe(1);
  }, 60_000);
});

describe('with exactly the rights that are shipped', () => {
  beforeAll(async () => {
    await grant();
    await fleet.add();
    await fleet.add({ kafka: { sasl: { mechanism: 'scram-sha-256' } } });
    await Promise.all(fleet.replicas.map(untilReady));
  }, 120_000);

  test('check --connect, health and state inspect have nothing to complain of', async () => {
    const commandsOf = [['check', '--connect'], ['state', 'inspect'], ['health']];
    const [check, inspect, health] = await Promise.all(commandsOf.map((args) => run(args, complete())));
    expect(check!.output).not.toMatch(/problem|warning/);
    expect(check!.status).toBe(0);
    expect(inspect!.status).toBe(0);
    expect(health).toEqual({ status: 0, output: '{"ready":true}\n' });
  }, 60_000);

  test('the fleet counts exactly, also over the death of a replica', async () => {
    const flow = await fleet.flow();
    await fleet.write(100);
    await killReplica(fleet.replicas[1]!);
    await fleet.replicas[1]!.start();
    await untilReady(fleet.replicas[1]!);
    await fleet.write(50);
    await flow.end();
    await fleet.settle(60_000);
  }, 120_000);

  test('a bad record is written to the dead-letter topic', async () => {
    const record = { ...plainRecord('acme', '/'), tenant: null, discard: 'null_value' as const, spans: 0 };
    await fleet.send({ ...record, value: null, series: new Set() });
    await fleet.settle();
    const discarded = [...fleet.truth.discarded.values()].reduce((sum, { records }) => sum + records, 0);
    // Traffic has bad records, too; those that the death of a replica had read again may have two letters.
    const [letters] = await endOffsets(kafka.brokers, LETTERS);
    expect(letters).toBeGreaterThanOrEqual(discarded);
    expect(letters).toBeLessThanOrEqual(2 * discarded);
  }, 60_000);

  test.each([
    ['/usage_metrics', '', 401],
    ['/usage_metrics', SECRETS.metrics, 200],
    ['/usage_metrics', SECRETS.admin, 401],
    ['/usage_metrics', `${SECRETS.metrics}x`, 401],
    ['/metrics', SECRETS.metrics, 200],
    ['/metrics', '', 401],
    ['/ready', '', 200],
    ['/live', '', 200],
    ['/no/such/thing', '', 401],
    ['/no/such/thing', SECRETS.metrics, 401],
    ['/no/such/thing', SECRETS.admin, 404],
  ])('GET %s with the token "%s": %d', async (path, token, status) => {
    const answer = await get(fleet.replicas[0]!, path, token);
    expect(answer.status).toBe(status);
    expect(answer.body).not.toMatch(/canary/);
  });

  test('plain HTTP gets nothing, a client that trusts another authority neither', async () => {
    const [replica] = fleet.replicas;
    await expect(fetch(`http://127.0.0.1:${replica!.port}/live`)).rejects.toThrow();
    await expect(get(replica!, '/live', '', another.certPem)).rejects.toThrow(/self-signed|verify/);
  });

  test('a health check of another server than the configured one fails', async () => {
    const strange = complete(({ server }) => {
      server.tls = { cert_file: files.anotherCa, key_file: file('another-key.pem', another.keyPem) };
    });
    expect(await run(['health'], strange)).toMatchObject({ status: 1 });
  }, 30_000);

  test('a right that is taken away is named in the log, and all is read when it is back', async () => {
    const filter = { resourcePatternType: ResourcePatternTypes.LITERAL, operation: AclOperationTypes.READ };
    for (const [resourceType, resourceName, advice] of [
      [AclResourceTypes.TOPIC, fleet.topic, /not authorized for a topic|not authorized to describe the topic/],
      [AclResourceTypes.GROUP, fleet.group, /not authorized for the consumer group/],
    ] as const) {
      await withAdmin(kafka.brokers, async (admin) => {
        const what = { ...filter, resourceType, resourceName, permissionType: AclPermissionTypes.ALLOW };
        const { filterResponses } = await admin.deleteAcls({
          filters: [{ ...what, principal: `User:${USER}`, host: '*' }],
        });
        expect(filterResponses[0]!.matchingAcls).toHaveLength(1);
      });
      const quiet = fleet.replicas.map((replica) => replica.log().length);
      await fleet.write(20);
      await waitFor(
        () => {
          const seen = fleet.replicas.map((replica, i) => replica.log().slice(quiet[i])).join('');
          return advice.test(seen) ? { done: true, value: undefined } : { done: false, seen: seen.slice(-2_000) };
        },
        { timeoutMs: 60_000, what: `${advice} in a log` },
      );
      await grant();
      await fleet.settle(60_000);
    }
  }, 240_000);

  test('new tokens and certificates are taken while it runs', async () => {
    const [replica] = fleet.replicas;
    const renewed = 'canary-scrapers-second-token';
    file('metrics', renewed);
    await waitFor(
      async () => {
        const { status } = await get(replica!, '/metrics', renewed);
        return status === 200 ? { done: true, value: undefined } : { done: false, seen: status };
      },
      { timeoutMs: 30_000, what: 'the new token to be taken' },
    );
    expect((await get(replica!, '/metrics', SECRETS.metrics)).status).toBe(401);
    const next = selfSigned();
    file('cert.pem', next.certPem);
    file('key.pem', next.keyPem);
    await waitFor(
      async () => {
        const seen = await get(replica!, '/live', '', next.certPem).catch(String);
        return typeof seen === 'object' ? { done: true, value: undefined } : { done: false, seen };
      },
      { timeoutMs: 30_000, what: 'the new certificate to be shown' },
    );
    file('cert.pem', 'no certificate at all');
    await waitFor(
      async () => {
        const { body } = await get(replica!, '/metrics', renewed, next.certPem);
        const refused = /^tracetally_server_files_refused_total (\d+)$/m.exec(body)![1];
        return Number(refused) > 0 ? { done: true, value: undefined } : { done: false, seen: refused };
      },
      { timeoutMs: 30_000, what: 'a bad certificate to be counted' },
    );
    file('cert.pem', own.certPem);
    file('key.pem', own.keyPem);
    file('metrics', SECRETS.metrics);
  }, 120_000);
});

const WRONG: readonly (readonly [string, (config: ReturnType<typeof sections>) => void, RegExp])[] = [
  [
    'a wrong password of Kafka',
    ({ kafka: k }) => {
      k.sasl = { mechanism: 'scram-sha-256', username: USER, password: 'canary-wrong' };
    },
    /problem: Kafka.*credentials of kafka\.sasl/,
  ],
  [
    'a mechanism that Kafka does not offer',
    ({ kafka: k }) => {
      k.sasl = { mechanism: 'plain', username: USER, password: 'canary-wrong' };
    },
    /problem: Kafka.*mechanism of kafka\.sasl/,
  ],
  [
    'another authority for Kafka',
    ({ kafka: k }) => {
      k.tls = { ...TLS, ca_file: files.anotherCa };
    },
    /problem: Kafka.*kafka\.tls\.ca_file/,
  ],
  [
    'no certificate for Kafka',
    ({ kafka: k }) => {
      k.tls = { enabled: true, ca_file: files.ca };
    },
    /problem: Kafka.*kafka\.tls\.cert_file/,
  ],
  [
    'a wrong password of Redis',
    ({ redis }) => {
      redis.password_file = undefined;
      redis.password = 'canary-wrong';
    },
    /problem: Redis.*redis\.username and redis\.password/,
  ],
  [
    'another authority for Redis',
    ({ redis }) => {
      redis.tls = { ...TLS, ca_file: files.anotherCa };
    },
    /problem: Redis.*redis\.tls\.ca_file/,
  ],
  [
    'no certificate for Redis',
    ({ redis }) => {
      redis.tls = { enabled: true, ca_file: files.ca };
    },
    /problem: Redis.*redis\.tls\.(enabled, )?cert_file/,
  ],
];

describe('what is wrong is named by its setting', () => {
  const outcomes: Awaited<ReturnType<typeof run>>[] = [];
  beforeAll(async () => {
    outcomes.push(...(await Promise.all(WRONG.map(([, change]) => run(['check', '--connect'], complete(change))))));
  }, 90_000);

  test.each(WRONG.map(([what, , expected], i) => [what, i, expected] as const))('%s', (_, i, expected) => {
    const { status, output } = outcomes[i]!;
    expect(output).toMatch(expected);
    expect(output).not.toMatch(/canary|PRIVATE KEY/);
    expect(status).toBe(1);
  });

  test('a service with a wrong password says so in its log, and waits', async () => {
    const wrong = {
      kafka: { sasl: { mechanism: 'scram-sha-512', username: USER, password_file: files.redisPassword } },
    };
    const replica = await fleet.add(wrong);
    await waitFor(
      () => {
        const log = replica.log();
        return /credentials of kafka\.sasl/.test(log) ? { done: true, value: undefined } : { done: false, seen: log };
      },
      { timeoutMs: 30_000, what: 'the advice in the log' },
    );
    expect(replica.running()).toBe(true);
    const ready = await get(replica, '/ready');
    expect(ready.status).toBe(503);
    expect(ready.body + replica.log()).not.toMatch(/canary|PRIVATE KEY/);
    replica.signal('SIGKILL');
  }, 60_000);
});

test('after all of it no log and no endpoint holds a secret, at the level debug', async () => {
  const [replica] = fleet.replicas;
  const pages = await Promise.all(
    ['/ready', '/live', '/metrics', '/usage_metrics'].map((path) => get(replica!, path, SECRETS.metrics)),
  );
  expect(pages.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  for (const text of [...pages.map(({ body }) => body), ...fleet.replicas.map((one) => one.log())])
    expect(text).not.toMatch(/canary|PRIVATE KEY/);
  expect(replica!.log()).toContain('"msg":"config"');
}, 60_000);
