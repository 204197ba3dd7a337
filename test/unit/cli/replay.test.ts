import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runCli } from '../../../src/cli.ts';
import { encodeRequest } from '../../support/otlp-encode.ts';
import { capture } from './capture.ts';

const request = (service: string, spans = 1): Buffer =>
  encodeRequest(
    {
      resourceSpans: [
        {
          resource: { attributes: [['service.name', service]] },
          scopeSpans: [{ spans: Array.from({ length: spans }, () => ({ name: 'GET /' })) }],
        },
      ],
    },
    'descending',
  );

let dir = '';
const file = (name: string, content: Buffer | string): string => {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
};
const delimited = (...records: readonly Buffer[]): Buffer =>
  Buffer.concat(records.flatMap((record) => [Buffer.from([record.length]), record]));

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tracetally-replay-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const run = async (argv: readonly string[], stdin?: Buffer) => {
  const captured = capture();
  const io = stdin === undefined ? captured.io : { ...captured.io, stdin: Readable.from([stdin]) };
  const code = await runCli(argv, io);
  return { code, out: captured.out(), err: captured.err() };
};

describe('replay', () => {
  test('prints one JSON object, sorted, with the values of each series', async () => {
    const path = file('two', delimited(request('web', 2), request('cart'), request('web')));
    const { code, out, err } = await run(['replay', '--output', 'json', '--tenant', 'acme', path]);
    const series = (service: string, bytes: number, spans: number) => ({
      tenant: 'acme',
      tracker: 'cost-attribution',
      labels: { service },
      values: { bytes, spans },
    });
    const [web2, web, cart] = [request('web', 2).length, request('web').length, request('cart').length];
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(JSON.parse(out)).toEqual({
      records: 3,
      bytes: web2 + web + cart,
      spans: 4,
      discarded: {},
      series: [series('cart', cart, 1), series('web', web2 + web, 3)],
    });
  });

  test('keeps the limit in the order of the records, and shows what overflowed', async () => {
    const path = file('limit', delimited(request('b'), request('a'), request('b'), request('c')));
    const { out } = await run(['replay', '--max-cardinality', '1', '--output', 'json', path]);
    const { series } = JSON.parse(out) as { series: { labels: object; values: { bytes: number } }[] };
    const one = request('b').length;
    expect(series.map(({ labels, values }) => [labels, values.bytes])).toEqual([
      [{ service: '__overflow__' }, 2 * one],
      [{ service: 'b' }, 2 * one],
    ]);
    const none = await run(['replay', '--max-cardinality', '0', '--output', 'prometheus', path]);
    expect(none.out.match(/^[^#].*$/gm)).toEqual([
      `tempo_usage_tracker_bytes_received_total{service="__overflow__",tenant="single-tenant",tracker="cost-attribution"} ${4 * one}`,
      'tempo_usage_tracker_spans_received_total{service="__overflow__",tenant="single-tenant",tracker="cost-attribution"} 4',
    ]);
  });

  test("prints Tempo's text alone where Tempo's accounting is asked for", async () => {
    const { out } = await run([
      'replay',
      '--accounting',
      'tempo',
      '--dimension',
      'service.name=',
      file('one', request('x')),
    ]);
    // Tempo leaves out the region's header and the empty parent id.
    const bytes = request('x').length - 2 - 2;
    expect(out).toBe(`# HELP tempo_usage_tracker_bytes_received_total bytes total received with these attributes
# TYPE tempo_usage_tracker_bytes_received_total counter
tempo_usage_tracker_bytes_received_total{service_name="x",tenant="single-tenant",tracker="cost-attribution"} ${bytes}`);
  });

  test('reads standard input and packed files', async () => {
    const plain = await run(['replay', '--output', 'json', file('plain', request('x'))]);
    expect(await run(['replay', '--output', 'json', '-'], request('x'))).toEqual(plain);
    expect(await run(['replay', '--output', 'json', file('x.gz', gzipSync(request('x')))])).toEqual(plain);
  });

  test('counts on behind a record that it cannot read, and names it', async () => {
    const bad = Buffer.from('0a050a', 'hex');
    const path = file('bad', delimited(request('a'), bad, request('b')));
    const { code, out, err } = await run(['replay', '--framing', 'delimited', '--output', 'json', path]);
    expect(JSON.parse(out)).toMatchObject({ records: 2, discarded: { malformed: 1 } });
    expect(code).toBe(1);
    expect(err).toBe(`${path}: record 2 at byte ${request('a').length + 2}: malformed: truncated at byte 0`);
  });

  test('counts JSON as the Collector would have written it as protobuf', async () => {
    const spans = [{ name: 'GET /' }, { name: 'GET /' }];
    const attributes = [{ key: 'service.name', value: { stringValue: 'web' } }];
    const one = JSON.stringify({ resourceSpans: [{ resource: { attributes }, scopeSpans: [{ spans }] }] });
    const ids = 2 * 2 * 2;
    const totals = (records: number) => ({
      records,
      bytes: records * (request('web', 2).length + ids),
      spans: records * 2,
    });
    const lines = file('lines.jsonl', `${one}\n\n${one}\n`);
    for (const encoding of ['auto', 'otlp_json']) {
      const { code, out } = await run(['replay', '--output', 'json', '--encoding', encoding, lines]);
      expect([code, JSON.parse(out)]).toEqual([0, expect.objectContaining({ ...totals(2), discarded: {} })]);
    }
    const pretty = file('pretty.json', JSON.stringify(JSON.parse(one), null, 2));
    const { out } = await run(['replay', '--output', 'json', pretty]);
    expect(JSON.parse(out)).toMatchObject({ ...totals(1), series: [{ labels: { service: 'web' } }] });
  });

  test('names what a line of JSON lacks, and counts the others', async () => {
    const path = file('bad.jsonl', '{"resourceSpans":[]}\n{"resourceSpans":{}}\n{"a":1}\n{"resourceSpans":[]\n');
    const { code, out, err } = await run(['replay', '--output', 'json', path]);
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ records: 1, discarded: { malformed: 2, not_otlp: 1 } });
    expect(err.split('\n')).toEqual([
      `${path}: record 2 at byte 21: malformed: bad_json: resourceSpans must be a list`,
      `${path}: record 3 at byte 42: not_otlp: no resourceSpans`,
      `${path}: record 4 at byte 50: malformed: bad_json: line 1 is not JSON`,
    ]);
  });

  test('sets aside what is no OTLP trace data, each with its own reason', async () => {
    const path = file('foreign.jsonl', '{"resourceMetrics":[]}\n[{"traceId":"1","id":"2"}]\n');
    const { out, err } = await run(['replay', '--output', 'json', '--framing', 'jsonl', path]);
    expect(JSON.parse(out)).toMatchObject({ records: 0, discarded: { other_signal: 1, zipkin: 1 } });
    expect(err).toContain('record 1 at byte 0: other_signal: OTLP, but no traces');
  });

  test('says where a file breaks off and which file it cannot read, and prints what it has', async () => {
    const whole = delimited(request('a'), request('b'));
    const cut = file('cut', whole.subarray(0, whole.length - 1));
    const absent = join(dir, 'absent');
    const args = ['replay', '--framing', 'delimited', '--output', 'json', absent, cut];
    const { code, out, err } = await run(args);
    expect(JSON.parse(out)).toMatchObject({ records: 1, discarded: {} });
    expect(code).toBe(1);
    expect(err).toContain(`${absent}: cannot be read: ENOENT`);
    expect(err).toContain(`${cut}: record 2 at byte ${request('a').length + 2}: the file ends after`);
  });

  test('counts a client that calls itself overflow as overflow: no label set has two lines', async () => {
    const path = file(
      'forged',
      delimited(request('__overflow__'), request('a'), request('b'), request('__overflow__')),
    );
    const [forged, one] = [request('__overflow__').length, request('a').length];
    const { out } = await run(['replay', '--max-cardinality', '1', '--output', 'json', path]);
    const { series } = JSON.parse(out) as { series: { labels: { service: string }; values: { bytes: number } }[] };
    expect(series.map(({ labels, values }) => [labels.service, values.bytes])).toEqual([
      ['__overflow__', 2 * forged + one],
      ['a', one],
    ]);
    const text = (await run(['replay', '--max-cardinality', '1', '--output', 'prometheus', path])).out;
    expect(text.match(/bytes_received_total\{service="__overflow__"/g)).toHaveLength(1);
  });

  test('prints a table with sums, what is missing and what overflowed', async () => {
    const path = file('table', delimited(request('web', 3), request('a'), request('b')));
    const dimensions = ['--dimension', 'service.name=service', '--dimension', 'span.route'];
    const { out } = await run(['replay', '--output', 'table', '--max-cardinality', '2', ...dimensions, path]);
    const all = request('web', 3).length + 2 * request('a').length;
    expect(out.split('\n')[0]).toMatch(/^route +service +bytes +share +spans$/);
    expect(out.split('\n')[1]).toMatch(/^__missing__ +web /);
    expect(out).toMatch(new RegExp(`^bytes in series +${all}$`, 'm'));
    expect(out).toMatch(/^series +2 of at most 2$/m);
    expect(out).toMatch(new RegExp(`^bytes without route +${all - request('b').length} \\(`, 'm'));
    expect(out).toMatch(new RegExp(`^bytes in overflow +${request('b').length} \\(`, 'm'));
  });

  test.each([
    [['replay'], 'FILE... is missing'],
    [['replay', '--output', 'xml', 'f'], '--output must be one of prometheus, json, table'],
    [['replay', '--framing', 'lines', 'f'], '--framing must be one of auto, one, delimited, jsonl'],
    [
      ['replay', '--encoding', 'jaeger', 'f'],
      '--encoding must be one of auto, otlp_proto, otlp_json, tempo_push_bytes',
    ],
    [['replay', '--max-cardinality', '-1', 'f'], '--max-cardinality'],
    [['replay', '--accounting', 'rough', 'f'], '--accounting must be one of exact, tempo'],
    [['replay', '--dimension', 'a=__b', 'f'], "--dimension config has invalid label name: '__b'"],
    [['replay', '--dimension', 'a=tenant', 'f'], "--dimension config has reserved label name: 'tenant'"],
    [['replay', '--tenant', '__records__', 'f'], "--tenant cannot be '__records__'"],
    [['replay', '--nonsense', 'f'], "Unknown option '--nonsense'"],
  ])('%j is wrong usage', async (argv, message) => {
    const { code, err, out } = await run(argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
    expect(err).toContain('See tracetally replay --help.');
  });
});

describe('explain', () => {
  test.each([
    [['explain'], 'FILE is missing'],
    [['explain', '--record', 'a/0/0', 'f'], 'FILE and --record do not go together'],
    [['explain', '--record', 'a/0'], '--record must be topic/partition/offset'],
    [['tail', '--limit', '0'], '--limit must be a number of records from 1 to 100000'],
    [['tail', '--limit', 'ten'], '--limit must be a number of records'],
  ])('%j is wrong usage', async (argv, message) => {
    const { code, err, out } = await run(argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(message);
  });

  test('prints each span with its bytes, the source of each value, and the series', async () => {
    const { code, out } = await run(['explain', file('explain', request('web', 2))]);
    const [head, , titles, first] = out.split('\n');
    expect(code).toBe(0);
    expect(head).toContain(`record 1 at byte 0, ${request('web', 2).length} bytes`);
    expect(titles).toMatch(/^region +span +name +own +share +bytes +service +series$/);
    expect(first).toMatch(
      / GET \/ +\d+ +\d+ +\d+ +web \(resource service\.name\) +\{service="web",tenant="single-tenant"/,
    );
  });

  test.each(['exact', 'tempo'])('prints one object for each record, %s', async (accounting) => {
    const path = file('explain-json', delimited(request('web', 2), request('a')));
    const { out } = await run(['explain', '--accounting', accounting, '--output', 'json', path]);
    const [first, second] = out.split('\n').map((line) => JSON.parse(line));
    const spans = first.regions[0].spans as { bytes: number; series: object }[];
    expect(spans.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(
      request('web', 2).length - (accounting === 'tempo' ? 2 + 2 * 2 : 0),
    );
    expect(spans[0]).toMatchObject({
      name: 'GET /',
      series: { service: 'web' },
      dimensions: [{ label: 'service', value: 'web', attribute: 'service.name', from: 'resource' }],
    });
    expect(second).toMatchObject({ record: 2, accounting });
  });
});
