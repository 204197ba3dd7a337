/**
 * The registry by Confluent's client, loaded when the first registry is opened: nobody else pays for it. Only its REST
 * part is loaded (docs/decisions/0010): the rest is serializers, and rules that encrypt with keys of clouds.
 *
 * What it does by itself and is switched off here: it waits for ever, retries, and asks one id after the other.
 */
import { Agent } from 'node:https';
import type { ClientConfig } from '@confluentinc/schemaregistry/dist/rest-service.js';
import { type RegisteredSchema, RegistryUnavailable, type SchemaId, type SchemaRegistry } from './port.ts';

export type ConfluentOptions = {
  readonly url: string;
  /** Empty: no login. */
  readonly username: string;
  readonly password: string;
  /** PEM; null: the system's. */
  readonly ca: string | null;
  /** Of one question. */
  readonly timeoutMs: number;
};

type Client = InstanceType<
  typeof import('@confluentinc/schemaregistry/dist/schemaregistry-client.js').SchemaRegistryClient
>;

/** Answers are texts of schemas. */
const MAX_ANSWER_BYTES = 4 << 20;
const NOT_FOUND = 404;
const DENIED = [401, 403];

/** Nothing is asked yet. */
export const openConfluentRegistry = async (options: ConfluentOptions): Promise<SchemaRegistry> => {
  const { SchemaRegistryClient } = await import('@confluentinc/schemaregistry/dist/schemaregistry-client.js');
  const config = clientConfig(options);
  // Its clients let one question wait for the one before, and remember answers: each gets a client of its own.
  const ask = <T>(question: (client: Client) => Promise<T>): Promise<T> =>
    withDeadline(options.timeoutMs, question(new SchemaRegistryClient(config)));
  return {
    lookup: async (id) => {
      try {
        return schemaIn(await ask((client) => question(client, id)));
      } catch (error) {
        if (statusOf(error) === NOT_FOUND) return null;
        throw unavailable(error);
      }
    },
    probe: async () => {
      try {
        if (!Array.isArray(await ask((client) => client.getAllSubjects()))) throw strange();
      } catch (error) {
        throw unavailable(error);
      }
    },
  };
};

const question = (client: Client, id: SchemaId): Promise<unknown> =>
  typeof id === 'number' ? client.getBySubjectAndId('', id) : client.getByGuid(dashed(id));

/** 8-4-4-4-12. */
const dashed = (guid: string): string => guid.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');

const clientConfig = ({ url, username, password, ca, timeoutMs }: ConfluentOptions): ClientConfig => ({
  baseURLs: [url.replace(/\/+$/, '')],
  cacheCapacity: 1,
  maxRetries: 0,
  ...(username === ''
    ? {}
    : { basicAuthCredentials: { credentialsSource: 'USER_INFO', userInfo: `${username}:${password}` } }),
  createAxiosDefaults: {
    timeout: timeoutMs,
    maxContentLength: MAX_ANSWER_BYTES,
    maxRedirects: 0,
    proxy: false,
    ...(ca === null ? {} : { httpsAgent: new Agent({ ca }) }),
  },
});

const schemaIn = (answer: unknown): RegisteredSchema => {
  const { schema, schemaType } = (typeof answer === 'object' && answer !== null ? answer : {}) as {
    readonly schema?: unknown;
    readonly schemaType?: unknown;
  };
  if (typeof schema !== 'string') throw strange();
  // A registry names every type but its first.
  return { type: typeof schemaType === 'string' ? schemaType : 'AVRO', text: schema };
};

const strange = (): RegistryUnavailable =>
  new RegistryUnavailable('the answer is none of a schema registry: look at schema_registry.url');

/** The client's time-out is for the silence between two bytes: one that drips is cut off here. */
const withDeadline = async <T>(ms: number, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new RegistryUnavailable(`no answer within ${ms} ms`)), ms + GRACE_MS);
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
};
const GRACE_MS = 250;

const statusOf = (error: unknown): number | null => {
  const { status, response } = error as {
    readonly status?: unknown;
    readonly response?: { readonly status?: unknown };
  };
  const found = status ?? response?.status;
  return typeof found === 'number' ? found : null;
};

/** Its errors hold the request, and with it the password: only words of ours, and codes, go on. */
const unavailable = (error: unknown): RegistryUnavailable => {
  if (error instanceof RegistryUnavailable) return error;
  const status = statusOf(error);
  if (status !== null && DENIED.includes(status))
    return new RegistryUnavailable(
      `it answers ${status}: look at schema_registry.username and schema_registry.password`,
    );
  if (status !== null) return new RegistryUnavailable(`it answers ${status}`);
  const { code } = error as { readonly code?: unknown };
  const text = typeof code === 'string' ? code : 'no answer';
  return new RegistryUnavailable(TLS_CODES.test(text) ? `${text}: look at schema_registry.ca_file` : text);
};

const TLS_CODES = /CERT|SELF_SIGNED|UNABLE_TO|ALTNAME|SSL/;
