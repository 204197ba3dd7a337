/**
 * Small documents beside the ledger, one for a name, changed by compare-and-set: what tenants set for themselves. They
 * share the ledger's server and prefix, and nothing else with it.
 */

/** Digits; '0' stands for no document. It rises with each change, also over a removal. */
export type DocumentVersion = string;

export type StoredDocument = { readonly version: DocumentVersion; readonly content: string };

export type WriteOutcome =
  | { readonly kind: 'written'; readonly version: DocumentVersion }
  /** Somebody else was first: nothing was written. */
  | { readonly kind: 'other'; readonly version: DocumentVersion }
  /** There are as many as there may be. */
  | { readonly kind: 'full'; readonly documents: number };

/** All of it rejects with `LedgerUnavailable` where the server does not answer; a write may have happened then. */
export interface Documents {
  get(name: string): Promise<StoredDocument | null>;
  /** Null where nothing changed since `known` (empty: nothing is known). */
  all(known: DocumentVersion): Promise<AllDocuments | null>;
  /** `content` null: remove. Only if the version there is `expected`. */
  write(name: string, expected: DocumentVersion, content: string | null): Promise<WriteOutcome>;
}

export type AllDocuments = {
  /** Of all of them together, to be asked with the next time. */
  readonly version: DocumentVersion;
  readonly documents: ReadonlyMap<string, StoredDocument>;
};

export const MAX_DOCUMENTS = 10_000;
export const NO_DOCUMENT: DocumentVersion = '0';
