/**
 * Every setting, once: the source of the file's keys, of the environment's names, of `--help` and of the table in
 * README.md. A setting is here when it does something. Each section stands in a file of `settings/`.
 */
import convict from 'convict';
import { FORMATS, type FormatName } from './formats.ts';
import { KAFKA, SCHEMA_REGISTRY } from './settings/kafka.ts';
import { LEDGER, REDIS } from './settings/ledger.ts';
import { OVERRIDES } from './settings/overrides.ts';
import { PUBLISH } from './settings/publish.ts';
import { LOG, SERVER } from './settings/server.ts';
import type { Setting, Tree } from './settings/setting.ts';
import { TENANTS, USAGE } from './settings/usage.ts';

/** In the order of the file. */
export const SETTINGS = {
  server: SERVER,
  kafka: KAFKA,
  schema_registry: SCHEMA_REGISTRY,
  redis: REDIS,
  ledger: LEDGER,
  tenants: TENANTS,
  usage: USAGE,
  overrides: OVERRIDES,
  publish: PUBLISH,
  log: LOG,
} as const satisfies Tree;

/** A setting with its place. */
export type Row = Setting & { readonly path: string; readonly env: string };

const isSetting = (node: Setting | Tree): node is Setting => typeof node.doc === 'string';

const rowsOf = (tree: Tree, prefix: string): readonly Row[] =>
  Object.entries(tree).flatMap(([key, node]) => {
    const path = prefix === '' ? key : `${prefix}.${key}`;
    if (!isSetting(node)) return rowsOf(node, path);
    return [{ ...node, path, env: `TRACETALLY_${path.replaceAll('.', '_').toUpperCase()}` }];
  });

/** All settings in the order of the file. */
export const ROWS: readonly Row[] = rowsOf(SETTINGS, '');

/** Puts a value at a path, with the objects that lead there. */
export const place = (root: Record<string, unknown>, path: string, value: unknown): void => {
  const keys = path.split('.');
  let node = root;
  for (const key of keys.slice(0, -1)) {
    node[key] ??= {};
    node = node[key] as Record<string, unknown>;
  }
  node[keys.at(-1)!] = value;
};

/** The type of the value that a setting's format makes. */
type Value<S> = S extends { readonly choices: readonly (infer C)[] }
  ? C
  : S extends { readonly format: infer F extends FormatName }
    ? ReturnType<(typeof FORMATS)[F]>
    : never;

/** The tree of settings with values in the place of settings. */
export type Values<T = typeof SETTINGS> = {
  readonly [K in keyof T]: T[K] extends Setting ? Value<T[K]> : Values<T[K]>;
};

for (const name of Object.keys(FORMATS) as FormatName[]) {
  convict.addFormat({ name, validate: (value, setting) => void FORMATS[name](value, setting as Row) });
}

/**
 * A setting's name in convict. Its tree is kept flat: it would take a section that has a key called `default` for a
 * setting.
 */
export const convictKey = (row: Row): string => row.path.replaceAll('.', '/');

const SCHEMA = Object.fromEntries(ROWS.map((row) => [convictKey(row), row]));

/** The layers in their order: defaults, then `raw` (from the file, by `convictKey`), then the environment. */
export const layered = (raw: object, env: Readonly<Record<string, string | undefined>>): ((row: Row) => unknown) => {
  const layers = convict<Record<string, unknown>>(SCHEMA as never, { env: { ...env }, args: [] }).load(raw);
  return (row) => layers.get(convictKey(row));
};
