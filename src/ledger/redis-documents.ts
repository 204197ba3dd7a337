/** Documents in Redis: one hash, written by one script (lua/write-document.lua). */
import {
  type AllDocuments,
  type Documents,
  type DocumentVersion,
  MAX_DOCUMENTS,
  NO_DOCUMENT,
  type StoredDocument,
  type WriteOutcome,
} from './documents.ts';
import { documentField, documentName } from './keys.ts';
import { LedgerBroken, LedgerUnavailable } from './port.ts';
import type { RedisConnection } from './redis-connection.ts';
import { SCRIPTS } from './redis-scripts.ts';

const VERSION = 'version';
/** Documents of one HMGET. */
const STEP = 100;
/** Tries to read all of them between two changes. */
const ATTEMPTS = 5;

export class RedisDocuments implements Documents {
  readonly #redis: RedisConnection;
  readonly #key: string;
  readonly #most: number;

  constructor(redis: RedisConnection, key: string, most = MAX_DOCUMENTS) {
    this.#redis = redis;
    this.#key = key;
    this.#most = most;
  }

  async get(name: string): Promise<StoredDocument | null> {
    return stored((await this.#redis.call('hget', this.#key, documentField(name))) as Buffer | null);
  }

  /** A change while it reads would give a mixture: it begins again then. */
  async all(known: DocumentVersion): Promise<AllDocuments | null> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const version = await this.#version();
      if (version === known) return null;
      const documents = await this.#read();
      if ((await this.#version()) === version) return { version, documents };
    }
    throw new LedgerUnavailable('the documents beside the ledger change faster than they can be read');
  }

  async write(name: string, expected: DocumentVersion, content: string | null): Promise<WriteOutcome> {
    if (content === '') throw new RangeError('a document cannot be empty');
    const [outcome, said] = (
      (await this.#redis.run(
        SCRIPTS.writeDocument,
        [this.#key],
        [documentField(name), expected, content ?? '', this.#most],
      )) as Buffer[]
    ).map(String);
    if (outcome === 'full') return { kind: 'full', documents: Number(said) };
    if (outcome === 'written' || outcome === 'other') return { kind: outcome, version: said! };
    throw new LedgerBroken(`write-document answered ${outcome}`);
  }

  async #version(): Promise<DocumentVersion> {
    return ((await this.#redis.call('hget', this.#key, VERSION)) as Buffer | null)?.toString() ?? '0';
  }

  async #read(): Promise<ReadonlyMap<string, StoredDocument>> {
    const fields = ((await this.#redis.call('hkeys', this.#key)) as Buffer[]).map(String);
    const wanted = fields.filter((field) => field !== VERSION);
    const documents = new Map<string, StoredDocument>();
    for (let from = 0; from < wanted.length; from += STEP) {
      const step = wanted.slice(from, from + STEP);
      const values = (await this.#redis.call('hmget', this.#key, ...step)) as (Buffer | null)[];
      for (const [i, field] of step.entries()) {
        const document = stored(values[i] ?? null);
        if (document !== null) documents.set(documentName(field), document);
      }
    }
    return documents;
  }
}

/** What somebody else put there has no version of ours: as a document of none it can be replaced, and is refused until then. */
const stored = (value: Buffer | null): StoredDocument | null => {
  if (value === null) return null;
  const text = value.toString();
  const match = /^(\d+) (.*)$/s.exec(text);
  return match === null ? { version: NO_DOCUMENT, content: text } : { version: match[1]!, content: match[2]! };
};
