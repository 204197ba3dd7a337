/**
 * Builds `dist/`: TypeScript, the Lua scripts beside the code that loads them, and the executable bit of the bin. What
 * was there stays until the new one is complete.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
const target = join(root, 'dist');
const made = join(root, `.cache/dist-${process.pid}`);
const old = `${made}-old`;

try {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, '-p', join(root, 'tsconfig.build.json'), '--outDir', made], {
    stdio: 'inherit',
  });
  cpSync(join(root, 'src/ledger/lua'), join(made, 'ledger/lua'), { recursive: true });
  chmodSync(join(made, 'main.js'), 0o755);
  rmSync(old, { recursive: true, force: true });
  try {
    renameSync(target, old);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  renameSync(made, target);
} catch (error) {
  // The compiler has said what is wrong.
  if (!(error instanceof Error && 'status' in error)) throw error;
  process.exitCode = 1;
} finally {
  for (const leftover of [made, old]) rmSync(leftover, { recursive: true, force: true });
}
