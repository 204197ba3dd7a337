/**
 * No secret comes out: a canary in every secret setting that the schema knows of, given well and given wrong, and all
 * output of every command and endpoint searched for it. A new setting, command or endpoint is in the search by itself.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { COMMANDS } from '../../src/cli.ts';
import { place, ROWS } from '../../src/config/schema.ts';
import { selfSigned } from '../support/certificate.ts';
import { freePort } from '../support/services/ports.ts';
import { removeScratch, scratchDirectory } from '../support/services/process.ts';
import { waitFor } from '../support/wait-for.ts';

const MAIN = join(import.meta.dirname, '../../dist/main.js');
const SECRET_FILE = /(password|token|secret|key)_file$/;
const SECRETS = ROWS.filter(({ path, sensitive }) => sensitive === true || SECRET_FILE.test(path)).map(
  ({ path }) => path,
);

const dir = scratchDirectory('secrets');
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
const certificate = selfSigned();
/** A line of the key is as good as the key. */
const KEY_LINE = certificate.keyPem.split('\n')[1]!;
const files = {
  cert: file('cert.pem', certificate.certPem),
  key: file('key.pem', certificate.keyPem),
  secret: file('secret', 'canary-in-a-file-of-its-own\n'),
};
const LEAKS = new RegExp(`canary|${KEY_LINE.replace(/[+/]/g, '\\$&')}|PRIVATE KEY`, 'i');

type Config = Record<string, unknown>;

/** Kafka and Redis are named where nobody listens: what fails tells the most. */
const config = (port: number, nowhere: number, secrets: Readonly<Record<string, unknown>>): Config => {
  const root: Config = {};
  const settings: Record<string, unknown> = {
    'server.host': '127.0.0.1',
    'server.port': port,
    'server.tls.cert_file': files.cert,
    'server.tls.key_file': files.key,
    'server.shutdown_timeout': '2s',
    'kafka.brokers': [`127.0.0.1:${nowhere}`],
    'kafka.sasl.mechanism': 'plain',
    'kafka.sasl.username': 'u',
    'kafka.tls.enabled': true,
    'schema_registry.username': 'u',
    'kafka.tls.cert_file': files.cert,
    'kafka.tls.key_file': files.key,
    'redis.tls.enabled': true,
    'redis.tls.cert_file': files.cert,
    'redis.tls.key_file': files.key,
    'log.level': 'debug',
    ...secrets,
  };
  for (const [path, value] of Object.entries(settings)) if (value !== undefined) place(root, path, value);
  return root;
};

const wellGiven = (path: string, nowhere: number): unknown => {
  if (path === 'redis.url') return `rediss://somebody:canary-in-a-url@127.0.0.1:${nowhere}/0`;
  if (path === 'schema_registry.url') return `http://127.0.0.1:${nowhere}`;
  if (path.endsWith('key_file')) return files.key;
  return path.endsWith('_file')
    ? files.secret
    : `canary-${createHash('sha256').update(path).digest('hex').slice(0, 20)}`;
};

/** Secrets that exclude each other are given in different ones of these. */
const good = (port: number, nowhere: number): readonly Config[] => {
  const all = Object.fromEntries(SECRETS.map((path) => [path, wellGiven(path, nowhere)]));
  const plain = {
    ...all,
    'kafka.sasl.password_file': undefined,
    'redis.password_file': undefined,
    'schema_registry.password_file': undefined,
  };
  const url = { ...plain, 'redis.url': `rediss://127.0.0.1:${nowhere}` };
  const byFile = {
    ...all,
    'kafka.sasl.password': undefined,
    'redis.password': undefined,
    'schema_registry.password': undefined,
    'redis.url': url['redis.url'],
  };
  return [
    config(port, nowhere, { ...plain, 'redis.password': undefined }),
    config(port, nowhere, url),
    config(port, nowhere, byFile),
  ];
};

const bad = (port: number, nowhere: number): readonly string[] => {
  const wrongType = Object.fromEntries(SECRETS.map((path) => [path, [`canary-${path}`]]));
  const asMap = Object.fromEntries(SECRETS.map((path) => [path, { canary: 'canary' }]));
  const wrongPlace = {
    'kafka.brokers': ['u:canary@h:1', 'canary@h'],
    'redis.url': 'http://u:canary@h',
    'redis.cluster': ['u:canary@h:1'],
    'schema_registry.url': 'http://u:canary@h',
  };
  return [
    ...[wrongType, asMap, wrongPlace].map((secrets) => stringify(config(port, nowhere, secrets))),
    'redis: { pasword: canary, url: "redis://u:canary@" }\nkafka: { sasl: { pass: canary } }\n',
    'redis:\n  password: "canary\n',
    'redis:\n  password: canary: canary\n',
    'redis: { url: "redis://u:canary@h:99999/x?canary#canary" }\n',
    `server: { admin_token_file: ${files.cert}, tls: { cert_file: ${files.key}, key_file: ${files.cert} } }\n`,
    `kafka: { tls: { enabled: true, ca_file: ${files.key}, cert_file: ${files.key}, key_file: ${files.secret} } }\n`,
  ];
};

const run = (args: readonly string[], env: Record<string, string> = {}): Promise<string> => {
  const child = spawn(process.execPath, ['--no-warnings', MAIN, ...args], {
    env: { PATH: process.env.PATH, ...env },
    timeout: 30_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => resolve(output));
  });
};

