/** The chart, as helm renders it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { installChartTools } from '../services/install-chart-tools.ts';
import { run } from '../services/tools.ts';

export const CHART = join(import.meta.dirname, '../../../helm/tracetally');
const EXAMPLES = join(CHART, 'examples');
export const KUBERNETES = '1.36.3';
export const RELEASE = 'tracetally';
const NAMESPACE = 'tracing';

export type Values = { readonly [key: string]: unknown };
export type Manifest = {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly labels: Record<string, string>;
    readonly [key: string]: unknown;
  };
  // biome-ignore lint/suspicious/noExplicitAny: what Kubernetes takes is not typed here; tests look into it
  readonly [key: string]: any;
};

const render = async (more: readonly string[], chart = CHART): Promise<string> => {
  const { helm } = await installChartTools();
  return run(helm, ['template', RELEASE, chart, '--namespace', NAMESPACE, '--kube-version', KUBERNETES, ...more]);
};

let written = 0;
/** A file with values for helm, in a directory of the caller's. */
export const valuesFile = (directory: string, values: Values): string => {
  mkdirSync(directory, { recursive: true });
  written += 1;
  const file = join(directory, `values-${process.pid}-${written}.yaml`);
  writeFileSync(file, stringify(values));
  return file;
};

/** What the chart makes of the values, as text. Rejects with what helm says. */
export const renderText = (directory: string, values: Values, chart = CHART): Promise<string> =>
  render(['--values', valuesFile(directory, values)], chart);

/** The same as objects. */
export const renderObjects = async (directory: string, values: Values, chart = CHART): Promise<readonly Manifest[]> =>
  manifests(await renderText(directory, values, chart));

export const manifests = (text: string): readonly Manifest[] =>
  parseAllDocuments(text)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);

export const only = (objects: readonly Manifest[], kind: string): Manifest => {
  const found = objects.filter((object) => object.kind === kind);
  if (found.length !== 1) throw new Error(`there are ${found.length} of ${kind}, not one`);
  return found[0]!;
};

export const exampleNames = (): readonly string[] => readdirSync(EXAMPLES).sort();

export const exampleValues = (name: string): string => join(EXAMPLES, name, 'values.yaml');
export const exampleRendered = (name: string): string => join(EXAMPLES, name, 'rendered.yaml');

const LEFT_OUT = /^# Source: tracetally\/templates\/(prometheusrule|dashboards)\.yaml$/m;

/** What the example's `rendered.yaml` has to hold. Rules and dashboards are left out: they are files of their own. */
export const renderExample = async (name: string): Promise<string> => {
  const whole = await render(['--values', exampleValues(name)]);
  return whole
    .split(/^(?=---$)/m)
    .filter((part) => !LEFT_OUT.test(part))
    .join('');
};

export const renderExampleWhole = (name: string): Promise<string> => render(['--values', exampleValues(name)]);

export const heldExample = (name: string): string => readFileSync(exampleRendered(name), 'utf8');
