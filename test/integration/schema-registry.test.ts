/** Framed records and a real schema registry, well and unwell. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { DiscardReason } from '../../src/attribution/discard.ts';
import { type Fleet, startFleet } from '../support/fleet.ts';
import { plainRecord } from '../support/fleet-records.ts';
import { encodeRequest } from '../support/otlp-encode.ts';
import { RegistryProxy, type Trouble } from '../support/registry-proxy.ts';
import { runCommand } from '../support/run-command.ts';
import { type RegistryServer, startRegistry } from '../support/services/registry.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import type { TrafficRecord } from '../support/traffic.ts';
import { waitFor, waitUntil } from '../support/wait-for.ts';

const FIXTURE = readFileSync(join(import.meta.dirname, '../fixtures/otlp/trace.proto'), 'utf8');
const TRACE_FILE = 'opentelemetry/proto/trace/v1/trace.proto';
const TRACE = FIXTURE.replace('package otlp;', 'package opentelemetry.proto.trace.v1;').replace(
  'message ExportTraceServiceRequest {',
  'message TracesData {',
);
const SERVICE = `syntax = "proto3";
package opentelemetry.proto.collector.trace.v1;
import "${TRACE_FILE}";
service TraceService { rpc Export(ExportTraceServiceRequest) returns (ExportTraceServiceResponse) {} }
message ExportTraceServiceRequest { repeated opentelemetry.proto.trace.v1.ResourceSpans resource_spans = 1; }
message ExportTraceServiceResponse { string error = 1; }
`;
const ORDERS = 'syntax = "proto3"; package shop; message Order { string id = 1; }';
const FIRST = Buffer.from([0]);
const SECOND = Buffer.from([2, 2]);
const NO_SCHEMA = 9_999_999;

let registry: RegistryServer;
let request: number;
let orders: number;

beforeAll(async () => {
  registry = await startRegistry();
  await registry.register(TRACE_FILE, 'PROTOBUF', TRACE);
  request = await registry.register('otlp_spans-value', 'PROTOBUF', SERVICE, [
    { name: TRACE_FILE, subject: TRACE_FILE, version: 1 },
  ]);
  orders = await registry.register('orders-value', 'PROTOBUF', ORDERS);
}, 180_000);

afterAll(async () => {
  await registry?.stop();
}, 30_000);

let made = 0;
/** A schema of OTLP traces that nobody has asked for yet. */
const newSchema = (): Promise<number> =>
  registry.register(`new-${made}`, 'PROTOBUF', TRACE.replace('.trace.v1;', `.trace.v1;\nmessage Nr${made++} {}`));

/** The message of `newSchema` comes second, behind one that has its number. */
const framed = (id: number, indexes: Buffer, discard: DiscardReason | null = null): TrafficRecord => {
  const record = plainRecord('acme', '/framed', 3);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  const frame = Buffer.concat([head, indexes]);
  const value = Buffer.concat([frame, record.value!]);
  if (discard !== null) return { ...record, value, tenant: null, discard, spans: 0, series: new Set() };
  return { ...record, value, frameBytes: frame.length };
};

const startWith = (
  name: string,
  proxy: RegistryProxy,
  settings: Readonly<Record<string, unknown>>,
  partitions = 1,
): Promise<Fleet> =>
  startFleet({
    name,
    brokers: sharedKafka(),
    replicas: 1,
    partitions,
    config: { schema_registry: { url: proxy.url, timeout: '300ms', attempts: 2, ...settings } },
  });

describe('discard', () => {
  let proxy: RegistryProxy;
  let fleet: Fleet;

  beforeAll(async () => {
    proxy = new RegistryProxy(registry.url);
    await proxy.listen();
    fleet = await startWith('schemas', proxy, { on_unknown_schema: 'discard' });
  }, 120_000);

  afterAll(async () => {
    await fleet?.stop();
    await proxy?.close();
  }, 60_000);

  test('counts what is registered as traces, discards what is something else, and asks once for each schema', async () => {
    for (let i = 0; i < 20; i++) {
      await fleet.send(framed(request, FIRST));
      await fleet.send(framed(request, SECOND, 'foreign_schema'));
      await fleet.send(framed(orders, FIRST, 'foreign_schema'));
      await fleet.send(framed(NO_SCHEMA, FIRST, 'unknown_schema'));
      await fleet.send(plainRecord('acme', '/unframed'));
    }
    await fleet.settle();
    expect([request, orders, NO_SCHEMA].map((id) => proxy.of(id))).toEqual([1, 1, 1]);
    const [line] = fleet.lines('record_discarded').filter(({ reason }) => reason === 'foreign_schema');
    expect(String(line!.detail)).toMatch(/ExportTraceServiceResponse|shop\.Order/);
    expect(await fleet.metric('tracetally_schema_lookups_total', { outcome: 'found' })).toBe(2);
    expect(await fleet.metric('tracetally_schema_lookups_total', { outcome: 'unknown' })).toBe(1);
  }, 60_000);

  test('knows JSON schemas, and refuses a schema of another kind than the value', async () => {
    const text = JSON.stringify({
      title: 'TracesData',
      type: 'object',
      properties: { resourceSpans: { type: 'array' } },
    });
    const json = await registry.register('json-value', 'JSON', text);
    const avro = await registry.register('avro-value', 'AVRO', '{"type":"record","name":"Order","fields":[]}');
    const head = Buffer.alloc(5);
    head.writeUInt32BE(json, 1);
    const canonical = encodeRequest({ resourceSpans: [] }, 'ascending');
    expect(canonical).toHaveLength(0);
    const empty = { ...plainRecord('acme', '/', 1), spans: 0, series: new Set<string>() };
    const value = Buffer.concat([head, Buffer.from('{"resourceSpans":[]}')]);
    await fleet.send({ ...empty, value, frameBytes: value.length });
    await fleet.send(framed(json, FIRST, 'foreign_schema'));
    await fleet.send(framed(avro, FIRST, 'foreign_schema'));
    await fleet.settle();
  }, 60_000);

  test.each<Trouble>(['dead', 'slow', 'drips', '404', '500', 'garbage', 'empty'])(
    'a registry in trouble (%s): what is known counts on, what is new is discarded until it is well, and it is asked seldom',
    async (trouble) => {
      const fresh = await newSchema();
      proxy.set(trouble);
      const sinceMs = performance.now();
      for (let i = 0; i < 10; i++) {
        await fleet.send(framed(request, FIRST));
        await fleet.send(framed(fresh, SECOND, 'unknown_schema'));
        await fleet.send(framed(NO_SCHEMA + 1 + made * 100 + i, FIRST, 'unknown_schema'));
      }
      await fleet.settle(60_000);
      const asked = proxy.mostPerSecond(sinceMs);
      // 404 is an answer, and there are eleven ids; of one that does not answer it keeps away.
      expect(asked).toBeLessThanOrEqual(trouble === '404' ? 20 : 6);
      const found = () => fleet.metric('tracetally_schema_lookups_total', { outcome: 'found' });
      const before = await found();
      proxy.set('none');
      // It is asked on by itself; only a 404 is believed, for a minute.
      if (trouble !== '404')
        await waitUntil(async () => (await found()) > before, {
          timeoutMs: 40_000,
          what: 'the registry to tell of it',
        });
      await fleet.send(framed(trouble === '404' ? await newSchema() : fresh, SECOND));
      await fleet.settle();
    },
    120_000,
  );
});

