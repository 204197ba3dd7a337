/** What tenants set for themselves, as it was last read from where it is stored. */
import type { Block } from './block.ts';
import { parseJson, readUserDocument, type UserBlocks } from './user-document.ts';

/** Where it is stored: the shape of the ledger's documents. */
export interface DocumentStore {
  get(name: string): Promise<StoredDocument | null>;
  all(
    known: string,
  ): Promise<{ readonly version: string; readonly documents: ReadonlyMap<string, StoredDocument> } | null>;
  write(name: string, expected: string, content: string | null): Promise<WriteOutcome>;
}

export type StoredDocument = { readonly version: string; readonly content: string };

export type WriteOutcome =
  | { readonly kind: 'written' | 'other'; readonly version: string }
  | { readonly kind: 'full'; readonly documents: number };

/** Everything is read again after that long, also where nothing seems to have changed. */
const FULL_EVERY_MS = 60_000;

export class UserOverrides {
  readonly #store: DocumentStore;
  readonly #nowMs: () => number;
  #version = '';
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Contents that were taken, by tenant: one that is unchanged keeps its block. */
  #taken: ReadonlyMap<string, { readonly content: string; readonly block: Block }> = new Map();
  #blocks: UserBlocks = new Map();
  #problems: readonly string[] = [];

  /** `nowMs`: monotonic. */
  constructor(store: DocumentStore, nowMs: () => number) {
    this.#store = store;
    this.#nowMs = nowMs;
  }

  get blocks(): UserBlocks {
    return this.#blocks;
  }

  /** Documents that this version cannot read: what was in force for their tenants before stays so. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Whether anything is other than it was. Rejects where the store does not answer: what was in force stays so. */
  async look(): Promise<boolean> {
    const isDue = this.#nowMs() - this.#readAtMs >= FULL_EVERY_MS;
    const found = await this.#store.all(isDue ? '' : this.#version);
    if (found === null) return false;
    this.#readAtMs = this.#nowMs();
    this.#version = found.version;
    return this.#take(found.documents);
  }

  #take(documents: ReadonlyMap<string, StoredDocument>): boolean {
    const taken = new Map<string, { readonly content: string; readonly block: Block }>();
    const problems: string[] = [];
    let isOther = false;
    for (const [tenant, { content }] of documents) {
      const before = this.#taken.get(tenant);
      if (before?.content === content) {
        taken.set(tenant, before);
        continue;
      }
      const json = parseJson(content);
      const document = 'problem' in json ? json : readUserDocument(json.value, null);
      if ('problem' in document) {
        problems.push(`the stored overrides of ${tenant} cannot be read: ${document.problem}`);
        if (before !== undefined) taken.set(tenant, before);
        continue;
      }
      isOther = true;
      taken.set(tenant, { content, block: document.block });
    }
    for (const tenant of this.#taken.keys()) if (!taken.has(tenant)) isOther = true;
    this.#problems = problems;
    this.#taken = taken;
    if (isOther) this.#blocks = new Map([...taken].map(([tenant, { block }]) => [tenant, block]));
    return isOther;
  }
}
