/**
 * Writes the tables that are made from code into the documents: settings into README.md, self-metrics into
 * docs/metrics.md, how the accountings differ into docs/tempo.md, alerts into docs/runbooks.md. `--check` writes nothing and exits with 1 where a document is not in step.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { defaultText } from '../../src/config/describe.ts';
import { ROWS } from '../../src/config/schema.ts';
import type { Declared } from '../../src/telemetry/declared.ts';
import { DECLARED } from '../../src/telemetry/self-metrics.ts';

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

/** Files, each with the name of its marked part and what belongs there. */
const PARTS = [
  { file: 'README.md', part: 'settings', content: settingsTable },
  { file: 'docs/metrics.md', part: 'metrics', content: metricsTable },
  { file: 'docs/tempo.md', part: 'differences', content: differencesTable },
  { file: 'docs/runbooks.md', part: 'alerts', content: alertsTable },
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

/** Documents that are not in step, with what they should be. */
export const outOfStep = (): readonly { readonly file: string; readonly text: string }[] =>
  PARTS.flatMap(({ file, part, content }) => {
    const held = readFileSync(join(root, file), 'utf8');
    const text = withPart(held, part, content());
    return text === held ? [] : [{ file, text }];
  });

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const stale = outOfStep();
  const checking = process.argv.includes('--check');
  for (const { file, text } of stale) {
    if (!checking) writeFileSync(join(root, file), text);
    process.stdout.write(`${file}: ${checking ? 'not in step: run node test/support/generate-docs.ts' : 'written'}\n`);
  }
  process.exitCode = checking && stale.length > 0 ? 1 : 0;
}
