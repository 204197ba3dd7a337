/**
 * Scalars of OTLP/JSON, as its specification and the JSON form of proto3 have them: numbers also as texts, bytes as
 * base64 (ids as hex, too), enumerations by name or number, keys in camelCase or snake_case. null is absent.
 * https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
 */

export type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json | undefined };

/** A value is of another kind than its field. Caught in json.ts; nobody else sees it. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault';
}

const fault = (key: string, expected: string): never => {
  throw new JsonFault(`${key} must be ${expected}`);
};

export const isObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value under either spelling of its key; undefined: absent. */
const valueAt = (from: JsonObject, key: string, snake: string): Exclude<Json, null> | undefined => {
  const value = Object.hasOwn(from, key) ? from[key] : undefined;
  if (value !== undefined && value !== null) return value;
  if (snake === key || !Object.hasOwn(from, snake)) return undefined;
  return from[snake] ?? undefined;
};

/** Empty where it is absent. */
export const textAt = (from: JsonObject, key: string, snake = key): string => {
  const value = valueAt(from, key, snake) ?? '';
  return typeof value === 'string' ? value : fault(key, 'text');
};

export const textOf = (value: Json, key: string): string => (typeof value === 'string' ? value : fault(key, 'text'));

/** Null where it is absent. */
export const objectAt = (from: JsonObject, key: string, snake = key): JsonObject | null => {
  const value = valueAt(from, key, snake);
  if (value === undefined) return null;
  return isObject(value) ? value : fault(key, 'an object');
};

const NONE: readonly JsonObject[] = [];

/** An item that is null stands for an empty message. */
export const objectsAt = (from: JsonObject, key: string, snake = key): readonly JsonObject[] => {
  const value = valueAt(from, key, snake);
  if (value === undefined) return NONE;
  if (!Array.isArray(value)) return fault(key, 'a list');
  for (const item of value as readonly Json[]) if (item !== null && !isObject(item)) fault(key, 'a list of objects');
  return value.some((item) => item === null)
    ? value.map((item: JsonObject | null) => item ?? {})
    : (value as readonly JsonObject[]);
};

export const textsAt = (from: JsonObject, key: string, snake = key): readonly string[] => {
  const value = valueAt(from, key, snake) ?? [];
  if (!Array.isArray(value)) return fault(key, 'a list');
  for (const item of value as readonly Json[]) if (typeof item !== 'string') fault(key, 'a list of texts');
  return value as readonly string[];
};

const MAX_UINT32 = 2 ** 32 - 1;
const DIGITS = /^[+-]?\d{1,30}$/;

const integer = (value: Json, key: string, min: bigint, max: bigint): bigint => {
  const isWhole = typeof value === 'number' ? Number.isInteger(value) : typeof value === 'string' && DIGITS.test(value);
  if (!isWhole) return fault(key, 'a whole number');
  const number = BigInt(value as string | number);
  return number >= min && number <= max ? number : fault(key, `from ${min} to ${max}`);
};

export const uint32At = (from: JsonObject, key: string, snake = key): number => {
  const value = valueAt(from, key, snake) ?? 0;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_UINT32) return value;
  return Number(integer(value, key, 0n, BigInt(MAX_UINT32)));
};

export const uint64At = (from: JsonObject, key: string, snake = key): bigint => {
  const value = valueAt(from, key, snake) ?? 0;
  return value === 0 ? 0n : integer(value, key, 0n, 2n ** 64n - 1n);
};

export const int64Of = (value: Json, key: string): bigint => integer(value, key, -(2n ** 63n), 2n ** 63n - 1n);

/** A name is one of `names`, whose place is its number; a number may be any int32. */
export const enumAt = (from: JsonObject, key: string, names: readonly string[]): bigint => {
  const value = valueAt(from, key, key) ?? 0;
  const place = typeof value === 'string' ? names.indexOf(value) : -1;
  return place >= 0 ? BigInt(place) : integer(value, key, -(2n ** 31n), 2n ** 31n - 1n);
};

export const doubleOf = (value: Json, key: string): number => {
  if (typeof value === 'number') return value;
  if (value === 'NaN' || value === 'Infinity' || value === '-Infinity') return Number(value);
  const isNumber = typeof value === 'string' && /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value);
  return isNumber ? Number(value) : fault(key, 'a number');
};

export const flagOf = (value: Json, key: string): boolean =>
  typeof value === 'boolean' ? value : fault(key, 'true or false');

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

export const bytesOf = (value: Json, key: string): Buffer =>
  typeof value === 'string' && BASE64.test(value) ? Buffer.from(value, 'base64') : fault(key, 'base64');

const HEX = /^[0-9A-Fa-f]*$/;
const NO_ID = Buffer.alloc(0);

/** As hex of `length` bytes, or base64 of as many. One that is absent or all zero is empty, as the Collector writes it. */
export const idAt = (from: JsonObject, key: string, snake: string, length: number): Buffer => {
  const text = textAt(from, key, snake);
  if (text === '') return NO_ID;
  const isHex = text.length === 2 * length && HEX.test(text);
  const id = isHex ? Buffer.from(text, 'hex') : bytesOf(text, key);
  if (id.length !== length) fault(key, `an id of ${length} bytes, as hex or base64`);
  return id.every((byte) => byte === 0) ? NO_ID : id;
};
