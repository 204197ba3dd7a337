/** The file of overrides on the disk: read at the start, looked at again every period. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Config } from '../config/config.ts';
import { hashOf, NO_OVERRIDES, type Overrides, readOverrides } from './file.ts';
import { trackerNames } from './static.ts';

export type Read = (path: string) => Buffer;

/** `changed`: null where the content is what it was. `problems`: nothing was taken. */
export type Look = { readonly changed: Overrides | null; readonly problems: readonly string[] };

const UNCHANGED: Look = { changed: null, problems: [] };
/** Far above what anybody writes; a file that is larger once it is unpacked is none. */
const MOST_BYTES = 64 << 20;

/** One file, or none. Keeps what it last took. */
export class OverridesFile {
  readonly #path: string;
  readonly #trackers: readonly string[];
  readonly #read: Read;
  #hash = '';
  #current: Overrides = NO_OVERRIDES;
  /** Hash of the content that was refused last, so that it is told of at each look without being read anew. */
  #refused: { readonly hash: string; readonly problems: readonly string[] } = { hash: '', problems: [] };
  #problems: readonly string[] = [];

  constructor(config: Config, read: Read = (path) => readFileSync(path)) {
    this.#path = config.overrides.perTenantOverrideConfig;
    this.#trackers = trackerNames(config);
    this.#read = read;
  }

  get current(): Overrides {
    return this.#current;
  }

  /** What the last look found; empty: what is in force is what the file says. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  get isNone(): boolean {
    return this.#path === '';
  }

  /** Reads the file. With a problem what was in force stays so. Never throws. */
  look(): Look {
    const look = this.#look();
    this.#problems = look.problems;
    return look;
  }

  #look(): Look {
    if (this.#path === '') return UNCHANGED;
    let content: string;
    try {
      content = this.#text();
    } catch (error) {
      return this.#trouble([`cannot be read: ${reasonOf(error)}`]);
    }
    const hash = hashOf(content);
    if (hash === this.#hash) return UNCHANGED;
    if (hash === this.#refused.hash) return { changed: null, problems: this.#refused.problems };
    const overrides = readOverrides(content, this.#trackers);
    if ('problems' in overrides) {
      const look = this.#trouble(overrides.problems);
      this.#refused = { hash, problems: look.problems };
      return look;
    }
    this.#hash = hash;
    this.#current = overrides;
    return { changed: overrides, problems: [] };
  }

  #text(): string {
    const bytes = this.#read(this.#path);
    const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
    return (isPacked ? gunzipSync(bytes, { maxOutputLength: MOST_BYTES }) : bytes).toString('utf8');
  }

  #trouble(texts: readonly string[]): Look {
    return {
      changed: null,
      problems: texts.map((text) => `overrides.per_tenant_override_config: ${this.#path}: ${text}`),
    };
  }
}

const reasonOf = (error: unknown): string => {
  const { code, message } = error as { readonly code?: unknown; readonly message: string };
  return code === 'ENOENT' ? 'there is no such file' : message;
};
