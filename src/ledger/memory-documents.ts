/** Documents in the memory of this process: they are gone with it, as its counters are. */
import {
  type AllDocuments,
  type Documents,
  type DocumentVersion,
  MAX_DOCUMENTS,
  NO_DOCUMENT,
  type StoredDocument,
  type WriteOutcome,
} from './documents.ts';

export class MemoryDocuments implements Documents {
  readonly #nowUs: () => number;
  readonly #most: number;
  readonly #documents = new Map<string, StoredDocument>();
  #version = 0;

  constructor(nowUs: () => number, most = MAX_DOCUMENTS) {
    this.#nowUs = nowUs;
    this.#most = most;
  }

  async get(name: string): Promise<StoredDocument | null> {
    return this.#documents.get(name) ?? null;
  }

  async all(known: DocumentVersion): Promise<AllDocuments | null> {
    const version = String(this.#version);
    return version === known ? null : { version, documents: new Map(this.#documents) };
  }

  async write(name: string, expected: DocumentVersion, content: string | null): Promise<WriteOutcome> {
    const version = this.#documents.get(name)?.version ?? NO_DOCUMENT;
    if (version !== expected) return { kind: 'other', version };
    const documents = this.#documents.size;
    if (version === NO_DOCUMENT && content !== null && documents >= this.#most) return { kind: 'full', documents };
    this.#version = Math.max(this.#version + 1, Math.floor(this.#nowUs()));
    const next = String(this.#version);
    if (content === null) this.#documents.delete(name);
    else this.#documents.set(name, { version: next, content });
    return { kind: 'written', version: next };
  }
}
