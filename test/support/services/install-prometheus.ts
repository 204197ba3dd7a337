/** The programs of Prometheus and of its Alertmanager. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, firstWay, installSystemPackages, onPath, run, say, unpackSystemPackages, withLock } from './tools.ts';

export type PrometheusTools = { readonly prometheus: string; readonly promtool: string };

/** Rejects when it cannot be had. */
export function installPrometheus(): Promise<PrometheusTools> {
  return firstWay<PrometheusTools>('Prometheus', [
    { name: 'prometheus on PATH', attempt: async () => ofSystem() },
    { name: 'apt-get, unpacked into the cache', attempt: () => withLock('prometheus', unpack) },
    {
      name: 'apt-get install prometheus',
      attempt: async () => {
        say('installing prometheus with apt-get');
        await installSystemPackages(['prometheus']);
        return ofSystem();
      },
    },
  ]);
}

/** amtool of the Alertmanager. Rejects when it cannot be had. */
export function installAmtool(): Promise<string> {
  return firstWay<string>('amtool', [
    { name: 'amtool on PATH', attempt: async () => onPath('amtool') },
    { name: 'apt-get, unpacked into the cache', attempt: () => withLock('alertmanager', unpackAmtool) },
  ]);
}

async function unpackAmtool(): Promise<string> {
  const target = join(CACHE, 'alertmanager');
  const amtool = (root: string) => join(root, 'usr/bin/amtool');
  if (existsSync(target)) return amtool(target);
  say('amtool is absent: fetching prometheus-alertmanager with apt-get into .cache (nothing is installed)');
  const unfinished = `${target}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await unpackSystemPackages(unfinished, ['prometheus-alertmanager']);
  await run(amtool(unfinished), ['--version']);
  renameSync(unfinished, target);
  return amtool(target);
}

function ofSystem(): PrometheusTools | undefined {
  const prometheus = onPath('prometheus');
  const promtool = onPath('promtool');
  return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool };
}

async function unpack(): Promise<PrometheusTools> {
  const target = join(CACHE, 'prometheus');
  const tools = (root: string) => ({
    prometheus: join(root, 'usr/bin/prometheus'),
    promtool: join(root, 'usr/bin/promtool'),
  });
  if (existsSync(target)) return tools(target);
  say('prometheus is absent: fetching it with apt-get into .cache (nothing is installed)');
  const unfinished = `${target}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await unpackSystemPackages(unfinished, ['prometheus']);
  await run(tools(unfinished).prometheus, ['--version']);
  renameSync(unfinished, target);
  return tools(target);
}
