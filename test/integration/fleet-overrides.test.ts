/** Overrides change under running replicas while traffic flows: without a restart, and to the last byte. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseExposition, type Sample } from '../support/exposition.ts';
import { type Fleet, PREFIX, startFleet } from '../support/fleet.ts';
import { type FleetLedger, openFleetLedger, readTotals } from '../support/fleet-ledger.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { waitUntil } from '../support/wait-for.ts';

const REPLICAS = 3;
const dir = mkdtempSync(join(tmpdir(), 'tracetally-overrides-'));
const file = join(dir, 'overrides.yaml');

let fleet: Fleet;
let ledger: FleetLedger;

/** As a mounted file changes: at once. */
const put = (content: string): void => {
  writeFileSync(`${file}.new`, content);
  renameSync(`${file}.new`, file);
};

beforeAll(async () => {
  put('overrides: {}\n');
  fleet = await startFleet({
    name: 'overrides',
    brokers: sharedKafka(),
    replicas: REPLICAS,
    partitions: 6,
    config: {
      usage: {
        trackers: {
          routes: { max_cardinality: 3, without_dimensions: 'count' },
          teams: { measures: ['spans'] },
          off: { enabled: false },
        },
      },
      overrides: {
        defaults: { trackers: { routes: { dimensions: { 'span.http.route': 'route' } } } },
        per_tenant_override_config: file,
        per_tenant_override_period: '200ms',
        user_configurable_overrides: { enabled: true, poll_interval: '500ms' },
      },
    },
  });
  ledger = openFleetLedger(fleet.redis.url, PREFIX);
}, 120_000);

afterAll(async () => {
  await ledger?.close();
  await fleet?.stop();
  rmSync(dir, { recursive: true });
}, 60_000);

/** Names of the labels that series of the tenant have. */
const labelsOf = async (of: string, tracker = 'cost-attribution'): Promise<ReadonlySet<string>> => {
  const totals = await readTotals(ledger);
  const series = totals
    .filter((account) => account.tenant === of && account.tracker === tracker)
    .flatMap((account) => account.series);
  return new Set(series.map(({ labels }) => Object.keys(labels).join()));
};

test('a change reaches every replica, a broken one none, and every byte is counted all the while', async () => {
  const flow = await fleet.flow(200);
  await fleet.send(plainRecord('changing', '/a'));
  await waitUntil(async () => (await labelsOf('changing')).has('env,route,service,team'), {
    timeoutMs: 60_000,
    what: 'series by the defaults',
  });

  put('overrides: { changing: { cost_attribution: { dimensions: { span.http.route: path }, max_cardinality: 5 } } }\n');
  await waitUntil(async () => (await fleet.metric('tracetally_overrides_reloads_total')) === 2 * REPLICAS, {
    timeoutMs: 60_000,
    what: 'every replica to take the file',
  });
  for (let partition = 0; partition < 6; partition++) await fleet.send(plainRecord('changing', '/b'), partition);
  await waitUntil(async () => (await labelsOf('changing')).has('path'), {
    timeoutMs: 60_000,
    what: 'series by the new dimensions',
  });

  put('overrides: { changing: { cost_attribution: { dimensions: { span.http.route: __path } } } }\n');
  await waitUntil(async () => (await fleet.metric('tracetally_overrides_failed')) === REPLICAS, {
    timeoutMs: 60_000,
    what: 'every replica to refuse the file',
  });
  await fleet.send(plainRecord('changing', '/c'));
  expect(fleet.lines('overrides_refused')[0]).toMatchObject({
    problems: [expect.stringContaining('validating overrides for changing failed')],
  });
  rmSync(file);
  await fleet.send(plainRecord('changing', '/d'));

  put('overrides: {}\n');
  await waitUntil(async () => (await fleet.metric('tracetally_overrides_failed')) === 0, {
    timeoutMs: 60_000,
    what: 'every replica to take the good file',
  });
  await flow.end();
  await fleet.settle();
  expect(await labelsOf('changing')).toEqual(new Set(['env,route,service,team', 'path']));
  expect(await fleet.metric('tracetally_overrides_reloads_total')).toBe(3 * REPLICAS);
}, 180_000);

