import { inOneLine } from './visible.ts';

/** Columns for people; numbers to the right. */
export const table = (titles: readonly string[], content: readonly (readonly string[])[]): string => {
  const head = titles.map(inOneLine);
  const rows = content.map((row) => row.map(inOneLine));
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const isNumber = (text: string) => /^-?\d+$/.test(text);
  const line = (row: readonly string[]): string =>
    row
      .map((text, i) => (isNumber(text) ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(head), ...rows.map(line)].join('\n');
};
