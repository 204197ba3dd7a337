/**
 * A real API server with its etcd, controllers and scheduler, kubectl, and kwok, which plays nodes. All built from one
 * Go module (kubernetes-module), so that each library is compiled once; about ten minutes on two cores, once.
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { goEnvironment, installGo } from './install-go.ts';
import { CACHE, run, say, withLock } from './tools.ts';

const MODULE = join(import.meta.dirname, 'kubernetes-module');
const PROGRAMS = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
  'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  kwok: 'sigs.k8s.io/kwok/cmd/kwok',
} as const;

export type KubernetesTools = { readonly version: string; program(name: keyof typeof PROGRAMS): string };

export async function installKubernetes(): Promise<KubernetesTools> {
  const files = ['go.mod', 'go.sum'].map((file) => readFileSync(join(MODULE, file)));
  const version = /k8s\.io\/kubernetes (v[\d.]+)/.exec(String(files[0]))![1]!;
  const hash = createHash('sha256').update(Buffer.concat(files)).digest('hex').slice(0, 12);
  const target = join(CACHE, `kubernetes-${hash}`);
  if (!existsSync(target)) await withLock('kubernetes', () => build(target, version));
  return { version, program: (name) => join(target, name) };
}

async function build(target: string, version: string): Promise<void> {
  if (existsSync(target)) return;
  const go = await installGo();
  // What was built before an interruption stays: each program takes minutes.
  const unfinished = `${target}.unfinished`;
  mkdirSync(unfinished, { recursive: true });
  const source = join(unfinished, 'module');
  cpSync(MODULE, source, { recursive: true });
  for (const [name, path] of Object.entries(PROGRAMS)) {
    if (existsSync(join(unfinished, name))) continue;
    say(`building ${name} with Go`);
    const output = join(unfinished, `${name}.unfinished`);
    await run(go, ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', ...flags(version), '-o', output, path], {
      cwd: source,
      env: goEnvironment(),
    });
    renameSync(output, join(unfinished, name));
  }
  rmSync(source, { recursive: true });
  renameSync(unfinished, target);
}

/** Without them the server takes itself for version 0.0.0, and Helm for too old. */
function flags(version: string): readonly string[] {
  const [major, minor] = version.slice(1).split('.');
  const stamp = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const set = Object.entries(stamp).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ['-ldflags', ['-s', '-w', ...set].join(' ')];
}
