/**
 * Holds the imports to the one direction that the house has (docs/architecture.md), and refuses cycles.
 * A folder may import itself, what its row names, and the leaf `words`; type seams with `import type` alone.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const root = join(import.meta.dirname, '../../src');

/** Fixed lists of words: every folder may say them. */
const LEAF = 'words';
/** What each folder (or file of the top) may import. `*` is everything. */
const ALLOWED: Record<string, readonly string[]> = {
  main: ['cli', 'telemetry'],
  cli: ['*'],
  commands: ['*'],
  service: ['*'],
  parts: ['*'],
  standing: ['api', 'ledger', 'overrides', 'publish', 'telemetry', 'observe'],
  observe: ['ledger', 'attribution', 'overrides', 'telemetry', 'pipeline'],
  schemas: ['otlp'],
  intake: ['kafka', 'schemas', 'attribution', 'config', 'pipeline', 'telemetry'],
  pipeline: ['otlp', 'attribution', 'ledger', 'telemetry'],
  publish: ['ledger', 'attribution', 'telemetry'],
  api: ['publish', 'overrides', 'config', 'attribution', 'telemetry'],
  ledger: ['attribution', 'otlp'],
  attribution: ['otlp'],
  overrides: ['attribution', 'config'],
  kafka: ['telemetry'],
  otlp: [],
  config: [],
  telemetry: [],
  ui: [],
  [LEAF]: [],
};
/** Seams: files of types that a folder below may name with `import type`. */
const TYPE_SEAMS: Record<string, readonly string[]> = {
  ledger: ['kafka/port.ts'],
  pipeline: ['kafka/port.ts'],
  observe: ['kafka/port.ts'],
  standing: ['kafka/port.ts'],
};

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => join(root, file));
const areaOf = (file: string): string => relative(root, file).split('/')[0]!.replace(/\.ts$/, '');

const problems: string[] = [];
const graph = new Map<string, string[]>();
for (const file of files) {
  const targets: string[] = [];
  for (const match of readFileSync(file, 'utf8').matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+'(\.[^']+)'/gm)) {
    const target = resolve(dirname(file), match[2]!);
    const from = areaOf(file);
    const to = areaOf(target);
    const allowed = ALLOWED[from];
    if (match[1] === undefined) targets.push(target);
    if (allowed === undefined)
      problems.push(`${relative(root, file)}: the folder ${from} has no row in check-imports.ts`);
    else if (from !== to && to !== LEAF && !allowed.includes('*') && !allowed.includes(to)) {
      const seam = match[1] !== undefined && TYPE_SEAMS[from]?.includes(relative(root, target));
      if (!seam)
        problems.push(
          `${relative(root, file)} imports ${relative(root, target)}: ${from} may import ${allowed.join(', ') || 'nothing of ours'}`,
        );
    }
  }
  graph.set(file, targets);
}

const done = new Set<string>();
const visit = (file: string, path: readonly string[]): void => {
  if (path.includes(file)) {
    problems.push(`cycle: ${[...path.slice(path.indexOf(file)), file].map((f) => relative(root, f)).join(' -> ')}`);
    return;
  }
  if (done.has(file)) return;
  for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
  done.add(file);
};
for (const file of files) visit(file, []);

if (problems.length > 0) {
  process.stderr.write(`${problems.join('\n')}\n`);
  process.exit(1);
}
process.stdout.write(`imports: ${files.length} files, one direction, no cycle\n`);
