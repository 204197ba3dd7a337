/** The pages about the service, as a client of the server meets them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { type ServiceState, statusPages } from '../../../src/api/status-pages.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { TenantOverrides } from '../../../src/overrides/current.ts';
import { usageProblems } from '../../../src/overrides/static.ts';
import { PublishServer } from '../../../src/publish/server.ts';
import { SERVER_LIMITS } from '../../support/server-limits.ts';

const CONFIG = `
kafka: { brokers: [k:9092], sasl: { mechanism: plain, username: user, password: hunter2hunter2 } }
redis: { url: "redis://name:in-the-url@h:1/2", password_file: /pw }
ledger: { flush_interval: 2500ms, max_pending_bytes: 32MiB }
overrides:
  per_tenant_override_config: /o.yaml
  defaults: { cost_attribution: { dimensions: { team: { label: squad, default: none, map: { a: b } }, span.x: "" } } }
`;
const FILE = 'overrides: { acme: { cost_attribution: { dimensions: { resource.a: "" }, max_cardinality: 7 } } }';
const TOKEN = 'an-admin-token-of-the-test';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

const started = async (token = '') => {
  const loaded = loadConfig(
    { file: 'c', env: {}, read: (path) => (path === '/pw' ? 'from-a-file' : CONFIG) },
    usageProblems,
  );
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const file = { text: FILE };
  const config = { ...loaded.config, overrides: { ...loaded.config.overrides, perTenantOverridePeriodMs: 20 } };
  const overrides = new TenantOverrides({
    config,
    watch: { looked: () => {}, taken: () => {}, userLooked: () => {}, userTaken: () => {} },
    changed: () => {},
    read: () => Buffer.from(file.text),
  });
  overrides.start();
  const services: ServiceState[] = [{ name: 'ledger', status: 'Failed', failure: 'the ledger\ndoes not answer' }];
  const server: PublishServer = new PublishServer(
    {
      snapshot: () => ({ forScraper: false, tables: [], done: () => {} }),
      exposition: {
        prefix: 'x',
        settings: { account: () => ({ limit: 0, staleS: 0 }), dimensionLabels: () => [], measures: () => [] },
        created: false,
      },
      selfMetrics: async () => ({ contentType: 'text/plain', body: '' }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: () => {} },
      endpoints: statusPages({
        values: loaded.values,
        overrides,
        services: () => services,
        endpoints: () => server.paths,
      }),
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0, tokens: { admin: token, metrics: '' } },
  );
  const port = await server.listen();
  open.push({
    close: () => {
      overrides.stop();
      return server.close(0);
    },
  });
  const get = async (path: string, init: RequestInit = {}) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, init);
    return { status: answer.status, text: await answer.text() };
  };
  return { get, file };
};

const yamlOf = (text: string): unknown => parse(text.slice(text.indexOf('---')));

describe('/status', () => {
  test('holds all pages, each under its name, and no secret', async () => {
    const { get } = await started();
    const { status, text } = await get('/status');
    expect(status).toBe(200);
    for (const page of ['version', 'services', 'endpoints', 'overrides', 'config'])
      expect(text).toContain(`GET /status/${page}\n${(await get(`/status/${page}`)).text.split('\n')[1]}`);
    for (const secret of ['hunter2', 'in-the-url', 'from-a-file', '/pw']) expect(text).not.toContain(secret);
  });

  test('says of each part how it does, in one line', async () => {
    const { text } = await (await started()).get('/status/services');
    expect(text).toMatch(/^service name +status +failure case$/m);
    expect(text).toMatch(/^ledger +Failed +the ledger\\u000adoes not answer$/m);
  });

  test('lists what is answered', async () => {
    const { get } = await started();
    const { text } = await get('/status/endpoints');
    for (const [, path] of text.matchAll(/^(\/\S*) +GET, HEAD$/gm))
      expect((await get(path!.endsWith('/') ? `${path}acme` : path!)).status).toBe(200);
    expect(text.match(/^\//gm)!.length).toBeGreaterThan(10);
  });

  test('tells the configuration in the words of its file, whole, what differs, and the defaults', async () => {
    const { get } = await started();
    const whole = yamlOf((await get('/status/config')).text);
    expect(whole).toMatchObject({
      ledger: { flush_interval: '2s500ms', max_pending_bytes: '32MiB', on_loss: 'continue' },
      kafka: { sasl: { username: 'user', password: '********' } },
      redis: { url: '********', password_file: '********' },
    });
    expect(yamlOf((await get('/status/config?mode=diff')).text)).toEqual({
      kafka: { brokers: ['k:9092'], sasl: { mechanism: 'plain', username: 'user', password: '********' } },
      redis: { url: '********', password_file: '********' },
      ledger: { flush_interval: '2s500ms', max_pending_bytes: '32MiB' },
      overrides: {
        per_tenant_override_config: '/o.yaml',
        defaults: {
          cost_attribution: {
            dimensions: { team: { label: 'squad', map: { a: 'b' }, default: 'none' }, 'span.x': '' },
          },
        },
      },
    });
    expect(yamlOf((await get('/status/config?mode=defaults')).text)).toMatchObject({
      ledger: { flush_interval: '5s' },
    });
    expect(await get('/status/config?mode=x')).toEqual({
      status: 400,
      text: '{"error":"unknown value for mode query parameter: x"}\n',
    });
  });

  test('what differs, written into a file, is the same configuration', async () => {
    const { get } = await started();
    const text = (await get('/status/config?mode=diff')).text.replace(/^.*\n/, '');
    const again = loadConfig({ file: 'c', env: {}, read: (path) => (path === 'c' ? text : 'x') }, usageProblems);
    // Masked secrets are no secrets; everything else is taken.
    expect('problems' in again ? again.problems : []).toEqual([expect.stringContaining('redis.url')]);
  });

  test('is behind the token of the administrator', async () => {
    const { get } = await started(TOKEN);
    for (const path of ['/status', '/status/config', '/status/overrides/acme', '/api/status/buildinfo']) {
      expect((await get(path)).status).toBe(401);
      expect((await get(path, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(200);
    }
  });

  test('refuses bodies, other methods, and paths that it has not', async () => {
    const { get } = await started();
    expect((await get('/status/version', { method: 'POST', body: 'x' })).status).toBe(405);
    for (const path of [
      '/status/',
      '/status/overrides/',
      '/status/overrides/a/b',
      '/status/overrides/%zz',
      '/status/x',
    ])
      expect((await get(path)).status).toBe(404);
  });
});

describe('/status/overrides', () => {
  const json = { headers: { accept: 'application/json' } };

  test('lists who has settings of their own', async () => {
    const { get } = await started();
    expect((await get('/status/overrides')).text).toMatch(/^acme +yes +no$/m);
    expect(JSON.parse((await get('/status/overrides', json)).text)).toMatchObject({
      file: '/o.yaml',
      problems: [],
      tenants: [{ name: 'acme', has_runtime_overrides: true, has_user_configurable_overrides: false }],
    });
  });

  test("says of a tenant what is in force, and where it comes from, in Tempo's fields", async () => {
    const { get } = await started();
    expect(JSON.parse((await get('/status/overrides/acme', json)).text)).toMatchObject({
      tenant: 'acme',
      source: 'tenant',
      runtime_overrides: 'cost_attribution:\n  dimensions:\n    resource.a: a\n  max_cardinality: 7\n',
      user_configurable_overrides: 'User-configurable overrides not enabled',
      effective: {
        'cost-attribution': { dimensions: { 'resource.a': 'a' }, max_cardinality: 7, stale_duration: '15m' },
      },
    });
    const other = await get('/status/overrides/else%2Fwhere', json);
    expect(other.status).toBe(200);
    expect(JSON.parse(other.text)).toMatchObject({ tenant: 'else/where', source: 'defaults', runtime_overrides: '' });
    expect((await get('/status/overrides/acme')).text).toContain('max_cardinality: 7');
  });

  test('shows why a file is refused, until it is sound again', async () => {
    const { get, file } = await started();
    const problems = async (): Promise<readonly string[]> =>
      JSON.parse((await get('/status/overrides', json)).text).problems;
    const until = async (count: number): Promise<readonly string[]> => {
      const endMs = Date.now() + 20_000;
      for (;;) {
        const found = await problems();
        if (found.length === count || Date.now() > endMs) return found;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    file.text = 'overrides: { acme: 7 }';
    expect(await until(1)).toEqual([expect.stringContaining('validating overrides for acme failed')]);
    expect((await get('/status/overrides')).text).toContain('problem: overrides.per_tenant_override_config: /o.yaml: ');
    expect((await get('/status/overrides/acme')).text).toContain('max_cardinality: 7');
    file.text = FILE;
    expect(await until(0)).toEqual([]);
  });
});

test('/api/status/buildinfo names the version', async () => {
  const { get } = await started();
  expect(JSON.parse((await get('/api/status/buildinfo')).text)).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    nodeVersion: process.versions.node,
  });
});
