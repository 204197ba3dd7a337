/** Bad input is counted and set aside; whatever attribute values hold, the exposition stays valid. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DiscardReason } from '../../src/attribution/discard.ts';
import { parseExposition, type Sample } from '../support/exposition.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { logLines } from '../support/fleet-metrics.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { installPrometheus } from '../support/services/install-prometheus.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import type { TrafficRecord } from '../support/traffic.ts';
import { waitFor } from '../support/wait-for.ts';

const BYTES = 'tempo_usage_tracker_bytes_received_total';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({
    name: 'input',
    brokers: sharedKafka(),
    replicas: 1,
    partitions: 1,
    config: { tenants: { default: '' } },
  });
}, 120_000);

afterAll(async () => {
  await fleet?.stop();
}, 60_000);

const GOOD = plainRecord('acme', '/good', 3);

function bad(discard: DiscardReason, changed: Partial<TrafficRecord>): TrafficRecord {
  return { ...GOOD, tenant: null, discard, spans: 0, series: new Set(), ...changed };
}

const BAD: readonly (readonly [string, TrafficRecord])[] = [
  ['a null value', bad('null_value', { value: null })],
  ['a truncated value', bad('malformed', { value: GOOD.value!.subarray(0, GOOD.value!.length - 3) })],
  ['a length that goes beyond the end', bad('malformed', { value: Buffer.from([0x0a, 0xff, 0xff, 0xff, 0x0f, 1]) })],
  ['text', bad('not_otlp', { value: Buffer.from('{"message":"wrong topic"}') })],
  ['an invalid tenant', bad('invalid_tenant', { headers: { 'X-Scope-OrgID': 'a/b c' } })],
  ['a tenant of ours', bad('invalid_tenant', { headers: { 'X-Scope-OrgID': '__records__' } })],
  ['no tenant, and no default', bad('no_tenant', { headers: {} })],
];

describe('a record that cannot be counted for a tenant', () => {
  test.each(BAD)(
    '%s: counted with its reason, and the partition goes on',
    async (_what, record) => {
      await fleet.send(record);
      await fleet.send(GOOD);
      await fleet.settle();
      const { records, bytes } = fleet.truth.discarded.get(record.discard!)!;
      const labels = { reason: record.discard! };
      expect(await fleet.metric('tracetally_records_discarded_total', labels)).toBe(records);
      expect(await fleet.metric('tracetally_bytes_discarded_total', labels)).toBe(bytes);
    },
    30_000,
  );

  test('one line of the log says where it lies and how it begins, not one for each', async () => {
    const value = Buffer.from([0x0a, 0x05, 0xde, 0xad, 0xbe, 0xef]);
    for (let i = 0; i < 200; i += 1) await fleet.send(bad('malformed', { value }));
    await fleet.settle();
    const lines = logLines(fleet.replicas[0]!, 'record_discarded').filter(({ reason }) => reason === 'malformed');
    expect(lines.length).toBeLessThan(10);
    expect(lines[0]).toMatchObject({
      level: 'warn',
      topic: fleet.topic,
      partition: 0,
      begins: expect.stringMatching(/^0a[0-9a-f]*$/),
    });
    expect(Number.isInteger(lines[0]!.offset)).toBe(true);
  }, 30_000);

  test('/usage_metrics tells the discarded amounts as the ledger has them', async () => {
    const samples = await untilShown();
    for (const [reason, { records, bytes }] of fleet.truth.discarded) {
      const shown = (name: string) =>
        samples.filter((one) => one.name === `tempo_usage_tracker_${name}` && one.labels.reason === reason);
      expect(shown('discarded_records_total').map(({ value }) => value)).toEqual([records]);
      expect(shown('discarded_bytes_total').map(({ value }) => value)).toEqual([bytes]);
    }
  }, 30_000);
});

describe('attribute values of every kind', () => {
  const LONG = `/${'x'.repeat(100_000)}`;
  const VALUES = [
    'say "hello"',
    'back\\slash',
    'two\nlines',
    '\\n',
    '{a="b"} 1',
    'Zähler 計',
    '\u0000\u0007\u001b[31m',
    '\r',
    ' ',
    LONG,
  ];

  test('are shown escaped, cut, and as valid text', async () => {
    for (const value of VALUES) await fleet.send(plainRecord('odd', value));
    await fleet.send(invalidUtf8());
    await fleet.settle();
    const samples = await untilShown();
    const shown = samples.filter(({ name, labels }) => name === BYTES && labels.tenant === 'odd');
    const seen = shown.map(({ labels }) => labels.route!);
    for (const value of VALUES.slice(0, -1)) expect(seen).toContain(value);
    expect(seen).toContain(LONG.slice(0, 2048));
    expect(seen).toContain('/bytes-\ufffd\ufffd\ufffd\ufffd');
    expect(seen).toHaveLength(VALUES.length + 1);
  }, 30_000);

  test('a strict reader takes both formats, with and without gzip', async () => {
    const [replica] = fleet.replicas;
    const plain = await replica!.scrape('/usage_metrics');
    strictly(plain);
    expect(await replica!.scrape('/usage_metrics', { 'Accept-Encoding': 'identity' })).toBe(plain);
    const open = await replica!.scrape('/usage_metrics', { Accept: 'application/openmetrics-text; version=1.0.0' });
    expect(open.endsWith('\n# EOF\n')).toBe(true);
    strictly(await replica!.scrape('/metrics'));
  }, 30_000);

  test('promtool takes them, where there is one', async () => {
    const tools = await installPrometheus().catch(() => undefined);
    const text = await fleet.replicas[0]!.scrape('/usage_metrics');
    if (tools === undefined) {
      strictly(text);
      return;
    }
    const { status, stderr } = spawnSync(tools.promtool, ['check', 'metrics'], { input: text, encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(status).toBe(0);
  }, 120_000);
});

/** A route whose text holds bytes that are no UTF-8. */
function invalidUtf8(): TrafficRecord {
  const record = plainRecord('odd', '/bytes-0000');
  record.value!.fill(0xff, record.value!.indexOf('0000'), record.value!.indexOf('0000') + 4);
  return record;
}

