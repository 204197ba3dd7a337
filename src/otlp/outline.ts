/** Names and ids of a record's spans, in the order of the wire: for people, beside what the scanners say. */
import { grammar, LEN, REFUSED, SKIP, Wire } from './wire.ts';

export type SpanOutline = { readonly name: string; readonly traceId: string; readonly spanId: string };

const OLD_SCOPE_SPANS_TAG = 1000 * 8 + LEN;
const RESOURCE_SPANS = grammar([[1, LEN, 1]]);
const SCOPE_SPANS = grammar([[2, LEN, 2]]);
const SPAN = grammar([[2, LEN, 3]]);
const FIELDS = grammar([
  [1, LEN, 1],
  [2, LEN, 2],
  [5, LEN, 5],
]);

type Range = readonly [start: number, end: number];

/** Payloads of the fields that have an action; ends at the first fault. */
const payloads = (bytes: Buffer, [start, end]: Range, actions: Uint8Array): readonly (readonly [number, Range])[] => {
  const wire = new Wire();
  wire.bytes = bytes;
  const found: (readonly [number, Range])[] = [];
  for (let at = start; at < end; at = wire.stop) {
    const action = wire.field(at, end, actions);
    if (action === REFUSED) break;
    if (action !== SKIP) found.push([action, [wire.start, wire.stop]]);
  }
  return found;
};

/** Payloads of field 1000, whose tag has two bytes. */
const oldScopes = (bytes: Buffer, [start, end]: Range): readonly Range[] => {
  const wire = new Wire();
  wire.bytes = bytes;
  const none = new Uint8Array(256);
  const found: Range[] = [];
  for (let at = start; at < end; at = wire.stop) {
    const isOld = ((bytes[at]! & 0x7f) | ((bytes[at + 1] ?? 0) << 7)) === OLD_SCOPE_SPANS_TAG && bytes[at]! >= 0x80;
    if (wire.field(at, end, none) === REFUSED) break;
    if (isOld) found.push([wire.start, wire.stop]);
  }
  return found;
};

const outline = (bytes: Buffer, span: Range): SpanOutline => {
  const texts = { name: '', traceId: '', spanId: '' };
  for (const [field, [start, end]] of payloads(bytes, span, FIELDS)) {
    if (field === 5) texts.name = bytes.toString('utf8', start, end);
    else if (field === 1) texts.traceId = bytes.toString('hex', start, end);
    else texts.spanId = bytes.toString('hex', start, end);
  }
  return texts;
};

/** `withOld`: where a region has none of today's ScopeSpans, those of before (field 1000). Stops at what is malformed. */
export function* outlineSpans(bytes: Buffer, withOld: boolean): Generator<SpanOutline, void, void> {
  for (const [, region] of payloads(bytes, [0, bytes.length], RESOURCE_SPANS)) {
    const scopes = payloads(bytes, region, SCOPE_SPANS).map(([, range]) => range);
    for (const scope of scopes.length === 0 && withOld ? oldScopes(bytes, region) : scopes)
      for (const [, span] of payloads(bytes, scope, SPAN)) yield outline(bytes, span);
  }
}
