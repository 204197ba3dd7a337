import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { COMMANDS, runCli } from '../../../src/cli.ts';
import { ROWS } from '../../../src/config/schema.ts';
import { capture } from './capture.ts';

describe('help', () => {
  test.each([[['--help']], [['-h']], [['help']]])('%j lists every command', async (argv) => {
    const { io, out } = capture();
    expect(await runCli(argv, io)).toBe(0);
    for (const { name, summary } of COMMANDS) expect(out()).toMatch(new RegExp(`^  ${name} +${summary}$`, 'm'));
  });

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    '%s says its options',
    async (name, command) => {
      const { io, out } = capture();
      expect(await runCli([...name.split(' '), '--help'], io)).toBe(0);
      expect(out()).toContain(`usage: tracetally ${name} [OPTIONS]`);
      for (const option of Object.keys(command.options)) expect(out()).toContain(`--${option}`);
    },
  );

  test.each(['state', 'dlq'])('%s says what there is', async (group) => {
    const { io, out } = capture();
    expect(await runCli([group, '--help'], io)).toBe(0);
    for (const { name } of COMMANDS.filter((command) => command.name.startsWith(`${group} `)))
      expect(out()).toContain(`  ${name} `);
  });

  test.each(['serve', 'check'])('%s knows every setting with its default', async (command) => {
    const { io, out } = capture();
    await runCli([command, '--help'], io);
    for (const { path, format } of ROWS) expect(out()).toContain(`  ${path} (${format}, default `);
  });
});

describe('wrong usage', () => {
  test.each<[readonly string[], string]>([
    [['frobnicate'], 'unknown command "frobnicate"'],
    [['state'], 'there is: state inspect'],
    [['state', 'move'], 'there is: state inspect'],
    [['check', '--frobnicate'], "Unknown option '--frobnicate'"],
    [['check', 'extra'], "Unexpected argument 'extra'"],
    [['check', '--config'], "Option '--config <value>' argument missing"],
    [['--frobnicate'], "Unknown option '--frobnicate'"],
  ])('%j is 2 and says what is wrong', async (argv, message) => {
    const { io, out, err } = capture();
    expect(await runCli(argv, io)).toBe(2);
    expect(err()).toContain(message);
    expect(out()).toBe('');
  });
});

describe('version', () => {
  test.each([[['version']], [['--version']]])('%j', async (argv) => {
    const { io, out } = capture();
    expect(await runCli(argv, io)).toBe(0);
    expect(out()).toMatch(/^tracetally \d+\.\d+\.\d+ \(node \d+\.\d+\.\d+\)$/);
  });
});

describe('check', () => {
  test('finds nothing wrong with the defaults', async () => {
    const { io, out, err } = capture();
    expect(await runCli(['check'], io)).toBe(0);
    expect([out(), err()]).toEqual(['ok: the configuration', '']);
  });

  test('lists every problem and exits with 1', async () => {
    const { io, out, err } = capture({ TRACETALLY_SERVER_PORT: 'x', TRACETALLY_LOG_LEVEL: 'loud' });
    expect(await runCli(['check'], io)).toBe(1);
    expect(err()).toMatch(/^the configuration has 2 problems:\n {2}server\.port: .*\n {2}log\.level: .*$/);
    expect(out()).toBe('');
  });

  test('looks at dimensions and tenants, too, in the same list', async () => {
    const { io, err } = capture({ TRACETALLY_TENANTS_DEFAULT: 'a/b', TRACETALLY_SERVER_PORT: 'x' });
    expect(await runCli(['check'], io)).toBe(1);
    expect(err()).toMatch(/^the configuration has 2 problems:\n {2}server\.port: .*\n {2}tenants\.default: .*$/);
  });

  test('warns of what is likely a slip', async () => {
    const { io, err } = capture({ TRACETALLY_KAFKA_BROKER: 'x' });
    expect(await runCli(['check'], io)).toBe(0);
    expect(err()).toMatch(/^warning: the variable TRACETALLY_KAFKA_BROKER means nothing/);
  });
});

test('a wrong configuration stops every command that needs one', async () => {
  for (const argv of [['serve'], [], ['check'], ['health'], ['state', 'inspect']]) {
    const { io, err } = capture({ TRACETALLY_LEDGER_ON_LOSS: 'panic' });
    expect([argv, await runCli(argv, io)]).toEqual([argv, 1]);
    expect(err()).toContain('ledger.on_loss: must be one of');
  }
});

test('state inspect has nothing to look at where the ledger is embedded', async () => {
  const { io, err } = capture();
  expect(await runCli(['state', 'inspect'], io)).toBe(1);
  expect(err()).toContain('no Redis is configured');
});

describe('health', () => {
  let server: Server;
  let port: number;
  beforeAll(async () => {
    server = createServer((request, response) => {
      response.statusCode = request.url === '/live' ? 200 : 503;
      response.end(request.url === '/live' ? 'live\n' : 'the ledger does not answer\n');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  test('tells why a service is not ready, by the port of the configuration', async () => {
    const { io, out } = capture({ TRACETALLY_SERVER_PORT: String(port) });
    expect(await runCli(['health'], io)).toBe(1);
    expect(out()).toBe('the ledger does not answer');
  });

  test('asks whether it is alive', async () => {
    const { io, out } = capture();
    expect(await runCli(['health', '--live', '--url', `http://127.0.0.1:${port}/`], io)).toBe(0);
    expect(out()).toBe('live');
  });

  test.each([
    ['http://127.0.0.1:1', 'does not answer'],
    ['nonsense', 'is no URL'],
  ])('finds nobody at %s', async (url, message) => {
    const { io, err } = capture();
    expect(await runCli(['health', '--url', url], io)).toBe(1);
    expect(err()).toContain(message);
  });
});
