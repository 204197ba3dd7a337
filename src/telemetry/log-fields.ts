/** What fields become before they are written: secrets out, errors and bytes as text. */

const SECRET = /password|passwd|secret|token|authorization|credential|private_?key/i;
const MASK = '********';
const MAX_BYTES = 64;
const MAX_DEPTH = 4;

/** Takes credentials out of URLs in a text. */
export const scrub = (text: string): string => text.replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/@]*@/gi, `$1${MASK}@`);

const codeOf = (error: Error): unknown => (error as { code?: unknown }).code;

/** A stack only where nobody gave the error, or one that it is the cause of, a code: what was not expected. */
const cleanError = (error: Error, depth: number, isExpected = codeOf(error) !== undefined): object => ({
  type: error.name,
  message: scrub(error.message),
  ...(codeOf(error) === undefined ? {} : { code: codeOf(error) }),
  ...(isExpected ? {} : { stack: scrub(error.stack ?? '') }),
  ...(error.cause === undefined ? {} : { cause: cleanCause(error.cause, depth + 1, isExpected) }),
});

const cleanCause = (cause: unknown, depth: number, isExpected: boolean): unknown =>
  cause instanceof Error && isExpected && depth <= MAX_DEPTH
    ? cleanError(cause, depth, true)
    : cleanValue(cause, depth);

const cleanValue = (value: unknown, depth: number): unknown => {
  if (typeof value === 'string') return scrub(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth > MAX_DEPTH) return '...';
  if (value instanceof Error) return cleanError(value, depth);
  if (value instanceof Uint8Array) return Buffer.from(value.subarray(0, MAX_BYTES)).toString('hex');
  if (Array.isArray(value)) return value.map((item) => cleanValue(item, depth + 1));
  return cleanObject(value, depth + 1);
};

const cleanObject = (fields: object, depth: number): Record<string, unknown> => {
  const cleaned: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    const hide = SECRET.test(key) && value !== null && value !== '' && typeof value !== 'boolean';
    cleaned[key] = hide ? MASK : cleanValue(value, depth);
  }
  return cleaned;
};

/** Fields whose name says secret are masked; bytes are shown as hex, the first 64. */
export const clean = (fields: object): Record<string, unknown> => cleanObject(fields, 0);
