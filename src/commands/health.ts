/** `health`: for containers and scripts. */
import { request as askPlainly, type IncomingMessage } from 'node:http';
import { request as askSecurely } from 'node:https';
import { CONFIG_OPTION, type Command, checkedConfig, type Io, refuse, type Values } from './command.ts';

const TIMEOUT_MS = 5_000;
const ANY = new Set(['0.0.0.0', '::', '']);

/** `cert`: the only certificate that may answer, whatever host it names. */
type Target = { readonly base: string; readonly cert: string | null };

const targetOf = (values: Values, io: Io): Target | { readonly problems: readonly string[] } => {
  if (typeof values.url === 'string') return { base: values.url.replace(/\/+$/, ''), cert: null };
  const checked = checkedConfig(values, io);
  if ('problems' in checked) return checked;
  const { host, port, tls } = checked.config.server;
  const name = ANY.has(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return { base: `${tls === null ? 'http' : 'https'}://${name}:${port}`, cert: tls?.cert ?? null };
};

type Answer = { readonly status: number; readonly body: string };

const get = (url: string, cert: string | null): Promise<Answer> =>
  new Promise((resolve, reject) => {
    // The service is asked by an address that its certificate need not name; that it is this very one says enough.
    const pinned = { ca: cert ?? '', allowPartialTrustChain: true, checkServerIdentity: () => undefined };
    const options = { signal: AbortSignal.timeout(TIMEOUT_MS), agent: false as const };
    const receive = (incoming: IncomingMessage): void => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.once('error', reject);
      incoming.once('end', () => resolve({ status: incoming.statusCode ?? 0, body: String(Buffer.concat(chunks)) }));
    };
    const request = url.startsWith('https:')
      ? askSecurely(url, { ...options, ...(cert === null ? {} : pinned) }, receive)
      : askPlainly(url, options, receive);
    request.once('error', reject).end();
  });

const ask = async (url: string, cert: string | null, io: Io): Promise<number> => {
  try {
    const { status, body } = await get(url, cert);
    io.out(body.trim() === '' ? `${status}` : body.trim());
    return status >= 200 && status < 300 ? 0 : 1;
  } catch (error) {
    const { cause, message } = error as Error;
    io.err(`${url} does not answer: ${cause instanceof Error ? cause.message : message}`);
    return 1;
  }
};

export const health: Command = {
  name: 'health',
  summary: 'asks a running service whether it is ready',
  options: {
    ...CONFIG_OPTION,
    live: { type: 'boolean', doc: 'ask whether it is alive' },
    url: { type: 'string', value: 'URL', doc: 'where it listens (otherwise by the configuration)' },
  },
  run: async (values, io) => {
    const target = targetOf(values, io);
    if ('problems' in target) return refuse(target.problems, io);
    const { base, cert } = target;
    if (!/^https?:/.test(base) || !URL.canParse(base)) {
      io.err(`${base} is no URL`);
      return 1;
    }
    return ask(`${base}/${values.live === true ? 'live' : 'ready'}`, cert, io);
  },
};
