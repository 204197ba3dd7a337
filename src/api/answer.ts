/** The usual answers. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Answered } from '../publish/endpoint.ts';

const JSON_TYPE = 'application/json; charset=utf-8';

export const textAnswer = (body: string): Answered => ({
  status: 200,
  contentType: 'text/plain; charset=utf-8',
  body,
});

export const jsonAnswer = (body: object, headers: Readonly<Record<string, string>> = {}): Answered => ({
  status: 200,
  headers,
  contentType: JSON_TYPE,
  body: `${JSON.stringify(body)}\n`,
});

export const errorAnswer = (status: number, error: string): Answered => ({
  status,
  contentType: JSON_TYPE,
  body: `${JSON.stringify({ error })}\n`,
});

/** As Tempo answers where there is nothing to say. */
export const emptyAnswer = (status: number, headers: Readonly<Record<string, string>> = {}): Answered => ({
  status,
  headers,
  contentType: 'text/plain; charset=utf-8',
  body: '',
});

export const wantsJson = ({ accept = '' }: IncomingHttpHeaders): boolean => /\bapplication\/json\b/i.test(accept);
