/** Builds `dist/`: TypeScript, the Lua scripts beside the code that loads them, and the executable bit of the bin. */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');
rmSync(join(root, 'dist'), { recursive: true, force: true });
execFileSync(
  process.execPath,
  [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.build.json')],
  {
    stdio: 'inherit',
  },
);
for (const folder of ['ledger/lua']) {
  if (existsSync(join(root, 'src', folder)))
    cpSync(join(root, 'src', folder), join(root, 'dist', folder), { recursive: true });
}
chmodSync(join(root, 'dist/main.js'), 0o755);
