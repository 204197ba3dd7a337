/**
 * Writes the tables that are made from code into the documents: settings into README.md, self-metrics into
 * docs/metrics.md, how the accountings differ into docs/tempo.md, alerts into docs/runbooks.md, values into the chart's
 * README; and whole files of the chart: the schema of its values, what its templates know of the settings, the version
 * of the service. `--check` writes nothing and exits with 1 where a file is not in step.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { overridesApi } from '../../src/api/overrides-api.ts';
import { type StatusDeps, statusPages } from '../../src/api/status-pages.ts';
import { defaultText } from '../../src/config/describe.ts';
import { ROWS } from '../../src/config/schema.ts';
import { families } from '../../src/publish/families.ts';
import { BUILT_IN } from '../../src/publish/server.ts';
import type { Declared } from '../../src/telemetry/declared.ts';
import { DECLARED } from '../../src/telemetry/self-metrics.ts';
import { VERSION } from '../../src/telemetry/version.ts';
import { settingsFile } from './chart/config-schema.ts';
import { valuesSchema } from './chart/values-schema.ts';
import { chartValues } from './chart/values-table.ts';
import { packages } from './dependencies.ts';
import { alerts } from './rules.ts';
import { differences } from './tempo-differences.ts';

const root = join(import.meta.dirname, '../..');

const cell = (text: string): string => text.replaceAll('|', '\\|');
const rows = (lines: readonly (readonly string[])[]): string =>
  lines.map((line) => `| ${line.map(cell).join(' | ')} |`).join('\n');
const markdownTable = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  `${rows([head, head.map(() => '---')])}\n${rows(lines)}`;

export const settingsTable = (): string =>
  markdownTable(
    ['setting', 'default', 'what it does'],
    ROWS.map((row) => [`\`${row.path}\``, `\`${defaultText(row)}\``, row.doc]),
  );

export const endpointsTable = (): string =>
  markdownTable(
    ['path', 'answer'],
    [...BUILT_IN, ...statusPages({} as StatusDeps), overridesApi(null)].flatMap(({ path, methods }) =>
      Object.entries(methods).map(([method, what]) => [
        `\`${method} ${path.endsWith('/') ? `${path}{tenant}` : path}\``,
        what,
      ]),
    ),
  );

const labelsOf = (declared: Declared): string => {
  switch (declared.type) {
    case 'counter-by':
      return `\`${declared.label}\`: ${declared.values.join(', ')}`;
    case 'partition-gauge':
      return '`topic`, `partition`';
    case 'info':
      return declared.labels.map((label) => `\`${label}\``).join(', ');
    default:
      return '';
  }
};

const typeOf = ({ type }: Declared): string =>
  type === 'counter-by' ? 'counter' : type === 'partition-gauge' || type === 'info' ? 'gauge' : type;

export const metricsTable = (): string =>
  markdownTable(
    ['metric', 'type', 'labels', 'what it says'],
    Object.values(DECLARED).map((one: Declared) => [`\`${one.name}\``, typeOf(one), labelsOf(one), one.help]),
  );

/** By the names of the measures and dimensions of the default settings. */
const usageTable = (): string => {
  const settings = {
    account: () => ({ limit: 0, staleS: 0 }),
    dimensionLabels: () => [],
    measures: () => ['bytes', 'spans'],
  };
  return markdownTable(
    ['metric', 'type', 'labels', 'what it says'],
    families('', settings, ['cost-attribution']).map((family) => {
      const type = family.kind === 'series' ? 'counter' : family.type;
      const name = `\`..${family.name}${type === 'counter' ? '_total' : ''}\``;
      return [
        name,
        type,
        family.labels.map((label) => (label.startsWith('the ') ? label : `\`${label}\``)).join(', '),
        family.help,
      ];
    }),
  );
};

const differencesTable = (): string =>
  markdownTable(['category', "in the Collector's encoding", 'in others', 'refused by one alone', 'why'], differences());

const alertsTable = (): string =>
  markdownTable(
    ['alert', 'severity', 'after', 'what it says'],
    alerts().map(({ alert, labels, annotations, for: after }) => [
      `[${alert}](#${alert.toLowerCase()})`,
      labels.severity!,
      after ?? 'at once',
      annotations.summary!,
    ]),
  );

const valuesTable = (): string =>
  markdownTable(
    ['value', 'default', 'what it does'],
    chartValues().map((value) => [`\`${value.path}\``, `\`${value.default}\``, value.doc]),
  );

const chartFile = (): string =>
  readFileSync(join(root, 'helm/tracetally/Chart.yaml'), 'utf8').replace(/^appVersion: .*$/m, `appVersion: ${VERSION}`);

/** What users install with us; one line for those of one package that differ by machine. */
const dependenciesTable = (): string =>
  markdownTable(
    ['package', 'version', 'licence'],
    packages()
      .filter(({ isShipped, isOptional }) => isShipped && !isOptional)
      .map(({ name, alias, version, license }) => [
        alias === null ? `\`${name}\`` : `\`${name}\`: empty, \`${alias}\``,
        version,
        license,
      ]),
  );

/** Files, each with the name of its marked part and what belongs there. */
const PARTS = [
  { file: 'README.md', part: 'endpoints', content: endpointsTable },
  { file: 'README.md', part: 'settings', content: settingsTable },
  { file: 'docs/metrics.md', part: 'usage', content: usageTable },
  { file: 'docs/metrics.md', part: 'metrics', content: metricsTable },
  { file: 'docs/security.md', part: 'dependencies', content: dependenciesTable },
  { file: 'docs/tempo.md', part: 'differences', content: differencesTable },
  { file: 'docs/runbooks.md', part: 'alerts', content: alertsTable },
  { file: 'helm/tracetally/README.md', part: 'values', content: valuesTable },
] as const;

/** Files that are made as a whole. */
const FILES = [
  { file: 'helm/tracetally/values.schema.json', content: valuesSchema },
  { file: 'helm/tracetally/files/settings.json', content: settingsFile },
  { file: 'helm/tracetally/Chart.yaml', content: chartFile },
] as const;

/** The text with its marked part replaced; throws where it has no such part. */
export const withPart = (text: string, part: string, content: string): string => {
  const begin = `<!-- ${part}: made by test/support/generate-docs.ts -->`;
  const end = `<!-- end of ${part} -->`;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new Error(`there is no part "${part}"`);
  return `${text.slice(0, from + begin.length)}\n\n${content}\n\n${text.slice(to)}`;
};

const held = (file: string): string => (existsSync(join(root, file)) ? readFileSync(join(root, file), 'utf8') : '');

/** Files that are not in step, with what they should be. */
export const outOfStep = (): readonly { readonly file: string; readonly text: string }[] => {
  const texts = new Map<string, string>();
  for (const { file, part, content } of PARTS)
    texts.set(file, withPart(texts.get(file) ?? held(file), part, content()));
  for (const { file, content } of FILES) texts.set(file, content());
  return [...texts].map(([file, text]) => ({ file, text })).filter(({ file, text }) => text !== held(file));
};

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const stale = outOfStep();
  const checking = process.argv.includes('--check');
  for (const { file, text } of stale) {
    if (!checking) writeFileSync(join(root, file), text);
    process.stdout.write(`${file}: ${checking ? 'not in step: run node test/support/generate-docs.ts' : 'written'}\n`);
  }
  process.exitCode = checking && stale.length > 0 ? 1 : 0;
}
