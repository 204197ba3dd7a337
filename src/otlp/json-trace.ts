/**
 * Writes a decoded OTLP/JSON request as protobuf, in the form in which the Collector writes it: Resource, Scope, Status,
 * ids and the value of a KeyValue are always there, zeros and empty texts are not. So a batch has the same size whether
 * the Collector wrote it as JSON or as protobuf. Keys that OTLP does not have are passed over.
 */
import type { BackwardWriter } from './backward-writer.ts';
import {
  bytesOf,
  doubleOf,
  enumAt,
  flagOf,
  idAt,
  int64Of,
  isObject,
  type Json,
  JsonFault,
  type JsonObject,
  objectAt,
  objectsAt,
  textAt,
  textOf,
  textsAt,
  uint32At,
  uint64At,
} from './json-scalar.ts';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** Values in values; a stack has a limit. */
const MAX_DEPTH = 500;

const SPAN_KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'].map(
  (name) => `SPAN_KIND_${name}`,
);
const STATUS_CODES = ['STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR'];
const EMPTY: JsonObject = {};

export class JsonTraceWriter {
  readonly #out: BackwardWriter;
  #depth = 0;
  /** What is being written, for the text about a fault. */
  #region = -1;
  #scope = -1;
  #span = -1;

  constructor(out: BackwardWriter) {
    this.#out = out;
  }

  /** Throws a `JsonFault`; `where` says then at what. */
  request(request: JsonObject): void {
    this.#depth = 0;
    this.#region = -1;
    this.#scope = -1;
    this.#span = -1;
    const regions = objectsAt(request, 'resourceSpans', 'resource_spans');
    for (this.#region = regions.length - 1; this.#region >= 0; this.#region--)
      this.#resourceSpans(regions[this.#region]!);
  }

  get where(): string {
    if (this.#region < 0) return '';
    const scope = this.#scope < 0 ? '' : `.scopeSpans[${this.#scope}]`;
    return `resourceSpans[${this.#region}]${scope}${this.#span < 0 ? '' : `.spans[${this.#span}]`}: `;
  }

  #resourceSpans(region: JsonObject): void {
    const out = this.#out;
    const before = out.size;
    this.#resource(objectAt(region, 'resource') ?? EMPTY);
    const scopes = objectsAt(region, 'scopeSpans', 'scope_spans');
    for (this.#scope = scopes.length - 1; this.#scope >= 0; this.#scope--) this.#scopeSpans(scopes[this.#scope]!);
    this.#text(3, textAt(region, 'schemaUrl', 'schema_url'));
    out.close(1, before);
  }

  #resource(resource: JsonObject): void {
    const before = this.#out.size;
    this.#attributes(1, resource);
    this.#count(2, uint32At(resource, 'droppedAttributesCount', 'dropped_attributes_count'));
    for (const reference of objectsAt(resource, 'entityRefs', 'entity_refs').toReversed()) {
      const start = this.#out.size;
      this.#text(1, textAt(reference, 'schemaUrl', 'schema_url'));
      this.#text(2, textAt(reference, 'type'));
      for (const key of textsAt(reference, 'idKeys', 'id_keys').toReversed()) this.#out.text(3, key);
      for (const key of textsAt(reference, 'descriptionKeys', 'description_keys').toReversed()) this.#out.text(4, key);
      this.#out.close(3, start);
    }
    this.#out.close(1, before);
  }

  #scopeSpans(scopeSpans: JsonObject): void {
    const out = this.#out;
    const before = out.size;
    const scope = objectAt(scopeSpans, 'scope') ?? EMPTY;
    this.#text(1, textAt(scope, 'name'));
    this.#text(2, textAt(scope, 'version'));
    this.#attributes(3, scope);
    this.#count(4, uint32At(scope, 'droppedAttributesCount', 'dropped_attributes_count'));
    out.close(1, before);
    const spans = objectsAt(scopeSpans, 'spans');
    for (this.#span = spans.length - 1; this.#span >= 0; this.#span--) this.#writeSpan(spans[this.#span]!);
    this.#text(3, textAt(scopeSpans, 'schemaUrl', 'schema_url'));
    out.close(2, before);
  }

  #writeSpan(span: JsonObject): void {
    const out = this.#out;
    const before = out.size;
    out.raw(1, idAt(span, 'traceId', 'trace_id', TRACE_ID_BYTES));
    out.raw(2, idAt(span, 'spanId', 'span_id', SPAN_ID_BYTES));
    this.#text(3, textAt(span, 'traceState', 'trace_state'));
    out.raw(4, idAt(span, 'parentSpanId', 'parent_span_id', SPAN_ID_BYTES));
    this.#flags(16, span);
    this.#text(5, textAt(span, 'name'));
    this.#enum(6, enumAt(span, 'kind', SPAN_KINDS));
    this.#time(7, uint64At(span, 'startTimeUnixNano', 'start_time_unix_nano'));
    this.#time(8, uint64At(span, 'endTimeUnixNano', 'end_time_unix_nano'));
    this.#attributes(9, span);
    this.#count(10, uint32At(span, 'droppedAttributesCount', 'dropped_attributes_count'));
    for (const event of objectsAt(span, 'events').toReversed()) this.#event(event);
    this.#count(12, uint32At(span, 'droppedEventsCount', 'dropped_events_count'));
    for (const link of objectsAt(span, 'links').toReversed()) this.#link(link);
    this.#count(14, uint32At(span, 'droppedLinksCount', 'dropped_links_count'));
    const status = objectAt(span, 'status') ?? EMPTY;
    const beforeStatus = out.size;
    this.#text(2, textAt(status, 'message'));
    this.#enum(3, enumAt(status, 'code', STATUS_CODES));
    out.close(15, beforeStatus);
    out.close(2, before);
  }

  #event(event: JsonObject): void {
    const before = this.#out.size;
    this.#time(1, uint64At(event, 'timeUnixNano', 'time_unix_nano'));
    this.#text(2, textAt(event, 'name'));
    this.#attributes(3, event);
    this.#count(4, uint32At(event, 'droppedAttributesCount', 'dropped_attributes_count'));
    this.#out.close(11, before);
  }

  #link(link: JsonObject): void {
    const before = this.#out.size;
    this.#out.raw(1, idAt(link, 'traceId', 'trace_id', TRACE_ID_BYTES));
    this.#out.raw(2, idAt(link, 'spanId', 'span_id', SPAN_ID_BYTES));
    this.#text(3, textAt(link, 'traceState', 'trace_state'));
    this.#attributes(4, link);
    this.#count(5, uint32At(link, 'droppedAttributesCount', 'dropped_attributes_count'));
    this.#flags(6, link);
    this.#out.close(13, before);
  }

