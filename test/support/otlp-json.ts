/** Trace requests as OTLP/JSON in all the spellings that it has, and in the form that the Collector gives them as protobuf. */
import type { OtlpAttributes, OtlpLink, OtlpRequest, OtlpSpan, OtlpValue } from './otlp-encode.ts';

/** Which of two spellings is written; asked anew for each. */
export type Choose = () => boolean;

type Json = Record<string, unknown>;

const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'];
const CODES = ['UNSET', 'OK', 'ERROR'];

/** The request as JSON text. */
export const requestAsJson = (request: OtlpRequest, choose: Choose): string =>
  JSON.stringify(new JsonForm(choose).request(request));

class JsonForm {
  readonly #choose: Choose;

  constructor(choose: Choose) {
    this.#choose = choose;
  }

  request({ resourceSpans }: OtlpRequest): Json {
    return this.#object({
      resourceSpans: resourceSpans.map(({ resource, scopeSpans, schemaUrl }) =>
        this.#object({
          resource: resource && this.#object({ attributes: this.#attributes(resource.attributes) }),
          scopeSpans: scopeSpans.map(({ scope, spans, schemaUrl: url }) =>
            this.#object({
              scope: scope && this.#object({ ...scope, attributes: this.#attributes(scope.attributes) }),
              spans: spans.map((span) => this.#span(span)),
              schemaUrl: url,
            }),
          ),
          schemaUrl,
        }),
      ),
    });
  }

  #span(span: OtlpSpan): Json {
    return this.#object({
      ...span,
      traceId: this.#id(span.traceId),
      spanId: this.#id(span.spanId),
      parentSpanId: this.#id(span.parentSpanId),
      kind: this.#enum(span.kind, KINDS, 'SPAN_KIND_'),
      startTimeUnixNano: this.#integer(span.startTimeUnixNano),
      endTimeUnixNano: this.#integer(span.endTimeUnixNano),
      attributes: this.#attributes(span.attributes),
      events: span.events?.map((event) =>
        this.#object({
          ...event,
          timeUnixNano: this.#integer(event.timeUnixNano),
          attributes: this.#attributes(event.attributes),
        }),
      ),
      links: span.links?.map((link) =>
        this.#object({
          ...link,
          traceId: this.#id(link.traceId),
          spanId: this.#id(link.spanId),
          attributes: this.#attributes(link.attributes),
        }),
      ),
      status:
        span.status && this.#object({ ...span.status, code: this.#enum(span.status.code, CODES, 'STATUS_CODE_') }),
    });
  }

  #attributes(attributes: OtlpAttributes | undefined): unknown {
    return attributes?.map(([key, value]) => this.#object({ key: key.toString(), value: this.#value(value) }));
  }

  #value(value: OtlpValue): Json {
    if (value === null) return {};
    if (typeof value === 'string') return this.#object({ stringValue: value });
    if (typeof value === 'boolean') return this.#object({ boolValue: value });
    if (typeof value === 'bigint' || Number.isSafeInteger(value))
      return this.#object({ intValue: this.#integer(value as bigint) });
    if (typeof value === 'number') return this.#object({ doubleValue: value });
    if (value instanceof Uint8Array) return this.#object({ bytesValue: Buffer.from(value).toString('base64') });
    if ('double' in value) return this.#object({ doubleValue: this.#double(value.double) });
    if ('array' in value) return this.#object({ arrayValue: { values: value.array.map((item) => this.#value(item)) } });
    return this.#object({ kvlistValue: { values: this.#attributes(value.kvlist) } });
  }

  /** JSON has no -0 that it would keep, and no infinities. */
  #double(value: number): unknown {
    return Number.isFinite(value) && !Object.is(value, -0) && this.#choose()
      ? value
      : Object.is(value, -0)
        ? '-0'
        : String(value);
  }

  #id(id: Uint8Array | undefined): string | undefined {
    return id === undefined ? undefined : Buffer.from(id).toString(this.#choose() ? 'hex' : 'base64');
  }

  #enum(value: number | undefined, names: readonly string[], prefix: string): unknown {
    const name = value === undefined ? undefined : names[value];
    return name !== undefined && this.#choose() ? prefix + name : value;
  }

  #integer(value: number | bigint | undefined): unknown {
    if (value === undefined) return undefined;
    return this.#choose() ? String(value) : new RawNumber(String(value));
  }

  /** Absent fields stay absent, or are null; keys are in either case; keys that nobody knows are added. */
  #object(fields: Json): Json {
    const out: Json = {};
    for (const [key, value] of Object.entries(fields)) {
      const name = this.#choose() ? key : key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      if (value !== undefined) out[name] = value;
      else if (this.#choose()) out[name] = null;
    }
    if (this.#choose()) out.unheardOf = [{ spans: 1 }];
    return out;
  }
}

/** Digits as they are: a double would round them. */
class RawNumber {
  readonly #digits: string;

  constructor(digits: string) {
    this.#digits = digits;
  }

  toJSON(): unknown {
    return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(this.#digits);
  }
}

const id = (given: Uint8Array | undefined): Uint8Array =>
  given === undefined || given.every((byte) => byte === 0) ? new Uint8Array(0) : given;

const dropped = <T>(value: T, zero: T): T | undefined => (value === zero ? undefined : value);

/** The request as `encodeRequest` has to be given it, descending, so that it comes out as the Collector writes it. */
export const asCollectorWrites = (request: OtlpRequest): OtlpRequest => ({
  resourceSpans: request.resourceSpans.map(({ resource, scopeSpans, schemaUrl }) => ({
    ...(resource === undefined ? {} : { resource }),
    scopeSpans: scopeSpans.map(({ scope, spans, schemaUrl: url }) => ({
      ...(scope === undefined ? {} : { scope: prune({ ...scope, name: dropped(scope.name, '') }) }),
      spans: spans.map(collectorSpan),
      ...(url === undefined || url === '' ? {} : { schemaUrl: url }),
    })),
    ...(schemaUrl === undefined || schemaUrl === '' ? {} : { schemaUrl }),
  })),
});

const collectorSpan = (span: OtlpSpan): OtlpSpan =>
  prune({
    ...span,
    traceId: id(span.traceId),
    spanId: id(span.spanId),
    parentSpanId: id(span.parentSpanId),
    name: dropped(span.name, ''),
    kind: dropped(span.kind, 0),
    startTimeUnixNano: dropped(span.startTimeUnixNano, 0n),
    droppedAttributesCount: dropped(span.droppedAttributesCount, 0),
    flags: dropped(span.flags, 0),
    status: span.status && prune({ message: dropped(span.status.message, ''), code: dropped(span.status.code, 0) }),
    events: span.events?.map((event) => prune({ ...event, name: dropped(event.name, '') })),
    links: span.links?.map(
      (link): OtlpLink =>
        prune({
          ...link,
          traceId: id(link.traceId),
          spanId: id(link.spanId),
          traceState: dropped(link.traceState, ''),
        }),
    ),
  }) as OtlpSpan;

const prune = <T extends object>(from: T): { [K in keyof T]: Exclude<T[K], undefined> } =>
  Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
