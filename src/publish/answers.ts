/** What an HTTP answer is made of, and those that every path may give. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';

export type Health = { readonly ok: boolean; readonly reasons: readonly string[] };

export const JSON_TYPE = 'application/json; charset=utf-8';

const REFUSAL_MS = 1_000;

export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) !== 0;

/**
 * Of at most `maxBytes`; null: it is larger, and the connection should be closed after the answer. Rejects where the
 * client leaves.
 */
export const readBody = async (request: IncomingMessage, maxBytes: number): Promise<Buffer | null> => {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Destroying the request would take the connection away before the answer.
  const iterator: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of iterator) {
    bytes += chunk.length;
    if (bytes > maxBytes) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};

export const answer = (
  { method }: IncomingMessage,
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
): void => {
  response.writeHead(status, {
    'Content-Type': contentType,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  });
  response.end(method === 'HEAD' ? undefined : body);
};

export const answerError = (request: IncomingMessage, response: ServerResponse, status: number, error: string): void =>
  answer(request, response, status, JSON_TYPE, `${JSON.stringify({ error })}\n`);

export const answerHealth = (
  request: IncomingMessage,
  response: ServerResponse,
  word: 'ready' | 'live',
  { ok, reasons }: Health,
): void => {
  const body = ok ? { [word]: true } : { error: `not ${word}: ${reasons.join('; ')}`, reasons };
  answer(request, response, ok ? 200 : 503, JSON_TYPE, `${JSON.stringify(body)}\n`);
};

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 413,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};

/** For what the HTTP parser makes of a connection. */
export const statusOf = ({ code }: NodeJS.ErrnoException): number => STATUS_OF[code ?? ''] ?? 400;

/** What is no HTTP request gets an answer all the same. */
export const refuse = (status: number, socket: Socket): void => {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = `${JSON.stringify({ error: STATUS_CODES[status]!.toLowerCase() })}\n`;
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  // A client that does not take it must not hold the connection.
  setTimeout(() => socket.destroy(), REFUSAL_MS).unref();
};