const TENANT = { 'X-Scope-OrgID': 'by-api' };
const dimensions = (of: object): string => JSON.stringify({ cost_attribution: { dimensions: of } });

test('what a tenant sets for itself at one replica is in force at each, and every byte is counted all the while', async () => {
  const ask = async (replica: number, method: string, headers: Record<string, string> = {}, body?: string) => {
    const init = { method, headers: { ...TENANT, ...headers }, ...(body === undefined ? {} : { body }) };
    const answer = await fetch(`${fleet.replicas[replica]!.url}/api/overrides`, init);
    await answer.arrayBuffer();
    return { status: answer.status, etag: answer.headers.get('etag') ?? '' };
  };
  const inForce = async (labels: string): Promise<boolean> => {
    const pages = await Promise.all(
      fleet.replicas.map((replica) => replica.scrape('/status/overrides/by-api', { accept: 'application/json' })),
    );
    return pages.every((page) => {
      const { effective } = JSON.parse(page) as { effective: { 'cost-attribution': { dimensions: object } } };
      return JSON.stringify(effective['cost-attribution'].dimensions) === labels;
    });
  };
  const sendToAll = async (route: string): Promise<void> => {
    for (let partition = 0; partition < 6; partition++) await fleet.send(plainRecord('by-api', route), partition);
  };

  const flow = await fleet.flow(200);
  await sendToAll('/a');
  const made = await ask(0, 'POST', { 'If-Match': '0' }, dimensions({ 'span.http.route': 'path' }));
  expect(made.status).toBe(200);
  expect((await ask(1, 'POST', { 'If-Match': '0' }, dimensions({}))).status).toBe(412);
  await waitUntil(() => inForce('{"span.http.route":"path"}'), {
    timeoutMs: 60_000,
    what: 'every replica to have the document',
  });
  await sendToAll('/b');
  await waitUntil(async () => (await labelsOf('by-api')).has('path'), { timeoutMs: 60_000, what: 'series by it' });

  const patch = dimensions({ 'span.http.route': null, 'service.name': { label: 'app', lowercase: true } });
  expect((await ask(1, 'PATCH', {}, patch)).status).toBe(200);
  await waitUntil(() => inForce('{"service.name":{"label":"app","lowercase":true}}'), {
    timeoutMs: 60_000,
    what: 'every replica to have the patch',
  });
  await sendToAll('/c');
  await waitUntil(async () => (await labelsOf('by-api')).has('app'), { timeoutMs: 60_000, what: 'series by it' });

  const { etag } = await ask(2, 'GET');
  expect((await ask(2, 'DELETE', { 'If-Match': made.etag })).status).toBe(412);
  expect((await ask(2, 'DELETE', { 'If-Match': etag })).status).toBe(200);
  await waitUntil(async () => (await fleet.metric('tracetally_user_overrides')) === 0, {
    timeoutMs: 60_000,
    what: 'every replica to have forgotten it',
  });
  await flow.end();
  await fleet.settle();
  expect(await labelsOf('by-api')).toEqual(new Set(['env,route,service,team', 'path', 'app']));
  expect(await fleet.metric('tracetally_user_overrides_failed')).toBe(0);
}, 180_000);

