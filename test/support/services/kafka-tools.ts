/** Kafka's own programs: who may log in, and what they may do. */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { installKafka } from './install-kafka.ts';
import { run } from './tools.ts';

const ACLS = 'org.apache.kafka.tools.AclCommand';
const CONFIGS = 'kafka.admin.ConfigCommand';
const SHIPPED_ACLS = join(import.meta.dirname, '../../../deploy/kafka/acls.sh');

/** Gives a user a password for both kinds of SCRAM. */
export async function addScramUser(broker: string, user: string, password: string): Promise<void> {
  const { java, jars } = await installKafka();
  const what = ['--bootstrap-server', broker, '--entity-type', 'users', '--entity-name', user];
  // Kafka takes one kind at a time.
  for (const kind of ['SCRAM-SHA-256', 'SCRAM-SHA-512']) {
    const change = ['--alter', '--add-config', `${kind}=[password=${password}]`];
    await run(java, ['-cp', join(jars, '*'), CONFIGS, ...what, ...change]);
  }
}

/** Runs deploy/kafka/acls.sh with the real kafka-acls. `dir`: a scratch directory. */
export async function runShippedAcls(
  dir: string,
  settings: {
    readonly broker: string;
    readonly principal: string;
    readonly topics: string;
    readonly group: string;
    readonly deadLetters?: string;
  },
): Promise<void> {
  const { java, jars } = await installKafka();
  const program = join(dir, 'kafka-acls.sh');
  writeFileSync(program, `#!/bin/sh\nexec '${java}' -cp '${join(jars, '*')}' ${ACLS} "$@"\n`);
  chmodSync(program, 0o755);
  await run('/bin/sh', [SHIPPED_ACLS], {
    env: {
      ...process.env,
      KAFKA_ACLS: program,
      BOOTSTRAP: settings.broker,
      PRINCIPAL: settings.principal,
      TOPICS: settings.topics,
      GROUP: settings.group,
      DEAD_LETTER_TOPIC: settings.deadLetters ?? '',
    },
  });
}
