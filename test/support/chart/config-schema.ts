/** The `config` of the chart's values, from the settings of the service: a JSON schema, and what the templates know. */
import { TEMPO_SECTIONS } from '../../../src/config/document.ts';
import { type FORMATS, isMapFormat } from '../../../src/config/formats.ts';
import { place, ROWS, type Row } from '../../../src/config/schema.ts';
import { MEASURE_NAMES } from '../../../src/config/trackers.ts';

export type Schema = { readonly [keyword: string]: unknown };

/** A text with a variable in it is only known when the service starts. */
const VARIABLE: Schema = { type: 'string', pattern: '\\$\\{' };
const orVariable = (schema: Schema): Schema => ({ anyOf: [schema, VARIABLE] });

const DURATION = '^([0-9]+(\\.[0-9]*)?(ns|us|ms|s|m|h|d))+$';
const SIZE = '^[0-9]+(\\.[0-9]+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$';

/** Helm's regular expressions look neither ahead nor behind: without such a part the pattern only allows more. */
const withoutLookaround = (source: string): string => {
  const begin = source.search(/\(\?<?[!=]/);
  if (begin < 0) return source;
  let depth = 0;
  for (let at = begin; at < source.length; at += 1) {
    if (source[at] === '\\') at += 1;
    else if (source[at] === '(') depth += 1;
    else if (source[at] === ')') depth -= 1;
    if (depth === 0) return withoutLookaround(source.slice(0, begin) + source.slice(at + 1));
  }
  throw new Error(`a bracket of ${source} is not closed`);
};

const textSchema = ({ pattern, required }: Row): Schema => {
  const alone: Schema = { type: 'string', ...(required === true ? { minLength: 1 } : {}) };
  if (pattern === undefined) return alone;
  const source = withoutLookaround(pattern.source);
  return orVariable({ ...alone, pattern: required === true ? source : `^$|${source}` });
};

const itemSchema = ({ pattern }: Row): Schema => {
  const item: Schema = { type: 'string', minLength: 1 };
  return pattern === undefined ? item : orVariable({ ...item, pattern: withoutLookaround(pattern.source) });
};

const RULE: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    label: { type: ['string', 'null'] },
    default: { type: ['string', 'null'] },
    regex: { type: ['string', 'null'] },
    lowercase: { type: ['boolean', 'null'] },
    map: { type: ['object', 'null'], additionalProperties: { type: ['string', 'null'] } },
    max_length: { type: ['integer', 'null'], minimum: 1 },
  },
};

const DIMENSIONS: Schema = { type: 'object', additionalProperties: { anyOf: [{ type: ['string', 'null'] }, RULE] } };

const trackerMap = (properties: Readonly<Record<string, Schema>>): Schema => ({
  type: 'object',
  additionalProperties: { type: ['object', 'null'], additionalProperties: false, properties },
});

const SCHEMA_OF: { readonly [format in keyof typeof FORMATS]: (row: Row) => Schema } = {
  text: textSchema,
  choice: ({ choices }) => orVariable({ enum: choices }),
  flag: () => orVariable({ type: 'boolean' }),
  count: ({ min = 0, max }) =>
    orVariable({ type: 'integer', minimum: min, ...(max === undefined ? {} : { maximum: max }) }),
  duration: () => ({ anyOf: [{ type: 'string', pattern: `${DURATION}|^0$` }, { const: 0 }, VARIABLE] }),
  size: () => ({ anyOf: [{ type: 'string', pattern: SIZE }, { type: 'integer', minimum: 0 }, VARIABLE] }),
  list: (row) => ({
    type: 'array',
    items: itemSchema(row),
    uniqueItems: true,
    ...(row.required === true ? { minItems: 1 } : {}),
  }),
  map: () => ({ type: 'object', additionalProperties: { type: ['string', 'null'] } }),
  trackers: () =>
    trackerMap({
      enabled: { type: ['boolean', 'null'] },
      measures: { type: ['array', 'null'], items: { enum: MEASURE_NAMES }, minItems: 1, uniqueItems: true },
      max_cardinality: { type: ['integer', 'null'], minimum: 0 },
      stale_duration: { type: ['string', 'null'] },
      without_dimensions: { enum: ['count', 'ignore', null] },
    }),
  tracker_defaults: () =>
    trackerMap({ dimensions: DIMENSIONS, max_cardinality: { type: ['integer', 'null'], minimum: 0 } }),
  dimensions: () => DIMENSIONS,
};

/** The schema of one setting. It refuses nothing that the service takes from a file in the type that is meant. */
export const settingSchema = (row: Row): Schema => ({ description: row.doc, ...SCHEMA_OF[row.format](row) });

type Tree = { [key: string]: Tree | Schema };

const objectOf = (tree: Tree, isLeaf: (path: string) => boolean, path = ''): Schema => ({
  type: 'object',
  additionalProperties: TEMPO_SECTIONS.has(path),
  properties: Object.fromEntries(
    Object.entries(tree).map(([key, node]) => {
      const inner = path === '' ? key : `${path}.${key}`;
      return [key, isLeaf(inner) ? node : objectOf(node as Tree, isLeaf, inner)];
    }),
  ),
});

/** Strict: a key that is no setting is refused, as by the service, but for what Tempo has beside ours. */
export const configSchema = (rows: readonly Row[] = ROWS): Schema => {
  const tree: Tree = {};
  for (const row of rows) place(tree, row.path, settingSchema(row));
  const paths = new Set(rows.map(({ path }) => path));
  return objectOf(tree, (path) => paths.has(path));
};

/** For templates: the defaults as they would be written in the file, and which settings hold a password. */
export const settingsFile = (rows: readonly Row[] = ROWS): string => {
  const defaults: Record<string, unknown> = {};
  for (const row of rows) {
    const value = isMapFormat(row.format) ? Object.fromEntries(row.default as [string, string][]) : row.default;
    place(defaults, row.path, value);
  }
  const secrets = rows.filter(({ sensitive }) => sensitive === true).map(({ path }) => path);
  return `${JSON.stringify({ defaults, secrets }, null, 2)}\n`;
};