/** Until the scrape shows all that was written: for tenants, and set aside. */
async function untilShown(): Promise<Sample[]> {
  const { acceptedBytes, bytes } = fleet.truth;
  return waitFor(
    async () => {
      const samples = parseExposition(await fleet.replicas[0]!.scrape('/usage_metrics'));
      const sum = (wanted: string) =>
        samples.filter(({ name }) => name === wanted).reduce((all, { value }) => all + value, 0);
      const seen = [sum(BYTES), sum('tempo_usage_tracker_discarded_bytes_total')];
      const isAll = seen[0] === acceptedBytes && seen[1] === bytes - acceptedBytes;
      return isAll ? { done: true, value: samples } : { done: false, seen };
    },
    { timeoutMs: 20_000, what: 'everything to be shown' },
  );
}

/**
 * The rules of the text format that a lenient reader lets pass: HELP then TYPE before the samples of a family, each
 * once, the samples of a family together, a line feed at the end, no bytes that are not UTF-8.
 */
function strictly(text: string): void {
  expect(text.endsWith('\n')).toBe(true);
  expect(text).not.toContain('\r\n');
  parseExposition(text);
  const done = new Set<string>();
  let family = '';
  let type = '';
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const meta = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/.exec(line);
    if (meta?.[1] === 'HELP') {
      if (family !== '') done.add(family);
      family = meta[2]!;
      type = '';
      expect(done).not.toContain(family);
    } else if (meta?.[1] === 'TYPE') {
      expect(meta[2]).toBe(family);
      expect(type).toBe('');
      type = meta[3]!;
    } else {
      expect(line).not.toMatch(/^#/);
      const name = /^[a-zA-Z0-9_:]+/.exec(line)![0];
      const suffixes =
        type === 'histogram' ? ['_bucket', '_sum', '_count'] : type === 'summary' ? ['', '_sum', '_count'] : [''];
      expect(suffixes.map((suffix) => family + suffix)).toContain(name);
    }
  }
}
