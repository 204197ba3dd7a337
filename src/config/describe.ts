/** Settings as text: for `--help` and for the table in README.md. */
import { isMapFormat } from './formats.ts';
import type { Row } from './schema.ts';

/** A default as it would be written in the file. */
export const defaultText = (row: Row): string => {
  if (isMapFormat(row.format)) return JSON.stringify(Object.fromEntries(row.default as [string, string][]));
  if (Array.isArray(row.default)) return JSON.stringify(row.default);
  return row.default === '' ? '""' : String(row.default);
};

/** Lines of at most about `width` characters, broken at spaces. */
export const wrapped = (text: string, width: number): readonly string[] => {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + word.length + 1 > width) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
};

/** Each setting with its default and its sentence. */
export const settingsHelp = (rows: readonly Row[]): string =>
  rows
    .map((row) => {
      const head = `  ${row.path} (${row.format}, default ${defaultText(row)})`;
      return [head, ...wrapped(row.doc, 92).map((line) => `      ${line}`)].join('\n');
    })
    .join('\n');
