/** Rows -> text for a terminal, and docs/benchmarks.md. */
import type { BenchRow } from './row.ts';

const figure = (value: number): string =>
  value >= 100 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3);

const HEAD = ['row', 'unit', 'yardstick', 'ours', 'ours / yardstick'];

const cells = (row: BenchRow): string[] => [
  row.row,
  row.unit,
  figure(row.yardstick),
  figure(row.ours),
  row.ratio.toFixed(2),
];

/** Aligned columns. */
export const table = (rows: readonly BenchRow[]): string => {
  const lines = [HEAD, ...rows.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column < 2 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join('  '),
    )
    .join('\n');
};

/** From here on the page is written by people, and kept. */
const WRITTEN = '## What bounds these figures';

export type PageFacts = {
  readonly corpus: string;
  readonly machine: string;
  readonly day: string;
  /** The page as it was. */
  readonly before: string;
};

export const page = (rows: readonly BenchRow[], facts: PageFacts): string => {
  const written = facts.before.indexOf(WRITTEN);
  const groups = [...new Set(rows.map(({ group }) => group))];
  const sections = groups.map((group) => {
    const lines = rows.filter((row) => row.group === group).map((row) => `| ${cells(row).join(' | ')} |`);
    return `## ${group}\n\n| ${HEAD.join(' | ')} |\n| --- | --- | --: | --: | --: |\n${lines.join('\n')}\n`;
  });
  return `# Benchmarks

Written by \`npm run bench\` on ${facts.day}; corpus: ${facts.corpus}; machine: ${facts.machine}. Each row was measured
beside its yardstick in one run on one machine, both in turn, medians. Machines are noisy and differ: compare ratios.

Repeat with \`npm run bench -- --corpus FILE\` (records, each behind its length as a varint, gzip or not), one group with
\`npm run bench -- hot-path\`; objects with \`--json\`.

${sections.join('\n')}
![What a byte costs as things become more](growth.svg)

${written < 0 ? WRITTEN : facts.before.slice(written).trimEnd()}
`;
};
