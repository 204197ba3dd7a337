/** A path that somebody else answers: what the server asks of it, and takes from it. */
import type { IncomingHttpHeaders } from 'node:http';

export type Asked = {
  readonly method: string;
  /** What follows the path of an endpoint that ends with a slash, decoded. */
  readonly rest: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
};

export type Answered = {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly body: string;
};

export type Endpoint = {
  /** With a slash at the end: what is below it, one level deep. */
  readonly path: string;
  /** A method -> what it does, for people. GET answers HEAD, too. */
  readonly methods: Readonly<Record<string, string>>;
  /** For methods that may have a body: its most bytes; above them 413 is answered. */
  readonly maxBodyBytes?: number;
  answer(asked: Asked): Promise<Answered> | Answered;
};

const BODY_METHODS = new Set(['POST', 'PUT', 'PATCH']);

export const takesBody = (method: string): boolean => BODY_METHODS.has(method);

export const methodsOf = ({ methods }: Pick<Endpoint, 'methods'>): readonly string[] =>
  Object.keys(methods).flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]));

/** The endpoint of a path and what is left of it; null: there is none. */
export const endpointAt = (
  endpoints: readonly Endpoint[],
  path: string,
): { readonly endpoint: Endpoint; readonly rest: string } | null => {
  for (const endpoint of endpoints) {
    if (endpoint.path === path) return endpoint.path.endsWith('/') ? null : { endpoint, rest: '' };
    if (!endpoint.path.endsWith('/') || !path.startsWith(endpoint.path)) continue;
    const rest = decoded(path.slice(endpoint.path.length));
    if (rest !== null && rest !== '') return { endpoint, rest };
  }
  return null;
};

const decoded = (text: string): string | null => {
  if (text.includes('/')) return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
};
