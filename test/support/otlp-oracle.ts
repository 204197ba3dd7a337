/**
 * The `exact` split done slowly: protobufjs decodes, big integers divide, text is compared. Shares no code with the
 * scanner. It knows nothing of pieces of one message but repeated Resources.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';
import type { Dimension } from '../../src/attribution/dimensions.ts';
import type { Extras } from '../../src/attribution/extras.ts';

const root = protobuf.loadSync(join(import.meta.dirname, '../fixtures/otlp/trace.proto'));
const RequestType = root.lookupType('otlp.ExportTraceServiceRequest');
const ResourceType = root.lookupType('otlp.Resource');
const SpanType = root.lookupType('otlp.Span');

type Field = { readonly number: number; readonly size: number; readonly payload: Uint8Array };
type Attributes = Map<string, string>;
type Region = { readonly size: number; readonly resource: Attributes; readonly spans: readonly Span[] };
type Span = { readonly own: number; readonly attributes: Attributes };

type Decoded = {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly { readonly spans: readonly object[] }[] }[];
};

/** Throws where protobufjs cannot decode. */
export function decodeRequest(record: Uint8Array): Decoded {
  return RequestType.decode(record) as unknown as Decoded;
}

/** Series (labels as JSON, sorted by name) to [bytes, spans]. Throws where protobufjs cannot decode. */
export function exactSplit(record: Uint8Array, dimensions: readonly Dimension[]): Map<string, [number, number]> {
  const split = new Map<string, [number, number]>();
  const add = (resource: Attributes, span: Attributes, bytes: number, spans: number): void => {
    const series = seriesOf(dimensions, resource, span);
    const [b, s] = split.get(series) ?? [0, 0];
    split.set(series, [b + bytes, s + spans]);
  };
  decodeRequest(record);
  const fields = fieldsOf(record).filter((field) => field.number === 1);
  const regions = fields.map(regionOf);
  const outside = record.length - sum(regions.map((region) => region.size));
  const none: Attributes = new Map();
  if (regions.length === 0 && record.length > 0) add(none, none, record.length, 0);
  regions.forEach((region, r) => {
    const total = region.size + part(outside, regions.length, r);
    const overhead = total - sum(region.spans.map((span) => span.own));
    if (region.spans.length === 0) add(region.resource, none, total, 0);
    region.spans.forEach((span, i) => {
      add(region.resource, span.attributes, span.own + part(overhead, region.spans.length, i), 1);
    });
  });
  return split;
}

function part(bytes: number, takers: number, i: number): number {
  const [o, n, k] = [BigInt(bytes), BigInt(takers), BigInt(i)];
  return Number(((k + 1n) * o) / n - (k * o) / n);
}

function regionOf(region: Field): Region {
  const fields = fieldsOf(region.payload);
  const resource = fields
    .filter((field) => field.number === 1)
    .flatMap((field) => (ResourceType.decode(field.payload) as unknown as { attributes: KeyValue[] }).attributes);
  const spans = fields
    .filter((field) => field.number === 2)
    .flatMap((scope) => fieldsOf(scope.payload).filter((field) => field.number === 2))
    .map((span) => ({
      own: span.size,
      attributes: usable((SpanType.decode(span.payload) as unknown as { attributes: KeyValue[] }).attributes),
    }));
  return { size: region.size, resource: usable(resource), spans };
}

type KeyValue = {
  readonly key: string;
  readonly value: {
    readonly value?: string;
    readonly stringValue: string;
    readonly boolValue: boolean;
    readonly intValue: { toString(): string };
    readonly doubleValue: number;
  } | null;
};

function usable(attributes: readonly KeyValue[]): Attributes {
  const found: Attributes = new Map();
  for (const { key, value } of attributes) {
    const text = textOf(value);
    if (text !== '' && !found.has(key)) found.set(key, text);
  }
  return found;
}

function textOf(value: KeyValue['value']): string {
  if (value?.value === 'stringValue') return value.stringValue;
  if (value?.value === 'boolValue') return String(value.boolValue);
  if (value?.value === 'intValue') return value.intValue.toString();
  if (value?.value === 'doubleValue') return String(value.doubleValue);
  return '';
}

function seriesOf(dimensions: readonly Dimension[], resource: Attributes, span: Attributes): string {
  const labels = new Map<string, string>();
  for (const { attribute, scope, label, extras = {} } of dimensions) {
    const fromSpan = scope === 'resource' ? '' : rewritten(span.get(attribute) ?? '', extras);
    const fromResource = scope === 'span' ? '' : rewritten(resource.get(attribute) ?? '', extras);
    const value = fromSpan || fromResource;
    if (value !== '') labels.set(label, value);
    else if (!labels.has(label)) labels.set(label, '__missing__');
  }
  for (const [label, value] of labels) {
    const given = dimensions.filter((d) => d.label === label && d.extras?.default !== undefined).at(-1);
    if (value === '__missing__' && given !== undefined) labels.set(label, given.extras!.default!);
  }
  return JSON.stringify([...labels].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** JavaScript's own patterns stand in for those of RE2: the tests use only what both know. */
function rewritten(text: string, { regex, lowercase, map, maxLength }: Extras): string {
  if (text === '') return '';
  let value = text;
  if (regex !== undefined) {
    const found = new RegExp(regex, 'u').exec(Buffer.from(text.slice(0, 512)).toString());
    value = found?.[found.length > 1 ? 1 : 0] ?? '';
  }
  if (lowercase === true) value = value.toLowerCase();
  for (const [from, to] of map ?? [])
    if (value === from) {
      value = to;
      break;
    }
  if (maxLength === undefined) return value;
  let cut = '';
  for (const character of value) {
    if (Buffer.byteLength(cut + character) > maxLength) break;
    cut += character;
  }
  return cut;
}

function fieldsOf(message: Uint8Array): Field[] {
  const reader = protobuf.Reader.create(message);
  const fields: Field[] = [];
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const tag = reader.uint32();
    const isBytes = (tag & 7) === 2;
    const payload = isBytes ? reader.bytes() : new Uint8Array(0);
    if (!isBytes) reader.skipType(tag & 7, 0, tag >>> 3);
    fields.push({ number: tag >>> 3, size: reader.pos - start, payload });
  }
  return fields;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
