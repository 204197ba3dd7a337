/**
 * `/api/overrides`: what a tenant sets for itself, with the methods, texts and status codes of Grafana Tempo's. The tenant
 * is that of the header X-Scope-OrgID.
 *
 *   GET     200 with ETag, 404; ?scope=merged: what is in force, limits and all
 *   POST    If-Match (0: there is none yet) -> 200 with ETag, 400, 412, 428
 *   PATCH   RFC 7386, makes a document where there is none -> 200, 400; 500 where another change came between
 *   DELETE  If-Match -> 200, 404, 412, 428
 */
import type { IncomingHttpHeaders } from 'node:http';
import { refuseTenantId } from '../attribution/tenant.ts';
import type { TenantOverrides } from '../overrides/current.ts';
import { COST_ATTRIBUTION } from '../overrides/static.ts';
import {
  type JsonObject,
  mergePatch,
  parseJson,
  readUserDocument,
  type UserDocument,
} from '../overrides/user-document.ts';
import type { DocumentStore, StoredDocument, WriteOutcome } from '../overrides/user-source.ts';
import type { Answered, Asked, Endpoint } from '../publish/endpoint.ts';
import { emptyAnswer, errorAnswer, jsonAnswer } from './answer.ts';

export type OverridesApiDeps = {
  readonly store: DocumentStore;
  readonly overrides: TenantOverrides;
  /** Who asks without a header; empty: nobody can. */
  readonly defaultTenant: string;
  /** That a document may speak of beside cost attribution. */
  readonly trackers: readonly string[];
  /** Refuse a first document of a tenant for whom the operator has set dimensions. */
  readonly checkConflicts: boolean;
  readonly log: { info(fields: Readonly<Record<string, unknown>>, message: string): void };
};

const MAX_BODY_BYTES = 64 << 10;
const NO_IF_MATCH = 'must specify If-Match header';
const CONFLICT =
  'tenant has conflicting overrides set in runtime config, contact your system administrator to perform changes through the API';
const SKIP_CHECK = 'skip-conflicting-overrides-check';

/** Thrown to be the answer. */
class Refusal extends Error {
  readonly answer: Answered;

  constructor(status: number, text: string) {
    super(text);
    this.answer = errorAnswer(status, text);
  }
}

const tenantOf = (headers: IncomingHttpHeaders, fallback: string): string => {
  const given = headers['x-scope-orgid']?.toString() || fallback;
  if (given === '') throw new Refusal(401, 'no org id');
  const refusal = refuseTenantId(given);
  if (refusal !== null) throw new Refusal(400, refusal);
  return given;
};

/** In quotes, as HTTP has it, or without, as Tempo answers it. */
const ifMatch = (headers: IncomingHttpHeaders): string => {
  const given = headers['if-match']?.trim() ?? '';
  if (given === '') throw new Refusal(428, NO_IF_MATCH);
  const version = given.replace(/^"(.*)"$/, '$1');
  if (!/^\d{1,20}$/.test(version)) throw new Refusal(412, 'version is not valid');
  return version;
};

const documentOf = (text: string, trackers: readonly string[]): UserDocument => {
  const json = parseJson(text);
  const document = 'problem' in json ? json : readUserDocument(json.value, trackers);
  if ('problem' in document) throw new Refusal(400, document.problem);
  return document;
};

/** What this version cannot read was written by another one: it must not be changed by half. */
const storedDocument = ({ content }: StoredDocument): UserDocument => {
  const json = parseJson(content);
  const document = 'problem' in json ? json : readUserDocument(json.value, null);
  if ('problem' in document) throw new Refusal(500, `the stored overrides cannot be read: ${document.problem}`);
  return document;
};

const written = (outcome: WriteOutcome): string => {
  if (outcome.kind === 'written') return outcome.version;
  if (outcome.kind === 'full')
    throw new Refusal(507, `there is room for the overrides of ${outcome.documents} tenants`);
  throw new Refusal(412, 'version does not match');
};

class OverridesApi {
  readonly #deps: OverridesApiDeps;

  constructor(deps: OverridesApiDeps) {
    this.#deps = deps;
  }

