/** A replica of the service as a process of its own, run as an operator runs it: `serve --config FILE`. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { freePort } from './ports.ts';
import {
  type ExitStatus,
  type OwnedProcess,
  removeScratch,
  scratchDirectory,
  startProcess,
  waitForAnswer,
} from './process.ts';

/** What the image starts Node with, and in what environment (deploy/Dockerfile). */
export const NODE_FLAGS = ['--no-warnings', '--max-semi-space-size=16'] as const;
export const NODE_ENVIRONMENT = { MALLOC_MMAP_THRESHOLD_: '4194304', MALLOC_TRIM_THRESHOLD_: '8388608' } as const;

const ROOT = join(import.meta.dirname, '../../..');

export type ReplicaConfig = { readonly [section: string]: unknown };

export type ReplicaOptions = {
  readonly name: string;
  /** The configuration file's content. The host and the port are set here unless it says others. */
  readonly config: ReplicaConfig;
  readonly env?: Readonly<Record<string, string>>;
  /** `dist` (the default) is what users run; `src` needs no build. */
  readonly from?: 'dist' | 'src';
};

export type Replica = {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly configFile: string;
  readonly logFile: string;
  /** Of the current or last process. */
  readonly pid: number;
  running(): boolean;
  /** What the current or last process has written. */
  log(): string;
  signal(signal: NodeJS.Signals): void;
  /** Resolves when the current process has ended, by itself or by a signal. */
  exit(): Promise<ExitStatus>;
  /** Starts it again, on the same port, after its process has ended. Does not wait for readiness. */
  start(): Promise<void>;
  waitReady(timeoutMs?: number): Promise<void>;
  /** GET; rejects where nobody answers or the status is not 200. Without the header of Prometheus, as a person with curl. */
  scrape(path: string, headers?: Readonly<Record<string, string>>): Promise<string>;
  /** SIGTERM, after `graceMs` SIGKILL; then removes its directory. */
  stop(graceMs?: number): Promise<ExitStatus>;
};

export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const program = join(ROOT, options.from === 'src' ? 'src/main.ts' : 'dist/main.js');
  if (!existsSync(program)) throw new Error(`${program} is not there: run \`npm run build\` first`);
  const dir = scratchDirectory(options.name);
  const port = await freePort();
  const configFile = join(dir, 'tracetally.yaml');
  const server = { host: '127.0.0.1', port, ...(options.config.server as object | undefined) };
  writeFileSync(configFile, stringify({ ...options.config, server }));
  const logFile = join(dir, 'replica.log');
  const launch = () =>
    startProcess({
      name: options.name,
      command: process.execPath,
      args: [...NODE_FLAGS, program, 'serve', '--config', configFile],
      logFile,
      cwd: dir,
      env: { ...plainEnvironment(), ...NODE_ENVIRONMENT, ...options.env },
    });
  let child: OwnedProcess = await launch();
  const url = `http://127.0.0.1:${port}`;
  const scrape = (path: string, headers: Readonly<Record<string, string>> = {}) => get(`${url}${path}`, headers);
  return {
    name: options.name,
    port,
    url,
    configFile,
    logFile,
    get pid() {
      return child.pid;
    },
    running: () => child.running(),
    log: () => child.log(),
    signal: (name) => child.signal(name),
    exit: () => child.exit,
    start: async () => {
      if (child.running()) throw new Error(`${options.name} is still running`);
      child = await launch();
    },
    waitReady: (timeoutMs = 60_000) => waitForAnswer(child, () => scrape('/ready'), timeoutMs),
    scrape,
    stop: async (graceMs = 30_000) => {
      const status = await child.stop(graceMs);
      removeScratch(dir);
      return status;
    },
  };
}

/** Settings in the environment of whoever runs the tests must not reach a replica, nor must jest's options for Node. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith('TRACETALLY_') && name !== 'NODE_OPTIONS',
  );
  return Object.fromEntries(kept);
}

async function get(url: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(10_000) });
  const body = await response.text();
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${body.slice(0, 500)}`);
  return body;
}
