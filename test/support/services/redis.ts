/** Real Redis and Valkey servers on 127.0.0.1, with directories and ports of their own. */
import { cpSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { installAnyRedis, installRedis, type RedisFlavour, type RedisProgram } from './install-redis.ts';
import { freePort } from './ports.ts';
import { type OwnedProcess, removeScratch, scratchDirectory, startProcess, waitForAnswer } from './process.ts';

export type RedisOptions = {
  /** Without one, whichever this machine can get. */
  readonly flavour?: RedisFlavour;
  /** More settings, as in redis.conf; they win over those from here. */
  readonly config?: Readonly<Record<string, string>>;
  readonly replicaOf?: { readonly port: number };
  /** Settings in a file that the server may rewrite, instead of arguments. Sentinel needs it. */
  readonly configFile?: string;
  /** Where it keeps its data, instead of in its own directory. The caller's: it is not removed at the end. */
  readonly dataDir?: string;
};

export type RedisServer = {
  readonly flavour: RedisFlavour;
  readonly port: number;
  readonly url: string;
  /** What it keeps: the append-only file, and its log (`server.log`). */
  readonly dir: string;
  /** Sends a signal; for SIGKILL and SIGTERM resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port and data; resolves when it answers. */
  start(): Promise<void>;
  /** Copies its data as they are, running or not, and answers where they lie. */
  snapshot(): Promise<string>;
  /** Replaces its data by a snapshot. Only while it is down. */
  restore(snapshot: string): Promise<void>;
  /** Ends it and removes what it kept, snapshots too. */
  stop(): Promise<void>;
};

const READY_TIMEOUT_MS = 20_000;

/** What production has: the append-only file is forced to the disk each second. A slow disk can then hold up every answer. */
export const FORCED_EACH_SECOND = { appendfsync: 'everysec' } as const;

/** Every write is in the append-only file before it is answered, so a SIGKILL loses none, however slow the disk is. */
const DEFAULTS: Readonly<Record<string, string>> = {
  bind: '127.0.0.1',
  save: '',
  appendonly: 'yes',
  appendfsync: 'no',
  'repl-diskless-sync-delay': '0',
};

export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  const program = await (options.flavour === undefined ? installAnyRedis() : installRedis(options.flavour));
  const port = await freePort();
  const dir = scratchDirectory(program.flavour);
  const data = options.dataDir ?? dir;
  const snapshots: string[] = [];
  const args =
    options.configFile === undefined
      ? settings(port, data, options)
      : [options.configFile, '--sentinel', '--port', String(port)];
  let child: OwnedProcess | undefined;

  const start = async () => {
    child = await launch(program, args, dir);
    await waitForAnswer(child, () => isUp(port), READY_TIMEOUT_MS);
  };
  const stop = async () => {
    await child?.stop(0);
    for (const path of [dir, ...snapshots]) removeScratch(path);
  };
  try {
    await start();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    flavour: program.flavour,
    port,
    url: `redis://127.0.0.1:${port}`,
    dir,
    kill: async (signal = 'SIGKILL') => {
      child!.signal(signal);
      if (signal === 'SIGKILL' || signal === 'SIGTERM') await child!.exit;
    },
    start,
    snapshot: async () => {
      const path = scratchDirectory('redis-snapshot');
      snapshots.push(path);
      cpSync(join(data, 'appendonlydir'), join(path, 'appendonlydir'), { recursive: true });
      return path;
    },
    restore: async (snapshot) => {
      if (child!.running()) throw new Error('a running server does not read its files again: kill it first');
      rmSync(join(data, 'appendonlydir'), { recursive: true, force: true });
      cpSync(join(snapshot, 'appendonlydir'), join(data, 'appendonlydir'), { recursive: true });
    },
    stop,
  };
}

function settings(port: number, dir: string, options: RedisOptions): string[] {
  const replicaOf = options.replicaOf === undefined ? {} : { replicaof: `127.0.0.1 ${options.replicaOf.port}` };
  const all: Record<string, string> = { ...DEFAULTS, port: String(port), dir, ...replicaOf, ...options.config };
  return Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...words(name, value)]);
}

/** `save ''` and passwords are one word each; `replicaof` and `user` take several. */
function words(name: string, value: string): string[] {
  return ['replicaof', 'user', 'rename-command', 'client-output-buffer-limit'].includes(name)
    ? value.split(' ')
    : [value];
}

function launch(program: RedisProgram, args: readonly string[], dir: string): Promise<OwnedProcess> {
  return startProcess({
    name: program.flavour,
    command: program.command,
    args,
    logFile: join(dir, 'server.log'),
    cwd: dir,
    ...(program.libraries === undefined ? {} : { env: { ...process.env, LD_LIBRARY_PATH: program.libraries } }),
  });
}

/** A server that asks for a password is up; one that still reads its files is not. */
async function isUp(port: number): Promise<void> {
  const answer = await ping(port);
  if (!['+PONG', '-NOAUTH', '-NOPERM'].some((start) => answer.startsWith(start))) throw new Error(answer.trim());
}

function ping(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1' });
    socket.setTimeout(1000, () => socket.destroy(new Error('no answer to PING in 1 s')));
    socket.once('connect', () => socket.write('PING\r\n'));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('connection closed')));
    socket.once('data', (chunk) => {
      resolve(chunk.toString());
      socket.destroy();
    });
  });
}
