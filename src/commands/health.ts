/** `health`: for containers and scripts. */
import { CONFIG_OPTION, type Command, checkedConfig, type Io, refuse, type Values } from './command.ts';

const TIMEOUT_MS = 5_000;
const ANY = new Set(['0.0.0.0', '::', '']);

const baseUrl = (values: Values, io: Io): string | readonly string[] => {
  if (typeof values.url === 'string') return values.url.replace(/\/+$/, '');
  const checked = checkedConfig(values, io);
  if ('problems' in checked) return checked.problems;
  const { host, port } = checked.config.server;
  const name = ANY.has(host) ? '127.0.0.1' : host.includes(':') ? `[${host}]` : host;
  return `http://${name}:${port}`;
};

const ask = async (url: string, io: Io): Promise<number> => {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    const body = (await response.text()).trim();
    io.out(body === '' ? `${response.status}` : body);
    return response.ok ? 0 : 1;
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
    const base = baseUrl(values, io);
    if (typeof base !== 'string') return refuse(base, io);
    if (!URL.canParse(base)) {
      io.err(`${base} is no URL`);
      return 1;
    }
    return ask(`${base}/${values.live === true ? 'live' : 'ready'}`, io);
  },
};