/** Every command but the service itself, with all that it can be told. */
const calls = (path: string): readonly (readonly string[])[] =>
  COMMANDS.filter(({ name }) => name !== 'serve' && name !== 'version').flatMap((command) => {
    const own = [...command.name.split(' '), ...('config' in command.options ? ['--config', path] : [])];
    const operands = command.operands === undefined ? [] : [path];
    const flags = Object.entries(command.options).flatMap(([name, { type }]) =>
      type === 'boolean' ? [`--${name}`] : [],
    );
    return [
      [...own, ...operands],
      [...own, ...flags, ...operands],
    ];
  });

/** Two at a time. */
const outputs = async (all: readonly (readonly string[])[], env: Record<string, string> = {}): Promise<string[]> => {
  const found: string[] = [];
  const queue = [...all];
  const lane = async (): Promise<void> => {
    for (let args = queue.shift(); args !== undefined; args = queue.shift())
      found.push(`$ ${args.join(' ').replaceAll(dir, '')}\n${await run(args, env)}`);
  };
  await Promise.all([lane(), lane()]);
  return found;
};

let port: number;
let nowhere: number;
beforeAll(async () => {
  [port, nowhere] = [await freePort(), await freePort()];
});
afterAll(() => removeScratch(dir));

test('the schema calls secret what sounds like it', () => {
  const sounds = ROWS.filter(({ path }) => /password|token|secret|private/.test(path) && !path.endsWith('_file'));
  expect(sounds.filter(({ sensitive }) => sensitive !== true).map(({ path }) => path)).toEqual([]);
  expect(SECRETS.length).toBeGreaterThan(8);
});

describe('commands', () => {
  test.each([0, 1, 2])(
    'with secrets that are given well, way %d: all of them fail for want of servers, none tells',
    async (way) => {
      const path = file(`good-${way}.yaml`, stringify(good(port, nowhere)[way]));
      const all =
        way === 1
          ? calls(path)
          : [
              ['check', '--connect', '--config', path],
              ['state', 'inspect', '--config', path],
            ];
      const found = await outputs(all);
      // `migrate` prints the file that it is given, as it must; ours is none of Tempo.
      for (const output of found) if (!output.startsWith('$ migrate')) expect(output).not.toMatch(LEAKS);
      const check = found.find((output) => output.startsWith('$ check') && output.includes('--connect'))!;
      expect(check).toContain('ok: the configuration');
      expect(check).toMatch(/problem: Kafka/);
      expect(check).toMatch(/problem: Redis/);
    },
    240_000,
  );

  test('with secrets that are given wrong, none tells', async () => {
    const paths = bad(port, nowhere).map((text, i) => file(`bad-${i}.yaml`, text));
    const found = await outputs(paths.flatMap((path) => [['check', '--config', path]]));
    for (const output of found) {
      expect(output).not.toMatch(LEAKS);
      expect(output).toMatch(/the configuration has \d+ problem/);
    }
  }, 240_000);

  test('with secrets in the environment, none tells', async () => {
    const env: Record<string, string> = {
      TRACETALLY_REDIS_PASWORD: 'canary',
      TRACETALLY_KAFKA_BROKERS: 'u:canary@h:1',
    };
    for (const { path, env: name } of ROWS) if (SECRETS.includes(path)) env[name] = `canary-${path}`;
    for (const output of await outputs([['check'], ['serve'], ['state', 'inspect']], env))
      expect(output).not.toMatch(LEAKS);
  }, 60_000);
});

test('the service at the level debug, its log and its endpoints, while nothing can be reached', async () => {
  const path = file('serve.yaml', stringify(good(port, nowhere)[1]));
  const child = spawn(process.execPath, ['--no-warnings', MAIN, 'serve', '--config', path], {
    env: { PATH: process.env.PATH, NODE_EXTRA_CA_CERTS: files.cert },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (log += chunk));
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  try {
    await waitFor(() => (log.includes('start_waits') ? { done: true, value: undefined } : { done: false, seen: log }), {
      timeoutMs: 30_000,
      what: 'the service to wait for Kafka',
    });
    const script = `for (const p of process.argv.slice(1)) for (const t of ['', 'canary-in-a-file-of-its-own']) {
      const a = await fetch('https://127.0.0.1:${port}' + p, { headers: t ? { Authorization: 'Bearer ' + t } : {} });
      console.log(p, a.status, JSON.stringify([...a.headers]), await a.text());
    }`;
    const paths = [
      '/ready',
      '/live',
      '/metrics',
      '/usage_metrics',
      '/',
      '/status',
      '/status/config',
      '/api/v1/tenants',
    ];
    const asked = spawn(process.execPath, ['--input-type=module', '-e', script, ...paths], {
      env: { NODE_EXTRA_CA_CERTS: files.cert },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let pages = '';
    for (const stream of [asked.stdout, asked.stderr]) stream.on('data', (chunk: Buffer) => (pages += chunk));
    await new Promise((resolve) => asked.once('close', resolve));
    expect(pages).toMatch(/^\/metrics 200/m);
    expect(pages).toMatch(/^\/metrics 401/m);
    expect(pages).not.toMatch(LEAKS);
  } finally {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
    await ended;
    clearTimeout(timer);
  }
  expect(log).toContain('"msg":"config"');
  expect(log).not.toMatch(LEAKS);
}, 90_000);
