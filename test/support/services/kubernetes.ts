/** A Kubernetes cluster on loopback whose nodes are played by kwok: pods are placed and ready, and run nothing. */
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { installKubernetes } from './install-kubernetes.ts';
import { freePort } from './ports.ts';
import { type OwnedProcess, removeScratch, scratchDirectory, startProcess, waitForAnswer } from './process.ts';
import { run } from './tools.ts';

export type Kubernetes = {
  readonly version: string;
  readonly kubeconfig: string;
  /** Runs kubectl and answers what it printed; rejects where it fails. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** The same with a manifest on a file. */
  apply(manifest: object, ...args: readonly string[]): Promise<string>;
  stop(): Promise<void>;
};

const START_MS = 120_000;

export async function startKubernetes(nodes: readonly string[]): Promise<Kubernetes> {
  const { version, program } = await installKubernetes();
  const dir = scratchDirectory('kubernetes');
  const children: OwnedProcess[] = [];
  const start = async (name: Parameters<typeof program>[0], args: Readonly<Record<string, string>>) => {
    const list = Object.entries(args).map(([flag, value]) => `--${flag}=${value}`);
    const child = await startProcess({ name, command: program(name), args: list, logFile: join(dir, `${name}.log`) });
    children.unshift(child);
    return child;
  };
  const stop = async (): Promise<void> => {
    for (const child of children) await child.stop(10_000);
    removeScratch(dir);
  };
  try {
    const etcd = await startEtcd(start, dir);
    const access = { ...writeAccess(dir), port: await freePort() };
    const kubeconfig = writeKubeconfig(dir, access);
    const kubectl = (...args: readonly string[]) => run(program('kubectl'), ['--kubeconfig', kubeconfig, ...args]);
    const server = await start('kube-apiserver', serverFlags(dir, access, etcd));
    await waitForAnswer(server, () => kubectl('get', '--raw', '/readyz'), START_MS);
    await startControllers(start, dir, kubeconfig);
    let written = 0;
    const apply = async (manifest: object, ...args: readonly string[]): Promise<string> => {
      written += 1;
      const file = join(dir, `manifest-${written}.yaml`);
      writeFileSync(file, stringify(manifest));
      return kubectl('apply', '--filename', file, ...args);
    };
    for (const node of nodes) await apply(nodeManifest(node));
    return { version, kubeconfig, kubectl, apply, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Start = (
  name: Parameters<Awaited<ReturnType<typeof installKubernetes>>['program']>[0],
  args: Record<string, string>,
) => Promise<OwnedProcess>;
type Access = { readonly token: string; readonly port: number };

async function startEtcd(start: Start, dir: string): Promise<string> {
  const [client, peer] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${client}`;
  const etcd = await start('etcd', {
    'data-dir': join(dir, 'etcd'),
    'listen-client-urls': url,
    'advertise-client-urls': url,
    'listen-peer-urls': `http://127.0.0.1:${peer}`,
    'initial-advertise-peer-urls': `http://127.0.0.1:${peer}`,
    'initial-cluster': `default=http://127.0.0.1:${peer}`,
    'unsafe-no-fsync': 'true',
  });
  const healthy = async () => {
    const response = await fetch(`${url}/health`);
    if (!response.ok) throw new Error(`etcd answers ${response.status}`);
  };
  await waitForAnswer(etcd, healthy, START_MS);
  return url;
}

/** A token of the administrators' group, and the key that service accounts are signed with. */
function writeAccess(dir: string): { readonly token: string } {
  const token = randomBytes(16).toString('hex');
  writeFileSync(join(dir, 'tokens.csv'), `${token},admin,admin,system:masters\n`);
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(join(dir, 'accounts.pem'), privateKey.export({ type: 'pkcs1', format: 'pem' }));
  return { token };
}

function writeKubeconfig(dir: string, { token, port }: Access): string {
  const file = join(dir, 'kubeconfig');
  const cluster = { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true };
  const content = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'live', cluster }],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'live', context: { cluster: 'live', user: 'admin' } }],
    'current-context': 'live',
  };
  writeFileSync(file, stringify(content), { mode: 0o600 });
  return file;
}

const serverFlags = (dir: string, { port }: Access, etcd: string): Record<string, string> => ({
  'etcd-servers': etcd,
  'bind-address': '127.0.0.1',
  'advertise-address': '127.0.0.1',
  'secure-port': String(port),
  'cert-dir': join(dir, 'certificates'),
  'service-cluster-ip-range': '10.96.0.0/16',
  'endpoint-reconciler-type': 'none',
  'authorization-mode': 'RBAC',
  'token-auth-file': join(dir, 'tokens.csv'),
  'service-account-issuer': 'https://kubernetes.default.svc',
  'service-account-key-file': join(dir, 'accounts.pem'),
  'service-account-signing-key-file': join(dir, 'accounts.pem'),
});

async function startControllers(start: Start, dir: string, kubeconfig: string): Promise<void> {
  const shared = async () => ({
    kubeconfig,
    'leader-elect': 'false',
    'bind-address': '127.0.0.1',
    'secure-port': String(await freePort()),
    'cert-dir': join(dir, 'certificates'),
  });
  await start('kube-controller-manager', {
    ...(await shared()),
    'service-account-private-key-file': join(dir, 'accounts.pem'),
    'concurrent-gc-syncs': '5',
  });
  await start('kube-scheduler', await shared());
  await start('kwok', {
    kubeconfig,
    config: join(import.meta.dirname, 'kwok-stages.yaml'),
    'manage-all-nodes': 'true',
    'node-lease-duration-seconds': '40',
    'server-address': `127.0.0.1:${await freePort()}`,
  });
}

const nodeManifest = (name: string): object => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name,
    labels: {
      'kubernetes.io/hostname': name,
      'kubernetes.io/os': 'linux',
      'topology.kubernetes.io/zone': `zone-${name}`,
    },
  },
  status: {
    capacity: { cpu: '8', memory: '32Gi', pods: '110' },
    allocatable: { cpu: '8', memory: '32Gi', pods: '110' },
  },
});
