/** `/api/overrides` over HTTP: the methods, texts and status codes of Tempo's. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { overridesApi } from '../../../src/api/overrides-api.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { MemoryDocuments } from '../../../src/ledger/memory-documents.ts';
import { LedgerUnavailable } from '../../../src/ledger/port.ts';
import { TenantOverrides } from '../../../src/overrides/current.ts';
import { PublishServer } from '../../../src/publish/server.ts';
import { SERVER_LIMITS } from '../../support/server-limits.ts';

const CONFIG = `
overrides:
  per_tenant_override_config: /o
  user_configurable_overrides: { enabled: true, poll_interval: 100ms }
  defaults: { cost_attribution: { dimensions: { resource.service.name: service } } }
`;
const FILE =
  'overrides: { limited: { cost_attribution: { dimensions: { a: "" }, max_cardinality: 9, stale_duration: 1h } } }';

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

type Asking = { readonly tenant?: string | null; readonly ifMatch?: string; readonly body?: unknown };

const started = async ({ checkConflicts = false, defaultTenant = '', most = 10 } = {}) => {
  const loaded = loadConfig({ file: 'c', env: {}, read: () => CONFIG });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  let us = 1_000;
  const store = new MemoryDocuments(() => us++, most);
  const overrides = new TenantOverrides({
    config: loaded.config,
    store,
    watch: { looked: () => {}, taken: () => {}, userLooked: () => {}, userTaken: () => {} },
    changed: () => {},
    read: () => Buffer.from(FILE),
  });
  overrides.start();
  await overrides.startUsers();
  const log: object[] = [];
  const server = new PublishServer(
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
      log: { error: (fields) => void log.push(fields) },
      endpoints: [
        overridesApi({ store, overrides, defaultTenant, checkConflicts, trackers: [], log: { info: () => {} } }),
      ],
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0 },
  );
  const port = await server.listen();
  open.push({
    close: () => {
      overrides.stop();
      expect(log).toEqual([]);
      return server.close(0);
    },
  });
  const ask = async (method: string, { tenant = 'acme', ifMatch, body }: Asking = {}, query = '') => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/overrides${query}`, {
      method,
      headers: {
        ...(tenant === null ? {} : { 'X-Scope-OrgID': tenant }),
        ...(ifMatch === undefined ? {} : { 'If-Match': ifMatch }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    return { status: answer.status, etag: answer.headers.get('etag'), text: await answer.text() };
  };
  const labels = (tenant: string) =>
    overrides.settings(tenant).trackers.flatMap(({ dimensions }) => dimensions.map(({ label }) => label));
  return { ask, labels, store, overrides };
};

const dims = (dimensions: object) => ({ cost_attribution: { dimensions } });
const error = (text: string): string => `${JSON.stringify({ error: text })}\n`;

test('a document lives from its making to its removal', async () => {
  const { ask, labels } = await started();
  expect(await ask('GET')).toEqual({ status: 404, etag: null, text: '' });
  expect(labels('acme')).toEqual(['service']);

  const made = await ask('POST', { ifMatch: '0', body: dims({ team: 'squad', 'span.x': '' }) });
  expect(made).toEqual({ status: 200, etag: expect.stringMatching(/^\d+$/), text: '' });
  expect(labels('acme')).toEqual(['squad', 'x']);
  expect(labels('other')).toEqual(['service']);
  const got = await ask('GET');
  expect(got).toEqual({
    status: 200,
    etag: made.etag,
    text: `${JSON.stringify(dims({ team: 'squad', 'span.x': '' }))}\n`,
  });

  const patched = await ask('PATCH', { body: dims({ team: null, env: { label: 'e', default: 'none' } }) });
  expect(patched.status).toBe(200);
  expect(JSON.parse(patched.text)).toEqual(dims({ 'span.x': '', env: { label: 'e', default: 'none' } }));
  expect(labels('acme')).toEqual(['x', 'e']);

  expect((await ask('POST', { ifMatch: made.etag!, body: {} })).status).toBe(412);
  const replaced = await ask('POST', { ifMatch: `"${patched.etag}"`, body: {} });
  expect(replaced.status).toBe(200);
  expect(labels('acme')).toEqual(['service']);

  expect(await ask('DELETE', { ifMatch: patched.etag! })).toEqual({
    status: 412,
    etag: null,
    text: error('version does not match'),
  });
  expect(await ask('DELETE', { ifMatch: replaced.etag! })).toEqual({ status: 200, etag: null, text: '' });
  expect((await ask('GET')).status).toBe(404);
  expect((await ask('DELETE', { ifMatch: replaced.etag! })).status).toBe(404);
  expect((await ask('PATCH', { body: dims({ again: '' }) })).status).toBe(200);
  expect(labels('acme')).toEqual(['again']);
});

describe('is refused', () => {
  test.each<[string, Asking, string, number, string]>([
    ['POST', { body: {} }, '', 428, 'must specify If-Match header'],
    ['DELETE', {}, '', 428, 'must specify If-Match header'],
    ['POST', { body: {}, ifMatch: 'x' }, '', 412, 'version is not valid'],
    ['POST', { body: {}, ifMatch: '17' }, '', 412, 'version does not match'],
    ['POST', { body: { x: 1 }, ifMatch: '0' }, '', 400, 'json: unknown field "x"'],
    [
      'PATCH',
      { body: dims({ 'span.name': '__name__' }) },
      '',
      400,
      "cost_attribution.dimensions config has invalid label name: '__name__'",
    ],
    ['GET', {}, '?scope=x', 400, 'unknown scope "x", valid options are api and merged'],
    ['GET', { tenant: 'invalid/org' }, '', 400, "tenant ID 'invalid/org' contains unsupported character '/'"],
    [
      'POST',
      { tenant: 'invalid/org', ifMatch: '0', body: {} },
      '',
      400,
      "tenant ID 'invalid/org' contains unsupported character '/'",
    ],
    [
      'PATCH',
      { tenant: 'invalid/org', body: {} },
      '',
      400,
      "tenant ID 'invalid/org' contains unsupported character '/'",
    ],
    [
      'DELETE',
      { tenant: 'invalid/org', ifMatch: '0' },
      '',
      400,
      "tenant ID 'invalid/org' contains unsupported character '/'",
    ],
    ['GET', { tenant: '__records__' }, '', 400, "tenant ID '__records__' is reserved"],
    ['GET', { tenant: null }, '', 401, 'no org id'],
    ['PUT', { body: {} }, '', 405, 'PUT is not answered here, only GET, HEAD, POST, PATCH and DELETE'],
    ['DELETE', { ifMatch: '0', body: {} }, '', 400, 'a request body is not expected'],
    ['POST', { ifMatch: '0', body: 'x'.repeat(70_000) }, '', 413, 'the body may have 65536 bytes'],
  ])('%s %j%s', async (method, asking, query, status, text) => {
    const { ask, labels } = await started();
    expect(await ask(method, asking, query)).toEqual({ status, etag: null, text: error(text) });
    expect(labels('acme')).toEqual(['service']);
  });

  test.each(['POST', 'PATCH'])('%s of what is no JSON', async (method) => {
    const { ask } = await started();
    const { status, text } = await ask(method, { ifMatch: '0', body: '{"cost_attribution":' });
    expect([status, text]).toEqual([400, expect.stringContaining('the body is not JSON')]);
  });
});

test('without a header it is the tenant of records without one', async () => {
  const { ask, labels } = await started({ defaultTenant: 'single-tenant' });
  expect((await ask('PATCH', { tenant: null, body: dims({ a: '' }) })).status).toBe(200);
  expect(labels('single-tenant')).toEqual(['a']);
});

test('what is merged has everything that is in force, limits and all', async () => {
  const { ask } = await started();
  expect((await ask('GET', { tenant: 'limited' }, '?scope=merged')).status).toBe(404);
  const made = await ask('PATCH', { tenant: 'limited', body: dims({ own: '' }) });
  const merged = await ask('GET', { tenant: 'limited' }, '?scope=merged');
  expect([merged.status, merged.etag]).toEqual([200, made.etag]);
  expect(JSON.parse(merged.text)).toEqual({
    cost_attribution: { dimensions: { own: 'own' }, max_cardinality: 9, stale_duration: '1h' },
  });
});

test("a first document beside the operator's dimensions is refused where that is asked for", async () => {
  const { ask } = await started({ checkConflicts: true });
  const first = { tenant: 'limited', ifMatch: '0', body: dims({ own: '' }) };
  const refused = {
    status: 400,
    etag: null,
    text: error(
      'tenant has conflicting overrides set in runtime config, contact your system administrator to perform changes through the API',
    ),
  };
  expect(await ask('POST', first)).toEqual(refused);
  expect(await ask('PATCH', first)).toEqual(refused);
  expect((await ask('POST', { ...first, tenant: 'acme' })).status).toBe(200);
  const made = await ask('POST', first, '?skip-conflicting-overrides-check=true');
  expect(made.status).toBe(200);
  expect((await ask('POST', { ...first, ifMatch: made.etag! })).status).toBe(200);
});

test('a change that came between is told', async () => {
  const { ask, store } = await started();
  await ask('POST', { ifMatch: '0', body: dims({ a: '' }) });
  const get = store.get.bind(store);
  store.get = async (name) => {
    const found = await get(name);
    await store.write(name, found!.version, JSON.stringify(dims({ between: '' })));
    return found;
  };
  expect(await ask('PATCH', { body: dims({ b: '' }) })).toEqual({
    status: 500,
    etag: null,
    text: error('overrides have been modified during request processing, try again'),
  });
});

test('what another version stored is not changed by half, and can be replaced', async () => {
  const { ask, store } = await started();
  await store.write('acme', '0', '{"newer":1}');
  const { version } = (await store.get('acme'))!;
  expect((await ask('GET')).status).toBe(500);
  expect((await ask('PATCH', { body: {} })).status).toBe(500);
  expect((await store.get('acme'))!.content).toBe('{"newer":1}');
  expect((await ask('POST', { ifMatch: version, body: {} })).status).toBe(200);
});

test('a store that is away or full is told', async () => {
  const { ask, store, labels } = await started({ most: 1 });
  expect((await ask('POST', { ifMatch: '0', body: dims({ a: '' }) })).status).toBe(200);
  expect(await ask('POST', { tenant: 'b', ifMatch: '0', body: {} })).toMatchObject({
    status: 507,
    text: error('there is room for the overrides of 1 tenants'),
  });
  store.get = () => Promise.reject(new LedgerUnavailable('Redis is not available'));
  expect((await ask('GET')).status).toBe(503);
  expect(labels('acme')).toEqual(['a']);
});
