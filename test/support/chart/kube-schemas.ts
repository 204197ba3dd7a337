/** Strict JSON schemas for kubeconform, from test/fixtures/kubernetes: a field that Kubernetes does not know is refused. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';

const FIXTURES = join(import.meta.dirname, '../../fixtures/kubernetes');

type Json = { [key: string]: unknown };

const read = <T>(file: string): T => JSON.parse(gunzipSync(readFileSync(join(FIXTURES, file))).toString()) as T;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Formats that JSON schema does not have, and objects that are closed unless they say otherwise. */
function strict(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(strict);
  if (!isObject(node)) return node;
  const { format, ...rest } = node;
  if (format === 'int-or-string' || node['x-kubernetes-int-or-string'] === true) return { type: ['integer', 'string'] };
  const made: Json = Object.fromEntries(
    Object.entries(rest).map(([key, value]) => [key, key === 'properties' ? strictEach(value) : strict(value)]),
  );
  const isOpen = node.additionalProperties !== undefined || node['x-kubernetes-preserve-unknown-fields'] === true;
  if (isObject(node.properties) && !isOpen) made.additionalProperties = false;
  return made;
}

/** Of a map from names to schemas: a property may be called like a keyword. */
const strictEach = (schemas: unknown): Json =>
  Object.fromEntries(Object.entries(schemas as Json).map(([name, schema]) => [name, strict(schema)]));

type GroupVersionKind = { readonly group: string; readonly version: string; readonly kind: string };
type Definitions = { readonly kinds: readonly string[]; readonly definitions: Record<string, Json> };
export type CustomResource = {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Json } }[];
  };
};

export const customResources = (): readonly CustomResource[] => read('crds.json.gz');

/** Writes them and answers what kubeconform takes as `-schema-location`. */
export function writeSchemas(directory: string): string {
  mkdirSync(directory, { recursive: true });
  // To kubeconform the group of a core kind is its version.
  const write = ({ group, version, kind }: GroupVersionKind, schema: unknown): void =>
    writeFileSync(
      join(directory, `${kind}-${group === '' ? version : group}-${version}.json`.toLowerCase()),
      JSON.stringify(schema),
    );
  const { kinds, definitions } = read<Definitions>('definitions.json.gz');
  // A quantity is written as a number, too.
  const quantity = { 'io.k8s.apimachinery.pkg.api.resource.Quantity': { type: ['string', 'number'] } };
  const shared: Json = { ...strictEach(definitions), ...quantity };
  for (const name of kinds) {
    const [gvk] = definitions[name]!['x-kubernetes-group-version-kind'] as [GroupVersionKind];
    write(gvk, { ...(shared[name] as Json), required: ['apiVersion', 'kind', 'metadata'], definitions: shared });
  }
  for (const { spec } of customResources())
    for (const { name: version, schema } of spec.versions) {
      const closed = strict(schema.openAPIV3Schema) as Json & { properties: Json };
      closed.properties.metadata = { type: 'object' };
      write({ group: spec.group, version, kind: spec.names.kind }, closed);
    }
  return join(directory, '{{.ResourceKind}}-{{.Group}}-{{.ResourceAPIVersion}}.json');
}
