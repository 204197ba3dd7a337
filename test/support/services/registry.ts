/** A real schema registry on 127.0.0.1: Apicurio, in memory, by the API that Confluent's has. */
import { join } from 'node:path';
import { installRegistry } from './install-registry.ts';
import { freePort } from './ports.ts';
import { type OwnedProcess, removeScratch, scratchDirectory, startProcess, waitForAnswer } from './process.ts';

export type SchemaType = 'PROTOBUF' | 'JSON' | 'AVRO';

export type RegistryServer = {
  readonly port: number;
  /** What clients are told. */
  readonly url: string;
  /** Registers a schema under a subject of its own, and answers its id. */
  register(
    subject: string,
    type: SchemaType,
    schema: string,
    references?: readonly { readonly name: string; readonly subject: string; readonly version: number }[],
  ): Promise<number>;
  /** Ends it and removes what it kept. */
  stop(): Promise<void>;
};

const READY_TIMEOUT_MS = 120_000;
const API = '/apis/ccompat/v7';

export async function startRegistry(): Promise<RegistryServer> {
  const { java, jar } = await installRegistry();
  const dir = scratchDirectory('registry');
  const port = await freePort();
  const settings: Readonly<Record<string, string>> = {
    'quarkus.http.host': '127.0.0.1',
    'quarkus.http.port': String(port),
    'quarkus.management.host': '127.0.0.1',
    'quarkus.management.port': String(await freePort()),
    'apicurio.storage.kind': 'sql',
    'apicurio.storage.sql.kind': 'h2',
    'apicurio.datasource.url': 'jdbc:h2:mem:registry',
    'quarkus.log.level': 'WARN',
  };
  const url = `http://127.0.0.1:${port}${API}`;
  const options = Object.entries(settings).map(([name, value]) => `-D${name}=${value}`);
  const process: OwnedProcess = await startProcess({
    name: 'schema registry',
    command: java,
    args: ['-Xms64m', '-Xmx384m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', ...options, '-jar', jar],
    logFile: join(dir, 'registry.log'),
    cwd: dir,
  });
  const stop = async (): Promise<void> => {
    await process.stop(0);
    removeScratch(dir);
  };
  try {
    await waitForAnswer(process, async () => void (await ask(`${url}/subjects`)), READY_TIMEOUT_MS);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    port,
    url,
    register: async (subject, schemaType, schema, references = []) => {
      const answer = await ask(`${url}/subjects/${encodeURIComponent(subject)}/versions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/vnd.schemaregistry.v1+json' },
        body: JSON.stringify({ schemaType, schema, references }),
      });
      return (answer as { id: number }).id;
    },
    stop,
  };
}

async function ask(url: string, init?: RequestInit): Promise<unknown> {
  const answer = await fetch(url, init);
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url} answers ${answer.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}
