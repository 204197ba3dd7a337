/** A real Prometheus with the shipped scrape configuration evaluates the shipped rules on what we really show. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PublishServer } from '../../src/publish/server.ts';
import { createSelfMetrics, type SelfMetrics } from '../../src/telemetry/self-metrics.ts';
import { evaluatedEvery, ruleFiles, ruleText } from '../support/rules.ts';
import { SERVER_LIMITS } from '../support/server-limits.ts';
import { type InstantValue, type Prometheus, startPrometheus } from '../support/services/prometheus.ts';
import { shippedScrapeConfig } from '../support/shipped-scrape.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';
import { OneShard, settingsOf } from '../unit/publish/tables.ts';

type EvaluatedRule = {
  readonly name: string;
  readonly health: string;
  readonly lastError?: string;
  readonly state?: string;
};

const TENANT = 'acme';
const EXPOSITION = { prefix: 'tempo_usage_tracker', settings: settingsOf(10, ['service']), created: false };
const dir = mkdtempSync(join(tmpdir(), 'tracetally-evaluated-'));

let prometheus: Prometheus;
let server: PublishServer;
let shard: OneShard;
let metrics: SelfMetrics;

/** As a healthy replica that holds everything. */
const healthy = (): SelfMetrics => {
  const made = createSelfMetrics({ processMetrics: false });
  made.buildInfo.set({ version: '0', node_version: '0' });
  made.configInfo.set({ sha256: 'x' });
  made.ledgerUp.set(1);
  made.assignedPartitions.set(6);
  made.ownedShards.set(64);
  made.lagRecords.set('otlp_spans', 0, 0);
  made.lagSeconds.set('otlp_spans', 0, 0);
  made.onScrape(() => made.ledgerLastSuccess.set(Date.now() / 1000));
  return made;
};

const more = async (): Promise<void> => {
  await shard.add(TENANT, [
    [[['service', 'shop']], 3_000, 3],
    [[['service', 'web']], 1_000, 1],
  ]);
  await shard.show();
  metrics.recordsConsumed.add();
};

const evaluated = async (): Promise<EvaluatedRule[]> => {
  const answer = await fetch(`${prometheus.url}/api/v1/rules`);
  const { data } = (await answer.json()) as { data: { groups: { rules: EvaluatedRule[] }[] } };
  return data.groups.flatMap(({ rules }) => rules);
};

/** What is recorded of the two series, once it is; bytes go on coming meanwhile. */
const recorded = (selector: string): Promise<readonly InstantValue[]> =>
  waitFor(
    async () => {
      await more();
      const seen = await prometheus.query(`last_over_time(${selector}[5m])`);
      return seen.length === 2 ? { done: true, value: seen } : { done: false, seen };
    },
    { timeoutMs: 60_000, what: selector, everyMs: 300 },
  );

const firing = async (): Promise<string[]> =>
  (await evaluated()).filter(({ state }) => state === 'firing').map(({ name }) => name);

beforeAll(async () => {
  shard = await new OneShard(TENANT, 10, ['service']).begin();
  metrics = healthy();
  await more();
  server = new PublishServer(
    {
      snapshot: () => shard.snapshot(false),
      exposition: EXPOSITION,
      selfMetrics: async () => ({ contentType: metrics.contentType, body: await metrics.text() }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: () => {} },
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0 },
  );
  const port = await server.listen();
  for (const file of ruleFiles()) writeFileSync(join(dir, file), evaluatedEvery(ruleText(file), '1s'));
  prometheus = await startPrometheus({
    configYaml: shippedScrapeConfig([`127.0.0.1:${port}`], '500ms', [join(dir, '*.yaml')]),
  });
}, 300_000);

afterAll(async () => {
  await prometheus?.stop();
  await server?.close(1_000);
  rmSync(dir, { recursive: true, force: true });
});

test('every rule is evaluated without a fault, shares are shares, and nothing fires on a healthy replica', async () => {
  const seen = await recorded('tenant_dimension:tracetally_usage_bytes:share1h{dimension="service"}');
  expect(seen.map(({ labels, value }) => [labels.service, value.toFixed(2)]).sort()).toEqual([
    ['shop', '0.75'],
    ['web', '0.25'],
  ]);
  const merged = await recorded('merged:tempo_usage_tracker_bytes_received_total');
  expect(merged.map(({ labels }) => labels.instance)).toEqual([undefined, undefined]);
  await waitUntil(async () => (await evaluated()).every(({ health }) => health !== 'unknown'), {
    timeoutMs: 60_000,
    what: 'every rule to be evaluated',
  });
  const rules = await evaluated();
  expect(rules.length).toBeGreaterThan(50);
  expect(rules.filter(({ health }) => health !== 'ok').map(({ name, lastError }) => [name, lastError])).toEqual([]);
  expect(await firing()).toEqual([]);
}, 180_000);

test('what is lost is told at once', async () => {
  metrics.gapRecords.add(7);
  metrics.ledgerLosses.add();
  await waitUntil(async () => (await firing()).length >= 2, { timeoutMs: 60_000, what: 'alerts', everyMs: 300 });
  expect((await firing()).sort()).toEqual(['TracetallyGap', 'TracetallyLedgerLoss']);
}, 90_000);