  async answer(asked: Asked): Promise<Answered> {
    try {
      const tenant = tenantOf(asked.headers, this.#deps.defaultTenant);
      switch (asked.method) {
        case 'POST':
          return await this.#replace(tenant, asked);
        case 'PATCH':
          return await this.#patch(tenant, asked);
        case 'DELETE':
          return await this.#remove(tenant, asked);
        default:
          return await this.#get(tenant, asked);
      }
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      // The store's own errors that time cures; anything else is a fault of ours.
      if ((error as { code?: unknown }).code !== 'LEDGER_UNAVAILABLE') throw error;
      return errorAnswer(503, `the overrides cannot be reached: ${(error as Error).message}`);
    }
  }

  async #get(tenant: string, { query }: Asked): Promise<Answered> {
    const scope = query.get('scope') ?? 'api';
    if (scope !== 'api' && scope !== 'merged')
      throw new Refusal(400, `unknown scope "${scope.slice(0, 100)}", valid options are api and merged`);
    const stored = await this.#deps.store.get(tenant);
    if (stored === null) return emptyAnswer(404);
    const document = storedDocument(stored);
    const body = scope === 'api' ? document.json : this.#merged(tenant, document);
    return jsonAnswer(body, { ETag: stored.version });
  }

  /** In the form of the document, with what the tenant cannot set itself. */
  #merged(tenant: string, document: UserDocument): object {
    const { [COST_ATTRIBUTION]: own = {}, ...trackers } = this.#deps.overrides.effectiveWith(tenant, document);
    return { cost_attribution: own, ...(Object.keys(trackers).length === 0 ? {} : { trackers }) };
  }

  async #replace(tenant: string, { headers, body, query }: Asked): Promise<Answered> {
    const expected = ifMatch(headers);
    const document = documentOf(body.toString(), this.#deps.trackers);
    const version = written(await this.#write(tenant, expected, document.json, query));
    return emptyAnswer(200, { ETag: version });
  }

  async #patch(tenant: string, { body, query }: Asked): Promise<Answered> {
    const patch = parseJson(body.toString());
    if ('problem' in patch) throw new Refusal(400, patch.problem);
    const stored = await this.#deps.store.get(tenant);
    const target = stored === null ? {} : storedDocument(stored).json;
    const document = documentOf(JSON.stringify(mergePatch(target, patch.value)), this.#deps.trackers);
    const outcome = await this.#write(tenant, stored?.version ?? '0', document.json, query);
    if (outcome.kind === 'other')
      throw new Refusal(500, 'overrides have been modified during request processing, try again');
    return jsonAnswer(document.json, { ETag: written(outcome) });
  }

  async #remove(tenant: string, { headers }: Asked): Promise<Answered> {
    const expected = ifMatch(headers);
    if ((await this.#deps.store.get(tenant)) === null) return emptyAnswer(404);
    written(await this.#deps.store.write(tenant, expected, null));
    await this.#changed(tenant, 'removed');
    return emptyAnswer(200);
  }

  async #write(tenant: string, expected: string, json: JsonObject, query: URLSearchParams): Promise<WriteOutcome> {
    const { store, overrides, checkConflicts } = this.#deps;
    if (checkConflicts && query.get(SKIP_CHECK) !== 'true' && overrides.hasRuntimeDimensions(tenant)) {
      if ((await store.get(tenant)) === null) throw new Refusal(400, CONFLICT);
    }
    const outcome = await store.write(tenant, expected, JSON.stringify(json));
    if (outcome.kind === 'written') await this.#changed(tenant, 'stored');
    return outcome;
  }

  /** Here at once; other replicas see it at their next look. */
  async #changed(tenant: string, what: string): Promise<void> {
    this.#deps.log.info({ tenant, change: what }, 'user_overrides_changed');
    await this.#deps.overrides.lookAgain();
  }
}

/** Null for the documentation: nothing can be asked then. */
export const overridesApi = (deps: OverridesApiDeps | null): Endpoint => {
  const api = deps === null ? null : new OverridesApi(deps);
  return {
    path: '/api/overrides',
    methods: {
      GET: 'what the tenant of X-Scope-OrgID set for itself; ?scope=merged: what is in force (docs/overrides.md)',
      POST: 'replaces it; If-Match is needed, 0 where there is none',
      PATCH: 'changes it (RFC 7386)',
      DELETE: 'removes it; If-Match is needed',
    },
    maxBodyBytes: MAX_BODY_BYTES,
    answer: (asked) => api!.answer(asked),
  };
};
