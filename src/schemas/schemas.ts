/**
 * What the schemas of records are, known or being asked for. Records only look here; the registry is asked beside them:
 *
 *  - each id once, however many records carry it, and never again while it is known (an id keeps its meaning for ever);
 *  - one that the registry does not have again after a while, if it is still wanted;
 *  - a registry that fails is left alone for a while that doubles, and what is known stays known meanwhile;
 *  - never more than so many requests a second, whatever ids are made up.
 */
import { isFramed, unframe } from '../otlp/registry-frame.ts';
import type { LOOKUP_OUTCOMES } from '../words/reasons.ts';
import { type Meaning, meaningOf } from './meaning.ts';
import { type RegisteredSchema, RegistryUnavailable, type SchemaId, type SchemaRegistry } from './port.ts';

/** `wait`: not known yet. `unknown`: the registry does not have it, or does not answer. */
export type Judgement =
  | { readonly kind: 'traces' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'foreign' | 'unknown'; readonly detail: string };

export type LookupOutcome = (typeof LOOKUP_OUTCOMES)[number];

export type SchemasOptions = {
  readonly registry: SchemaRegistry;
  /** What is said of a schema that the registry does not have, or does not tell of. */
  readonly onUnknown: 'discard' | 'hold';
  /** Questions in a row without an answer after which `discard` no longer waits. */
  readonly attempts: number;
  readonly requestsPerSecond: number;
  /** Something may be known now that was not: what waits may be asked about again. Must not throw. */
  readonly changed: () => void;
  readonly watch: (outcome: LookupOutcome, id: SchemaId, error: Error | null) => void;
  readonly nowMs?: () => number;
};

type Known = { readonly schema: RegisteredSchema; readonly meanings: Map<string, Judgement> };
/** Not in the registry when last asked; `atMs`: when. */
type Missing = { readonly atMs: number };

export type SchemaRecord = {
  readonly value: Buffer | null;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array }[];
};

const HEADER = '__value_schema_id';
const MOST_KNOWN = 10_000;
const MOST_WANTED = 1_000;
const AT_ONCE = 4;
const FIRST_BACKOFF_MS = 250;
const LAST_BACKOFF_MS = 30_000;
const ASK_AGAIN_MS = { discard: 60_000, hold: 10_000 } as const;

const TRACES: Judgement = { kind: 'traces' };
const WAIT: Judgement = { kind: 'wait' };

export class Schemas {
  readonly #options: SchemasOptions;
  readonly #nowMs: () => number;
  readonly #known = new Map<SchemaId, Known>();
  readonly #missing = new Map<SchemaId, Missing>();
  /** In the order in which they came. */
  readonly #wanted = new Set<SchemaId>();
  readonly #asking = new Set<SchemaId>();
  /** In a row, of any id. */
  #failures = 0;
  #closedUntilMs = 0;
  #nextRequestMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: SchemasOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Null where a record names no schema. Quick; asks nobody by itself. */
  judge(record: SchemaRecord): Judgement | null {
    const frame = frameOf(record);
    return frame === null ? null : this.#judge(frame.schema, frame.indexes);
  }

