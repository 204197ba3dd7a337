/**
 * Writes OTLP trace requests as bytes: as an SDK does (fields ascending, what is absent stays absent), as the Collector
 * does (fields descending; status, resource, scope and a parent id are always there), or in an order and with oddities
 * that protobuf allows. Works from the end of the buffer to its beginning, so that lengths are known when written.
 */

/** A number is written as int64 where it is an integer, else as double; null is a KeyValue whose AnyValue has no member. */
export type OtlpValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Uint8Array
  | { readonly double: number }
  | { readonly array: readonly OtlpValue[] }
  | { readonly kvlist: OtlpAttributes };

export type OtlpAttributes = readonly (readonly [key: string | Uint8Array, value: OtlpValue])[];

export type OtlpEvent = {
  readonly timeUnixNano?: bigint;
  readonly name?: string;
  readonly attributes?: OtlpAttributes;
};

export type OtlpLink = {
  readonly traceId?: Uint8Array;
  readonly spanId?: Uint8Array;
  readonly traceState?: string;
  readonly attributes?: OtlpAttributes;
};

export type OtlpSpan = {
  readonly traceId?: Uint8Array;
  readonly spanId?: Uint8Array;
  readonly traceState?: string;
  readonly parentSpanId?: Uint8Array;
  readonly name?: string;
  readonly kind?: number;
  readonly startTimeUnixNano?: bigint;
  readonly endTimeUnixNano?: bigint;
  readonly attributes?: OtlpAttributes;
  readonly droppedAttributesCount?: number;
  readonly events?: readonly OtlpEvent[];
  readonly links?: readonly OtlpLink[];
  readonly status?: { readonly message?: string; readonly code?: number };
  readonly flags?: number;
};

export type OtlpScopeSpans = {
  readonly scope?: { readonly name?: string; readonly version?: string; readonly attributes?: OtlpAttributes };
  readonly spans: readonly OtlpSpan[];
  readonly schemaUrl?: string;
};

export type OtlpResource = { readonly attributes: OtlpAttributes };

export type OtlpResourceSpans = {
  readonly resource?: OtlpResource;
  /** Further Resource messages in the same ResourceSpans; a decoder merges them. */
  readonly moreResources?: readonly OtlpResource[];
  readonly scopeSpans: readonly OtlpScopeSpans[];
  readonly schemaUrl?: string;
};

export type OtlpRequest = { readonly resourceSpans: readonly OtlpResourceSpans[] };

/** What protobuf allows beside the two usual orders. Chances are between 0 and 1. */
export type EncodeStyle = {
  readonly order: 'ascending' | 'descending' | 'random';
  /** Uniform in [0, 1). Needed where an order is random or a chance is given. */
  readonly random?: () => number;
  /** Chance of an unknown field after each field. */
  readonly unknown?: number;
  /** Chance that a varint is written longer than it has to be. */
  readonly padded?: number;
};

type Write = (out: BackwardWriter) => void;
type Field = { readonly number: number; readonly write: Write };

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const GROUP_START = 3;
const GROUP_END = 4;
const FIXED32 = 5;
const FLAGS = 16;

/** The request as bytes. */
export function encodeRequest(request: OtlpRequest, style: 'ascending' | 'descending' | EncodeStyle): Buffer {
  const out = new BackwardWriter(typeof style === 'string' ? { order: style } : style);
  out.fields(request.resourceSpans.map((region) => nested(1, resourceSpansFields(region, out.collector))));
  return out.take();
}

class BackwardWriter {
  readonly collector: boolean;
  readonly #style: EncodeStyle;
  readonly #random: () => number;
  #buffer = Buffer.allocUnsafe(4096);
  #at = 4096;

  constructor(style: EncodeStyle) {
    this.#style = style;
    this.collector = style.order === 'descending';
    this.#random =
      style.random ??
      (() => {
        throw new Error('this style needs a source of chance');
      });
  }