  #attributes(field: number, owner: JsonObject): void {
    const attributes = objectsAt(owner, 'attributes');
    for (let i = attributes.length - 1; i >= 0; i--) this.#keyValue(field, attributes[i]!);
  }

  #keyValue(field: number, attribute: JsonObject): void {
    const before = this.#out.size;
    this.#text(1, textAt(attribute, 'key'));
    this.#anyValue(2, objectAt(attribute, 'value') ?? EMPTY);
    this.#out.close(field, before);
  }

  #anyValue(field: number, value: JsonObject): void {
    if (this.#depth === MAX_DEPTH) throw new JsonFault(`value must not be deeper than ${MAX_DEPTH} values in values`);
    this.#depth++;
    const before = this.#out.size;
    let member = '';
    for (const key in value) if (MEMBERS.has(key) && value[key] !== null) member = key;
    if (member !== '') this.#member(MEMBERS.get(member)!, value[member]!, member);
    this.#out.close(field, before);
    this.#depth--;
  }

  /** A member that is set counts also where it is zero or empty. */
  #member(field: number, value: Json, key: string): void {
    const out = this.#out;
    if (field === 1) out.text(1, textOf(value, key));
    else if (field === 2) out.number(2, flagOf(value, key) ? 1 : 0);
    else if (field === 3) out.int64(3, int64Of(value, key));
    else if (field === 4) out.double(4, doubleOf(value, key));
    else if (field === 7) out.raw(7, bytesOf(value, key));
    else {
      if (!isObject(value)) throw new JsonFault(`${key} must be an object`);
      const before = out.size;
      const items = objectsAt(value, 'values');
      for (let i = items.length - 1; i >= 0; i--) {
        if (field === 5) this.#anyValue(1, items[i]!);
        else this.#keyValue(1, items[i]!);
      }
      out.close(field, before);
    }
  }

  #text(field: number, text: string): void {
    if (text !== '') this.#out.text(field, text);
  }

  #count(field: number, value: number): void {
    if (value !== 0) this.#out.number(field, value);
  }

  #enum(field: number, value: bigint): void {
    if (value !== 0n) this.#out.int64(field, value);
  }

  #time(field: number, value: bigint): void {
    if (value !== 0n) this.#out.fixed64(field, value);
  }

  #flags(field: number, owner: JsonObject): void {
    const flags = uint32At(owner, 'flags');
    if (flags !== 0) this.#out.fixed32(field, flags);
  }
}

/** AnyValue's members by their keys. */
const MEMBERS: ReadonlyMap<string, number> = new Map(
  [
    ['stringValue', 'string_value'],
    ['boolValue', 'bool_value'],
    ['intValue', 'int_value'],
    ['doubleValue', 'double_value'],
    ['arrayValue', 'array_value'],
    ['kvlistValue', 'kvlist_value'],
    ['bytesValue', 'bytes_value'],
  ].flatMap((keys, i) => keys.map((key) => [key, i + 1] as const)),
);