  /** What is wanted is not any more, but for what is being asked: whoever still wants it will say so. */
  forget(): void {
    for (const id of this.#wanted) if (!this.#asking.has(id)) this.#wanted.delete(id);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #judge(id: SchemaId, indexes: readonly number[]): Judgement {
    const known = this.#known.get(id);
    if (known !== undefined) return meant(known, indexes);
    const missing = this.#missing.get(id);
    const { onUnknown, attempts } = this.#options;
    if (missing === undefined || this.#nowMs() - missing.atMs >= ASK_AGAIN_MS[onUnknown]) this.#want(id);
    if (onUnknown === 'hold') {
      this.#want(id);
      return WAIT;
    }
    if (missing !== undefined) return { kind: 'unknown', detail: `the registry has no schema ${id}` };
    if (this.#failures < attempts && this.#wanted.has(id)) return WAIT;
    return { kind: 'unknown', detail: `the registry does not tell of the schema ${id}` };
  }

  #want(id: SchemaId): void {
    if (this.#wanted.has(id) || this.#wanted.size >= MOST_WANTED) return;
    this.#wanted.add(id);
    this.#schedule();
  }

  /** Sets the one timer for the next question. */
  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    const dueMs = this.#dueMs();
    if (dueMs === null) return;
    this.#timer = setTimeout(() => this.#askNext(), Math.max(0, dueMs - this.#nowMs()));
  }

  /** When something may be asked; null: there is nothing, or enough is being asked. */
  #dueMs(): number | null {
    const most = this.#failures > 0 ? 1 : AT_ONCE;
    if (this.#asking.size >= most) return null;
    let soonest: number | null = null;
    for (const id of this.#wanted) {
      if (this.#asking.has(id)) continue;
      const dueMs = this.#idDueMs(id);
      if (soonest === null || dueMs < soonest) soonest = dueMs;
    }
    return soonest === null ? null : Math.max(soonest, this.#closedUntilMs, this.#nextRequestMs);
  }

  #idDueMs(id: SchemaId): number {
    const missing = this.#missing.get(id);
    return missing === undefined ? 0 : missing.atMs + ASK_AGAIN_MS[this.#options.onUnknown];
  }

  #askNext(): void {
    const now = this.#nowMs();
    const id = [...this.#wanted].find((one) => !this.#asking.has(one) && this.#idDueMs(one) <= now);
    if (id !== undefined) {
      this.#nextRequestMs = now + 1_000 / this.#options.requestsPerSecond;
      void this.#ask(id);
    }
    this.#schedule();
  }

  async #ask(id: SchemaId): Promise<void> {
    this.#asking.add(id);
    try {
      const schema = await this.#options.registry.lookup(id);
      this.#answered(id, schema);
    } catch (error) {
      this.#failed(id, error instanceof Error ? error : new RegistryUnavailable(String(error)));
    } finally {
      this.#asking.delete(id);
    }
    if (this.#isStopped) return;
    if (this.#isSettled(id)) this.#options.changed();
    this.#schedule();
  }

  /** Whether records of that id need not wait any more. */
  #isSettled(id: SchemaId): boolean {
    if (this.#known.has(id)) return true;
    const { onUnknown, attempts } = this.#options;
    return onUnknown === 'discard' && (this.#missing.has(id) || this.#failures >= attempts);
  }

  #answered(id: SchemaId, schema: RegisteredSchema | null): void {
    const { onUnknown, watch } = this.#options;
    this.#failures = 0;
    if (schema !== null) {
      this.#wanted.delete(id);
      this.#missing.delete(id);
      bounded(this.#known, MOST_KNOWN);
      this.#known.set(id, { schema, meanings: new Map() });
    } else {
      bounded(this.#missing, MOST_KNOWN);
      this.#missing.set(id, { atMs: this.#nowMs() });
      if (onUnknown === 'discard') this.#wanted.delete(id);
    }
    watch(schema === null ? 'unknown' : 'found', id, null);
  }

  #failed(id: SchemaId, error: Error): void {
    const backoffMs = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(this.#failures, 20));
    this.#failures++;
    this.#closedUntilMs = this.#nowMs() + backoffMs * (0.75 + Math.random() / 2);
    // Others have their turn.
    if (this.#wanted.delete(id)) this.#wanted.add(id);
    this.#options.watch('failed', id, error);
  }
}

const meant = ({ schema, meanings }: Known, indexes: readonly number[]): Judgement => {
  const key = indexes.join('.');
  let judgement = meanings.get(key);
  if (judgement === undefined) {
    judgement = judged(meaningOf(schema, indexes));
    bounded(meanings, MOST_MEANINGS);
    meanings.set(key, judgement);
  }
  return judgement;
};
/** Of one schema. */
const MOST_MEANINGS = 100;

const judged = ({ isTraces, name }: Meaning): Judgement =>
  isTraces ? TRACES : { kind: 'foreign', detail: `its schema is ${name}` };

/** Makes room for one more by giving up the oldest. */
const bounded = (map: Map<unknown, unknown>, most: number): void => {
  if (map.size >= most) map.delete(map.keys().next().value);
};

type Frame = { readonly schema: SchemaId; readonly indexes: readonly number[] };

const GUID_HEADER_BYTES = 17;

/** A header comes before a frame, as Confluent's own readers have it. Null: none, or one that cannot be read. */
const frameOf = ({ value, headers }: SchemaRecord): Frame | null => {
  for (const header of headers) {
    if (header.name !== HEADER) continue;
    const bytes = Buffer.from(header.value.buffer, header.value.byteOffset, header.value.byteLength);
    if (!isFramed(bytes)) return null;
    if (bytes.length === GUID_HEADER_BYTES) return { schema: bytes.toString('hex', 1), indexes: [] };
    const framed = unframe(bytes);
    return 'kind' in framed ? null : framed;
  }
  if (value === null || !isFramed(value)) return null;
  const framed = unframe(value);
  return 'kind' in framed ? null : framed;
};
