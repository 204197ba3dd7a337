/**
 * Owner of child processes and scratch directories. Everything started here ends with this process: on exit, on a
 * signal, and, through a watchdog that notices the end of a pipe, also when this process is killed by SIGKILL.
 * Children run in process groups of their own, so that Ctrl-C reaches this process alone and it decides the order.
 */
import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { waitFor } from '../wait-for.ts';

export type ExitStatus = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export type OwnedProcess = {
  readonly name: string;
  readonly pid: number;
  /** Standard output and standard error, appended. */
  readonly logFile: string;
  /** Settles at the end of the process, whoever ended it. */
  readonly exit: Promise<ExitStatus>;
  running(): boolean;
  /** What was written to the log since this process was started. */
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** SIGTERM, and SIGKILL for what is still there after `graceMs`. Resolves when the process is gone. */
  stop(graceMs?: number): Promise<ExitStatus>;
};

export type OwnedProcessOptions = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
};

/** Reads `add PID`, `gone PID`, `dir PATH`, `nodir PATH`; at the end of its input it kills and removes what is left. */
const WATCHDOG = `
trap '' INT TERM HUP
pids=' '; dirs=''
while IFS=' ' read -r verb what; do
  case $verb in
    add) pids="$pids$what " ;;
    gone) pids="\${pids%% $what *} \${pids#* $what }" ;;
    dir) dirs="$dirs$what
" ;;
    nodir) dirs=$(printf '%s' "$dirs" | grep -vxF -- "$what")
[ -n "$dirs" ] && dirs="$dirs
" ;;
  esac
done
for pid in $pids; do kill -KILL "$pid" 2>/dev/null; done
printf '%s' "$dirs" | while IFS= read -r dir; do rm -rf -- "$dir"; done
`;

const children = new Map<number, ChildProcess>();
const directories = new Set<string>();
let watchdog: ChildProcessByStdio<Writable, null, null> | undefined;

/** Starts a program and owns it. Throws when it cannot be started at all. */
export async function startProcess(options: OwnedProcessOptions): Promise<OwnedProcess> {
  const log = openSync(options.logFile, 'a');
  const logStart = readFileSync(options.logFile).length;
  const child = spawn(options.command, options.args, {
    detached: true,
    stdio: ['ignore', log, log],
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  closeSync(log);
  const exit = new Promise<ExitStatus>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(new Error(`cannot start ${options.name} (${options.command})`, { cause })));
  });
  const pid = child.pid!;
  own(pid, child);
  void exit.then(() => disown(pid));

  const running = () => child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals) => {
    if (running()) child.kill(name);
  };
  return {
    name: options.name,
    pid,
    logFile: options.logFile,
    exit,
    running,
    log: () => readFileSync(options.logFile).subarray(logStart).toString(),
    signal,
    stop: async (graceMs = 3000) => {
      signal('SIGTERM');
      signal('SIGCONT');
      const timer = setTimeout(() => signal('SIGKILL'), graceMs);
      const status = await exit;
      clearTimeout(timer);
      return status;
    },
  };
}

/** Waits until the log of a process says `text`; rejects when the process ends first, with the end of its log. */
export async function waitForLog(child: OwnedProcess, text: string, timeoutMs: number): Promise<void> {
  await waitFor(
    () => {
      const log = child.log();
      if (log.includes(text)) return { done: true, value: undefined };
      if (!child.running()) throw new Error(`${child.name} ended while starting:\n${log.slice(-3000)}`);
      return { done: false, seen: log.slice(-1000) };
    },
    { timeoutMs, what: `"${text}" in the log of ${child.name}` },
  );
}

/** Waits until `ask` does not reject any more; rejects when the process ends first, with the end of its log. */
export async function waitForAnswer(
  child: OwnedProcess,
  ask: () => Promise<unknown>,
  timeoutMs: number,
): Promise<void> {
  await waitFor(
    async () => {
      if (!child.running()) throw new Error(`${child.name} has ended:\n${child.log().slice(-3000)}`);
      try {
        await ask();
        return { done: true, value: undefined };
      } catch (error) {
        return { done: false, seen: `${String(error)}; its log ends: ${child.log().slice(-1000)}` };
      }
    },
    { timeoutMs, what: `${child.name} to answer`, everyMs: 25 },
  );
}

/** A new directory under the system's temporary one, removed at the latest when this process ends. */
export function scratchDirectory(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `tracetally-${name}-`));
  tellWatchdog(`dir ${path}`);
  directories.add(path);
  return path;
}

export function removeScratch(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  directories.delete(path);
  tellWatchdog(`nodir ${path}`);
}

/** Kills everything at once and removes every directory. For the end of the process. */
export function killEverything(): void {
  for (const child of children.values()) child.kill('SIGKILL');
  children.clear();
  for (const path of directories) rmSync(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 50 });
  directories.clear();
}

function own(pid: number, child: ChildProcess): void {
  children.set(pid, child);
  tellWatchdog(`add ${pid}`);
}

function disown(pid: number): void {
  children.delete(pid);
  tellWatchdog(`gone ${pid}`);
}

function tellWatchdog(line: string): void {
  watchdog ??= startWatchdog();
  watchdog.stdin.write(`${line}\n`);
}

function startWatchdog(): ChildProcessByStdio<Writable, null, null> {
  const child = spawn('/bin/sh', ['-c', WATCHDOG], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  child.stdin.on('error', () => {});
  (child.stdin as Writable & { unref(): void }).unref();
  process.once('exit', killEverything);
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    // A caller with a handler of its own decides by itself when to end.
    if (process.listenerCount(name) === 0) process.once(name, () => process.exit(128 + number));
  }
  return child;
}
