/**
 * Keeps the ledger's client and scripts of a version as a fixture, for the tests of a rolling update:
 * `node test/support/keep-ledger.ts v1.2.3` writes test/fixtures/ledger/previous.tgz from that tag (or commit).
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const FIXTURE = join(ROOT, 'test/fixtures/ledger/previous.tgz');
const ENTRY = 'ledger/redis-ledger.js';

const sh = (command: string, args: readonly string[], cwd = ROOT): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim();

/** The file and all of ours that it imports, relative to `built`. */
const closure = (built: string, entry: string): ReadonlySet<string> => {
  const found = new Set<string>();
  const visit = (file: string): void => {
    if (found.has(file)) return;
    found.add(file);
    const imports = readFileSync(join(built, file), 'utf8').matchAll(/from ['"](\.[^'"]+)['"]/g);
    for (const [, to] of imports) visit(relative(built, resolve(built, dirname(file), to!)));
  };
  visit(entry);
  return found;
};

const [ref] = process.argv.slice(2);
if (ref === undefined) throw new Error('which version? node test/support/keep-ledger.ts TAG');
const dir = mkdtempSync(join(tmpdir(), 'tracetally-keep-'));
const tree = join(dir, 'tree');
try {
  const commit = sh('git', ['rev-parse', '--short', `${ref}^{commit}`]);
  sh('git', ['worktree', 'add', '--quiet', '--detach', tree, commit]);
  symlinkSync(join(ROOT, 'node_modules'), join(tree, 'node_modules'));
  const built = join(dir, 'built');
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  sh(process.execPath, [tsc, '-p', 'tsconfig.build.json', '--outDir', built], tree);
  const kept = join(dir, 'kept');
  for (const file of closure(built, ENTRY)) cpSync(join(built, file), join(kept, file), { recursive: true });
  cpSync(join(tree, 'src/ledger/lua'), join(kept, 'ledger/lua'), { recursive: true });
  const { version } = JSON.parse(readFileSync(join(tree, 'package.json'), 'utf8')) as { version: string };
  writeFileSync(join(kept, 'package.json'), `${JSON.stringify({ type: 'module', version, commit })}\n`);
  mkdirSync(dirname(FIXTURE), { recursive: true });
  const same = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];
  sh('tar', [...same, '-czf', FIXTURE, '-C', kept, '.']);
  process.stdout.write(`${relative(ROOT, FIXTURE)}: the ledger of ${version} (${commit})\n`);
} finally {
  sh('git', ['worktree', 'remove', '--force', tree]);
  rmSync(dir, { recursive: true, force: true });
}
