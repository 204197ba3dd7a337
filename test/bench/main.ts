/**
 * `npm run bench [-- GROUP...] [--corpus FILE] [--json] [--quick]`: measures, each row beside its yardstick from the
 * same run, prints a table (or an object per row), and, when every group was run, writes docs/benchmarks.md.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { page, table } from './page.ts';
import type { BenchRow } from './row.ts';

type Group = (options: { readonly corpus?: string; readonly quick?: boolean }) => Promise<BenchRow[]>;

const GROUPS: Readonly<Record<string, () => Promise<Group>>> = {
  'hot-path': async () => (await import('./hot-path.ts')).rows,
  'end-to-end': async () => (await import('./end-to-end.ts')).rows,
  growth: async () => (await import('./growth.ts')).rows,
  ledger: async () => (await import('./ledger.ts')).rows,
  replica: async () => (await import('./replica.ts')).rows,
  scrape: async () => (await import('./scrape.ts')).rows,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    corpus: { type: 'string' },
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});

const unknown = positionals.filter((name) => !(name in GROUPS));
if (unknown.length > 0) {
  process.stderr.write(`no such group: ${unknown.join(', ')}. There are: ${Object.keys(GROUPS).join(', ')}\n`);
  process.exit(2);
}

const chosen = positionals.length > 0 ? positionals : Object.keys(GROUPS);
const options = { quick: values.quick, ...(values.corpus === undefined ? {} : { corpus: values.corpus }) };
const all: BenchRow[] = [];
for (const name of chosen) {
  if (!values.json) process.stdout.write(`${name} ...\n`);
  const rows = await (await GROUPS[name]!())(options);
  all.push(...rows);
  process.stdout.write(values.json ? rows.map((row) => `${JSON.stringify(row)}\n`).join('') : `${table(rows)}\n`);
}
if (positionals.length === 0 && !values.quick) {
  const corpus = values.corpus === undefined ? 'a corpus made by the bench' : basename(values.corpus);
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim() ?? 'unknown'}, Node ${process.versions.node}`;
  const file = join(import.meta.dirname, '../../docs/benchmarks.md');
  const day = new Date().toISOString().slice(0, 10);
  writeFileSync(file, page(all, { corpus, machine, day, before: readFileSync(file, 'utf8') }));
}
