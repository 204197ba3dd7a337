/** What a Redis URL says: `redis[s]://[user[:password]@]host[:port][/database]`. */
export type RedisUrl = {
  readonly tls: boolean;
  readonly host: string;
  readonly port: number;
  readonly database: number;
  readonly username: string;
  readonly password: string;
};

const decoded = (text: string): string | null => {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
};

/** Null where the text is no such URL. */
export const parseRedisUrl = (text: string): RedisUrl | null => {
  const url = URL.canParse(text) ? new URL(text) : null;
  const path = url === null ? null : /^\/?(\d{0,4})$/.exec(url.pathname);
  const username = decoded(url?.username ?? '');
  const password = decoded(url?.password ?? '');
  if (url === null || path === null || username === null || password === null) return null;
  if (!['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '' || url.search !== '' || url.hash !== '')
    return null;
  return {
    tls: url.protocol === 'rediss:',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? 6379 : Number(url.port),
    database: Number(path[1]),
    username,
    password,
  };
};
