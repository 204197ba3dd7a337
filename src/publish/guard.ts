/** Who may ask what: bearer tokens of RFC 6750, compared so that the time taken tells nothing of them. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** Empty: that part is open to everybody. */
export type Tokens = { readonly admin: string; readonly metrics: string };

export const NO_TOKENS: Tokens = { admin: '', metrics: '' };

const OPEN = new Set(['/ready', '/live']);
const METRICS = new Set(['/metrics', '/usage_metrics']);
const BEARER = /^bearer +([\x21-\x7e]+) *$/i;

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Of digests, so that also the length stays unknown. */
const isSame = (given: string, wanted: string): boolean => timingSafeEqual(digest(given), digest(wanted));

/**
 * Whether a request may have what is at `path`. What is not named here, also what does not exist, asks for the
 * administrator's token: a new endpoint is closed until somebody opens it.
 */
export const mayAsk = (path: string, authorization: string | undefined, tokens: Tokens): boolean => {
  if (OPEN.has(path)) return true;
  const wanted = METRICS.has(path) ? tokens.metrics : tokens.admin;
  return wanted === '' || isSame(BEARER.exec(authorization ?? '')?.[1] ?? '', wanted);
};