  take(): Buffer {
    return Buffer.from(this.#buffer.subarray(this.#at));
  }

  fields(fields: readonly Field[]): void {
    const ordered = this.#arrange(fields);
    for (let i = ordered.length - 1; i >= 0; i--) {
      if (this.#chance(this.#style.unknown)) this.#unknown();
      ordered[i]!.write(this);
    }
    if (this.#chance(this.#style.unknown)) this.#unknown();
  }

  /** A length-delimited field whose payload `write` writes. */
  delimited(field: number, write: Write): void {
    const end = this.#buffer.length - this.#at;
    write(this);
    this.varint(BigInt(this.#buffer.length - this.#at - end));
    this.tag(field, BYTES);
  }

  bytes(field: number, bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#at -= bytes.length;
    this.#buffer.set(bytes, this.#at);
    this.varint(BigInt(bytes.length));
    this.tag(field, BYTES);
  }

  tag(field: number, wireType: number): void {
    this.varint(BigInt(field * 8 + wireType));
  }

  varint(value: bigint): void {
    if (value >= 0n && value < 128n && this.#style.padded === undefined) {
      this.#room(1);
      this.#buffer[--this.#at] = Number(value);
      return;
    }
    const groups: number[] = [];
    let rest = BigInt.asUintN(64, value);
    do {
      groups.push(Number(rest & 127n));
      rest >>= 7n;
    } while (rest > 0n);
    if (this.#chance(this.#style.padded)) while (groups.length < 5 && this.#random() < 0.6) groups.push(0);
    this.#room(groups.length);
    for (let i = groups.length - 1; i >= 0; i--) {
      this.#buffer[--this.#at] = groups[i]! | (i < groups.length - 1 ? 128 : 0);
    }
  }

  fixed(field: number, bits: 32 | 64, value: bigint): void {
    const wireType = bits === 32 ? FIXED32 : FIXED64;
    this.#room(bits / 8);
    this.#at -= bits / 8;
    if (bits === 32) this.#buffer.writeUInt32LE(Number(BigInt.asUintN(32, value)), this.#at);
    else this.#buffer.writeBigUInt64LE(BigInt.asUintN(64, value), this.#at);
    this.tag(field, wireType);
  }

  double(field: number, value: number): void {
    this.#room(8);
    this.#at -= 8;
    this.#buffer.writeDoubleLE(value, this.#at);
    this.tag(field, FIXED64);
  }

  #arrange(fields: readonly Field[]): readonly Field[] {
    if (this.#style.order === 'ascending') return fields;
    if (this.#style.order === 'descending') return fields.toSorted((a, b) => rank(b.number) - rank(a.number));
    const shuffled = [...fields];
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1));
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  }

  #chance(chance: number | undefined): boolean {
    return chance !== undefined && chance > 0 && this.#random() < chance;
  }

  #unknown(): void {
    const field = 2000 + Math.floor(this.#random() * 10);
    const kind = Math.floor(this.#random() * 5);
    if (kind === 0) {
      this.varint(BigInt(Math.floor(this.#random() * 2 ** 40)));
      this.tag(field, VARINT);
    } else if (kind === 1) this.fixed(field, 64, 77n);
    else if (kind === 2) this.fixed(field, 32, 78n);
    else if (kind === 3) this.bytes(field, new Uint8Array(Math.floor(this.#random() * 20)).fill(255));
    else {
      this.tag(field, GROUP_END);
      if (this.#random() < 0.5) this.#unknown();
      this.tag(field, GROUP_START);
    }
  }

  #room(bytes: number): void {
    if (this.#at >= bytes) return;
    const used = this.#buffer.length - this.#at;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, used + bytes));
    this.#buffer.copy(larger, larger.length - used, this.#at);
    this.#at = larger.length - used;
    this.#buffer = larger;
  }
}

/** The Collector writes descending, but a span's flags (16) between 5 and 4. */
function rank(field: number): number {
  return field === FLAGS ? 4.5 : field;
}

function nested(number: number, fields: readonly Field[]): Field {
  return { number, write: (out) => out.delimited(number, (inner) => inner.fields(fields)) };
}

function text(number: number, value: string | undefined): Field[] {
  return value === undefined ? [] : [raw(number, Buffer.from(value))];
}

function raw(number: number, value: Uint8Array): Field {
  return { number, write: (out) => out.bytes(number, value) };
}

function optionalRaw(number: number, value: Uint8Array | undefined): Field[] {
  return value === undefined ? [] : [raw(number, value)];
}

function integer(number: number, value: number | bigint | undefined): Field[] {
  if (value === undefined) return [];
  return [
    {
      number,
      write: (out) => {
        out.varint(BigInt(value));
        out.tag(number, VARINT);
      },
    },
  ];
}

function fixed(number: number, bits: 32 | 64, value: number | bigint | undefined): Field[] {
  return value === undefined ? [] : [{ number, write: (out) => out.fixed(number, bits, BigInt(value)) }];
}

function attributeFields(number: number, attributes: OtlpAttributes | undefined): Field[] {
  return (attributes ?? []).map(([key, value]) =>
    nested(number, [raw(1, typeof key === 'string' ? Buffer.from(key) : key), nested(2, valueFields(value))]),
  );
}

function valueFields(value: OtlpValue): Field[] {
  if (value === null) return [];
  if (typeof value === 'string') return text(1, value);
  if (typeof value === 'boolean') return integer(2, value ? 1 : 0);
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value))) return integer(3, value);
  if (typeof value === 'number') return [{ number: 4, write: (out) => out.double(4, value) }];
  if (value instanceof Uint8Array) return [raw(7, value)];
  if ('double' in value) return [{ number: 4, write: (out) => out.double(4, value.double) }];
  if ('array' in value) {
    return [
      nested(
        5,
        value.array.map((item) => nested(1, valueFields(item))),
      ),
    ];
  }
  return [nested(6, attributeFields(1, value.kvlist))];
}

function resourceSpansFields(region: OtlpResourceSpans, collector: boolean): Field[] {
  const resources = [region.resource ?? (collector ? { attributes: [] } : undefined), ...(region.moreResources ?? [])];
  return [
    ...resources.filter((resource) => resource !== undefined).map((r) => nested(1, attributeFields(1, r.attributes))),
    ...region.scopeSpans.map((scope) => nested(2, scopeSpansFields(scope, collector))),
    ...text(3, region.schemaUrl),
  ];
}

function scopeSpansFields(scopeSpans: OtlpScopeSpans, collector: boolean): Field[] {
  const scope = scopeSpans.scope ?? (collector ? {} : undefined);
  return [
    ...(scope === undefined
      ? []
      : [nested(1, [...text(1, scope.name), ...text(2, scope.version), ...attributeFields(3, scope.attributes)])]),
    ...scopeSpans.spans.map((span) => nested(2, spanFields(span, collector))),
    ...text(3, scopeSpans.schemaUrl),
  ];
}

function spanFields(span: OtlpSpan, collector: boolean): Field[] {
  const status = span.status ?? (collector ? {} : undefined);
  return [
    ...optionalRaw(1, span.traceId),
    ...optionalRaw(2, span.spanId),
    ...text(3, span.traceState),
    ...optionalRaw(4, span.parentSpanId ?? (collector ? new Uint8Array(0) : undefined)),
    ...text(5, span.name),
    ...integer(6, span.kind),
    ...fixed(7, 64, span.startTimeUnixNano),
    ...fixed(8, 64, span.endTimeUnixNano),
    ...attributeFields(9, span.attributes),
    ...integer(10, span.droppedAttributesCount),
    ...(span.events ?? []).map((event) =>
      nested(11, [
        ...fixed(1, 64, event.timeUnixNano),
        ...text(2, event.name),
        ...attributeFields(3, event.attributes),
      ]),
    ),
    ...(span.links ?? []).map((link) =>
      nested(13, [
        ...optionalRaw(1, link.traceId),
        ...optionalRaw(2, link.spanId),
        ...text(3, link.traceState),
        ...attributeFields(4, link.attributes),
      ]),
    ),
    ...(status === undefined ? [] : [nested(15, [...text(2, status.message), ...integer(3, status.code)])]),
    ...fixed(16, 32, span.flags),
  ];
}
