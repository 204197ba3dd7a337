/**
 * What a tenant sets for itself by `/api/overrides`, in the form of Grafana Tempo's:
 *
 *   { "cost_attribution": { "dimensions": { <attribute>: <label or rule> } },
 *     "trackers": { <name>: { "dimensions": ... } } }                            ours
 *
 * Absent or null: as the operator has it. `dimensions: {}`: none. Limits are the operator's. What else Tempo's document
 * can hold (forwarders, metrics_generator) concerns nothing here, and is refused so that nobody takes it for in force.
 */
import { type Block, readBlock, SECTION, TRACKERS } from './block.ts';

/** By tenant. The same object for as long as the document is the same. */
export type UserBlocks = ReadonlyMap<string, Block>;

export type UserDocument = {
  readonly block: Block;
  /** As it is stored and answered. */
  readonly json: JsonObject;
};

type Json = string | number | boolean | null | readonly Json[] | JsonObject;
export type JsonObject = { readonly [key: string]: Json };

const unknownField = (key: string): string => `json: unknown field "${key}"`;

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The JSON of a body or of a stored document, or what is wrong with it. */
export const parseJson = (text: string): { readonly value: Json } | { readonly problem: string } => {
  try {
    return { value: JSON.parse(text) as Json };
  } catch (error) {
    return { problem: `the body is not JSON: ${(error as Error).message}` };
  }
};

/** Each is looked for in every span of the tenant, and slows down its neighbours. */
const MAX_DIMENSIONS = 32;

const tooMany = (block: Block): string | null => {
  for (const [name, { dimensions = [] }] of block)
    if (dimensions.length > MAX_DIMENSIONS)
      return `${name}: there may be ${MAX_DIMENSIONS} dimensions, not ${dimensions.length}`;
  return null;
};

/**
 * The first thing that is wrong decides, as in Tempo. `trackers`: those that it may speak of beside cost attribution; null:
 * any, for one that there is not has no effect, and as many dimensions as whoever stored it allowed.
 */
export const readUserDocument = (
  value: Json,
  trackers: readonly string[] | null,
): UserDocument | { readonly problem: string } => {
  if (!isObject(value)) return { problem: 'the body must be a JSON object' };
  for (const key of Object.keys(value)) if (key !== SECTION && key !== TRACKERS) return { problem: unknownField(key) };
  const wrong: string[] = [];
  const form = {
    settings: ['dimensions'],
    trackers,
    unknownKey: (_path: string, key: string) => unknownField(key),
  } as const;
  const block = readBlock(value[SECTION], value[TRACKERS], form, wrong);
  const problem = wrong[0] ?? (trackers === null ? null : tooMany(block));
  if (problem !== null) return { problem };
  const named = Object.entries((value[TRACKERS] ?? {}) as JsonObject).filter(([, section]) => section !== null);
  const json = {
    [SECTION]: withoutNulls((value[SECTION] ?? {}) as JsonObject),
    ...(named.length === 0
      ? {}
      : {
          [TRACKERS]: Object.fromEntries(named.map(([name, section]) => [name, withoutNulls(section as JsonObject)])),
        }),
  };
  return { block, json };
};

/** Null says as much as nothing, but for the label of a dimension: there it stands for an empty one. */
const withoutNulls = (section: JsonObject): JsonObject => {
  const { dimensions } = section;
  if (!isObject(dimensions)) return {};
  return { dimensions: Object.fromEntries(Object.entries(dimensions).map(([key, rule]) => [key, rule ?? ''])) };
};

/** RFC 7386. Makes no object that anybody else holds its own. */
export const mergePatch = (target: Json, patch: Json): Json => {
  if (!isObject(patch)) return patch;
  const merged = new Map<string, Json>(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key) ?? null, value));
  }
  return Object.fromEntries(merged);
};