describe('check --connect', () => {
  const check = (url: string) =>
    runCommand(['check', '--connect'], {
      TRACETALLY_KAFKA_BROKERS: sharedKafka().join(),
      TRACETALLY_SCHEMA_REGISTRY_URL: url,
      TRACETALLY_SCHEMA_REGISTRY_USERNAME: 'u',
      TRACETALLY_SCHEMA_REGISTRY_PASSWORD: 'canary',
    });

  test('says whether a registry answers there', async () => {
    expect((await check(registry.url)).out).toContain('ok: the schema registry answers');
    for (const [url, says] of [
      [`${registry.url}/no/such`, 'it answers 404'],
      [`http://127.0.0.1:${registry.port}/apis/registry/v3/system/info?`.slice(0, -1), 'it answers 404'],
      ['http://127.0.0.1:1', 'ECONNREFUSED'],
    ] as const) {
      const { code, out, err } = await check(url);
      expect(out).toContain(`problem: the schema registry cannot be asked: ${says}`);
      expect(code).toBe(1);
      expect(out + err).not.toContain('canary');
    }
  }, 60_000);
});

describe('hold', () => {
  let proxy: RegistryProxy;
  let fleet: Fleet;

  beforeAll(async () => {
    proxy = new RegistryProxy(registry.url);
    await proxy.listen();
    fleet = await startWith('held', proxy, { on_unknown_schema: 'hold' }, 2);
    await fleet.send(framed(request, FIRST), 0);
    await fleet.settle();
  }, 120_000);

  afterAll(async () => {
    await fleet?.stop();
    await proxy?.close();
  }, 60_000);

  test.each<Trouble>(['dead', 'slow', '500', 'garbage'])(
    'a registry in trouble (%s): the partition waits, visibly, others count on; then it goes on, and nothing is lost',
    async (trouble) => {
      const fresh = await newSchema();
      proxy.set(trouble);
      const sinceMs = performance.now();
      const consumed = await fleet.metric('tracetally_records_consumed_total');
      for (let i = 0; i < 5; i++) await fleet.send(framed(fresh, SECOND), 0);
      for (let i = 0; i < 5; i++) await fleet.send(framed(request, FIRST), 1);
      await waitUntil(async () => (await held()) === 1, { timeoutMs: 20_000, what: 'the partition to be held' });
      await waitFor(
        async () => {
          const seen = (await fleet.metric('tracetally_records_consumed_total')) - consumed;
          return seen === 5 ? { done: true, value: undefined } : { done: false, seen };
        },
        { timeoutMs: 20_000, what: 'the other partition to be read' },
      );
      expect(proxy.mostPerSecond(sinceMs)).toBeLessThanOrEqual(6);
      proxy.set('none');
      await fleet.settle(60_000);
      expect(await held()).toBe(0);
      expect(await fleet.metric('tracetally_records_discarded_total', { reason: 'unknown_schema' })).toBe(0);
    },
    120_000,
  );

  test('a schema that the registry does not have is waited for; one that is something else is not', async () => {
    await fleet.send(framed(orders, FIRST, 'foreign_schema'), 0);
    await fleet.settle();
    const next = (await newSchema()) + 1;
    await fleet.send(framed(next, SECOND), 0);
    await waitUntil(async () => (await held()) === 1, { timeoutMs: 20_000, what: 'the partition to be held' });
    expect(await newSchema()).toBe(next);
    await fleet.settle(60_000);
    expect(await held()).toBe(0);
  }, 120_000);

  const held = (): Promise<number> => fleet.metric('tracetally_held_partitions', { cause: 'schema' });
});
