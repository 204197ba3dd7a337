/** A real Prometheus reads what we write: any label value, in both formats, each series once and with its value. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { expositionText } from '../../src/publish/exposition.ts';
import { PublishServer } from '../../src/publish/server.ts';
import { SERVER_LIMITS } from '../support/server-limits.ts';
import { installPrometheus } from '../support/services/install-prometheus.ts';
import { type Prometheus, startPrometheus } from '../support/services/prometheus.ts';
import { waitUntil } from '../support/wait-for.ts';
import { OneShard, settingsOf } from '../unit/publish/tables.ts';

const BYTES = 'tempo_usage_tracker_bytes_received_total';
const TENANT = 'te"n\\ant\n1';
const LIMIT = 14;
const VALUES = [
  'plain',
  'quote " backslash \\ feed \n',
  '\\n',
  '\\',
  '",other="x',
  '} 5',
  '# EOF',
  '\n# EOF\n',
  '\r\t\u0000\u0001',
  '\u2028 \u00a0',
  'Überraschung 😀 日本',
  '__missing__',
  'a'.repeat(2_048),
  '__overflow__',
  'beyond the limit',
];

let prometheus: Prometheus;
let server: PublishServer;
let shard: OneShard;
const EXPOSITION = { prefix: 'tempo_usage_tracker', settings: settingsOf(LIMIT, ['value']), created: false };
const formats: string[] = [];

beforeAll(async () => {
  shard = await new OneShard(TENANT, LIMIT, ['value']).begin();
  for (const [i, value] of VALUES.entries())
    await shard.add(TENANT, [[[['value', value]], 2 ** (40 + (i % 8)) + i, i]]);
  await shard.show();
  server = new PublishServer(
    {
      snapshot: (forScraper) => {
        formats.push(forScraper ? 'scraper' : 'person');
        return { ...shard.snapshot(false), forScraper: false };
      },
      exposition: EXPOSITION,
      selfMetrics: async () => ({ contentType: 'text/plain', body: '' }),
      ready: () => ({ ok: true, reasons: [] }),
      live: () => ({ ok: true, reasons: [] }),
      log: { error: () => {} },
    },
    { ...SERVER_LIMITS, host: '127.0.0.1', port: 0 },
  );
  const port = await server.listen();
  prometheus = await startPrometheus({
    configYaml: `scrape_configs:
  - job_name: usage
    metrics_path: /usage_metrics
    scrape_interval: 500ms
    scrape_timeout: 500ms
    static_configs: [{ targets: ['127.0.0.1:${port}'] }]
`,
  });
}, 120_000);

afterAll(async () => {
  await prometheus?.stop();
  await server?.close(1_000);
});

describe('a real Prometheus', () => {
  test('takes the whole answer, and every series with its labels and value', async () => {
    await waitUntil(
      async () => {
        const [target] = await prometheus.targets();
        if (target?.lastError) throw new Error(target.lastError);
        return (await prometheus.query(BYTES)).length >= LIMIT;
      },
      { timeoutMs: 30_000, what: 'the series in Prometheus' },
    );
    const seen = await prometheus.query(BYTES);
    const expected = new Map(VALUES.slice(0, LIMIT).map((value, i) => [value, 2 ** (40 + (i % 8)) + i]));
    expected.set('__overflow__', expected.get('__overflow__')! + 2 ** (40 + (LIMIT % 8)) + LIMIT);
    expect(new Map(seen.map(({ labels, value }) => [labels.value, value]))).toEqual(expected);
    expect(new Set(seen.map(({ labels }) => labels.tenant))).toEqual(new Set([TENANT]));
    expect(new Set(formats)).toEqual(new Set(['scraper']));
    const [total] = await prometheus.query('tempo_usage_tracker_tenant_bytes_total');
    expect(total!.value).toBe([...expected.values()].reduce((a, b) => a + b, 0));
  }, 60_000);

  test('parses the plain text format', async () => {
    const { promtool } = await installPrometheus();
    const text = expositionText(shard.snapshot(), { ...EXPOSITION, format: 'text' });
    // It also has opinions about names (3); 1 is what it cannot read.
    const { status, stderr } = spawnSync(promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect([status === 0 || status === 3, stderr]).toEqual([true, expect.not.stringContaining('error while parsing')]);
  });
});