test('each tracker has its own dimensions, series and limit, and counts everything', async () => {
  const tenant = 'tracked';
  const made = await fetch(`${fleet.replicas[0]!.url}/api/overrides`, {
    method: 'POST',
    headers: { 'X-Scope-OrgID': tenant, 'If-Match': '0' },
    body: JSON.stringify({ trackers: { teams: { dimensions: { 'resource.service.name': 'svc' } } } }),
  });
  expect(made.status).toBe(200);
  const hasTeams = async (): Promise<boolean> => {
    const pages = await Promise.all(fleet.replicas.map((replica) => replica.scrape(`/status/overrides/${tenant}`)));
    return pages.every((page) => page.includes('teams:'));
  };
  await waitUntil(hasTeams, { timeoutMs: 60_000, what: 'every replica to have the document' });
  for (let route = 0; route < 12; route++) await fleet.send(plainRecord(tenant, `/${route}`, 2), route % 6);
  await fleet.settle();

  const accounts = (await readTotals(ledger)).filter((account) => account.tenant === tenant);
  const byTracker = new Map(accounts.map((account) => [account.tracker, account]));
  expect([...byTracker.keys()].sort()).toEqual(['cost-attribution', 'routes', 'teams']);
  expect(byTracker.get('cost-attribution')).toMatchObject({ live: 12, overflow: [0, 0] });
  expect(byTracker.get('routes')).toMatchObject({ live: 3 });
  expect(byTracker.get('routes')!.overflow[1]).toBe(18);
  expect(byTracker.get('teams')!.series).toEqual([
    { labels: { svc: 'svc' }, values: [byTracker.get('teams')!.total[0], 24] },
  ]);

  const shown = async (): Promise<readonly Sample[]> => {
    const answers = await Promise.all(fleet.replicas.map((replica) => replica.scrape('/usage_metrics')));
    return answers.flatMap((text) => parseExposition(text)).filter(({ labels }) => labels.tenant === tenant);
  };
  const named = (samples: readonly Sample[], name: string, tracker: string) =>
    samples.filter((one) => one.name === `tempo_usage_tracker_${name}` && one.labels.tracker === tracker);
  await waitUntil(async () => named(await shown(), 'spans_received_total', 'teams')[0]?.value === 24, {
    timeoutMs: 60_000,
    what: 'the spans of the tracker teams to be shown',
  });
  const samples = await shown();
  expect(named(samples, 'bytes_received_total', 'teams')).toEqual([]);
  expect(named(samples, 'bytes_received_total', 'routes')).toHaveLength(4);
  expect(named(samples, 'series_limit', 'routes').map(({ value }) => value)).toEqual([3]);
  expect(named(samples, 'series_limit', 'teams').map(({ value }) => value)).toEqual([10_000]);
}, 180_000);

test('while Redis is away what is in force stays so, and changes are refused until it is back', async () => {
  const set = async (): Promise<number> => {
    const { status } = await fetch(`${fleet.replicas[1]!.url}/api/overrides`, {
      method: 'PATCH',
      headers: { 'X-Scope-OrgID': 'steady' },
      body: dimensions({ 'span.http.route': 'path' }),
    });
    return status;
  };
  const failed = (replicas: number): Promise<void> =>
    waitUntil(async () => (await fleet.metric('tracetally_user_overrides_failed')) === replicas, {
      timeoutMs: 60_000,
      what: `${replicas} replicas to say that they cannot read what is stored`,
    });
  expect(await set()).toBe(200);
  await waitUntil(async () => (await fleet.metric('tracetally_user_overrides')) === 2 * REPLICAS, {
    timeoutMs: 60_000,
    what: 'every replica to have the document',
  });
  await fleet.redis.kill('SIGKILL');
  await failed(REPLICAS);
  expect(await set()).toBe(503);
  for (const replica of fleet.replicas) {
    expect(await replica.scrape('/status/overrides/steady')).toContain('span.http.route: path');
    expect(await replica.scrape('/status/services')).toMatch(/^overrides +Failed +what tenants set for themselves/m);
  }
  await fleet.send(plainRecord('steady', '/a'));
  await fleet.redis.start();
  await failed(0);
  expect(await set()).toBe(200);
  await fleet.settle(60_000);
  expect(await labelsOf('steady')).toEqual(new Set(['path']));
}, 180_000);
