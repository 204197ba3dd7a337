/** Whether a registered schema is that of OTLP traces. */
import type { RegisteredSchema } from './port.ts';
import { messageAt, type ProtoMessage, protoMessages } from './proto-text.ts';

/** `name`: what the schema is, for people. */
export type Meaning = { readonly isTraces: boolean; readonly name: string };

/** Messages whose wire form is that of OTLP traces, or that carry such. */
const TRACES = new Set([
  'opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest',
  'opentelemetry.proto.trace.v1.TracesData',
  'tempopb.Trace',
  'tempopb.PushBytesRequest',
]);

/**
 * What the message at `indexes` of a schema is; none: the value is JSON. Protobuf: one of the known messages, or one
 * whose first field is `repeated ResourceSpans`, as theirs is. JSON Schema: an object with `resourceSpans`. Never throws.
 */
export const meaningOf = ({ type, text }: RegisteredSchema, indexes: readonly number[]): Meaning => {
  if (type === 'PROTOBUF') return indexes.length === 0 ? mismatch('protobuf') : protobuf(text, indexes);
  if (type === 'JSON') return indexes.length === 0 ? json(text) : mismatch('JSON');
  return { isTraces: false, name: `a schema of the type ${type.slice(0, 40)}` };
};

const mismatch = (what: string): Meaning => ({ isTraces: false, name: `a ${what} schema, which the value is not` });

const protobuf = (text: string, indexes: readonly number[]): Meaning => {
  const message = messageAt(protoMessages(text), indexes);
  if (message === null) return { isTraces: false, name: `no message at ${indexes.join('.')} of the schema` };
  return { isTraces: TRACES.has(message.fullName) || holdsRegions(message), name: message.fullName.slice(0, 200) };
};

const holdsRegions = ({ fields }: ProtoMessage): boolean =>
  fields.some(({ isRepeated, type, number }) => isRepeated && number === 1 && /(?:^|\.)ResourceSpans$/.test(type));

const json = (text: string): Meaning => {
  let schema: unknown;
  try {
    schema = JSON.parse(text);
  } catch {
    return { isTraces: false, name: 'a JSON schema that is no JSON' };
  }
  const title = isObject(schema) && typeof schema.title === 'string' ? schema.title.slice(0, 200) : 'a JSON schema';
  const { properties } = resolved(schema, schema, 0);
  const isTraces = isObject(properties) && ('resourceSpans' in properties || 'resource_spans' in properties);
  return { isTraces, name: title };
};

type Tree = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Tree => typeof value === 'object' && value !== null;

const MAX_REFS = 8;

/** Behind references within the schema. */
const resolved = (root: unknown, schema: unknown, depth: number): Tree => {
  if (!isObject(schema)) return {};
  const { $ref } = schema;
  if (typeof $ref !== 'string' || !$ref.startsWith('#/') || depth === MAX_REFS) return schema;
  let found: unknown = root;
  for (const key of $ref.slice(2).split('/')) found = isObject(found) ? found[key] : undefined;
  return resolved(root, found, depth + 1);
};
