/**
 * The way to Redis: one server, the master behind Sentinels, or a cluster. It connects again for ever; a command
 * waits a moment for that and then fails. Whatever fails here leaves as one of the ledger's own errors.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis } from 'ioredis';
import { LedgerBroken, LedgerUnavailable } from './port.ts';
import type { Script } from './redis-scripts.ts';
import { withAdvice } from './redis-trouble.ts';

export type RedisConnectionOptions = {
  /** redis:// or rediss://, for a single server. */
  readonly url?: string;
  /** host:port of some nodes of a cluster. */
  readonly cluster?: readonly string[];
  readonly sentinels?: { readonly nodes: readonly string[]; readonly master: string };
  readonly username?: string;
  readonly password?: string;
  readonly tls?: ConnectionOptions;
  /** An answer that comes later is not waited for; what was asked may still happen. 10 s where it is not said. */
  readonly commandTimeoutMs?: number;
};

export type Argument = string | number | Buffer;

/** How long a command waits for a connection that is being made. */
const CONNECT_WAIT_MS = 2_000;
const MAX_RETRY_DELAY_MS = 2_000;
/** What waits for the end of a turn to be written, at most. */
const HELD_BACK_BYTES = 1 << 16;

export class RedisConnection {
  readonly #client: Redis | Cluster;
  readonly #upListeners: ((isUp: boolean) => void)[] = [];
  /** Commands that wait for the connection. */
  readonly #waiting = new Set<() => void>();
  #isUp = false;
  /** What the last attempt to connect met. */
  #trouble = '';
  #epoch = 0;
  /** Those that write at the end of the turn what is asked in it. */
  #heldBack: readonly Duplex[] = [];

  constructor(options: RedisConnectionOptions) {
    const client = options.cluster?.length ? connectCluster(options) : new Redis(serverOptions(options));
    this.#client = client;
    client.on('error', (error: Error) => {
      this.#trouble = troubleOf(error);
      this.#setUp(false);
    });
    // Of a cluster this comes first, and says more.
    client.on('node error', (error: Error) => {
      this.#trouble = error.message;
    });
    client.on('close', () => this.#setUp(false));
    client.on('ready', () => {
      this.#trouble = '';
      this.#epoch++;
      for (const goOn of this.#waiting) goOn();
    });
    for (const change of ['+node', '-node']) client.on(change, () => this.#epoch++);
  }

  /** Changes when a server may have been restarted or replaced: a scan's cursor means nothing to another process. */
  get epoch(): number {
    return this.#epoch;
  }

  get isCluster(): boolean {
    return this.#client instanceof Cluster;
  }

  /** Tells at each change whether commands are answered. */
  onUp(listener: (isUp: boolean) => void): void {
    this.#upListeners.push(listener);
  }

  /** Runs a script that may touch `keys` alone. Strings in the answer are Buffers. */
  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    return this.#answered(async () => {
      try {
        return await this.#client.callBuffer('evalsha', [script.sha, ...rest]);
      } catch (error) {
        if (!startsWith(error, 'NOSCRIPT')) throw error;
        return this.#client.callBuffer('eval', [script.text, ...rest]);
      }
    });
  }

  /** Runs one command; its first argument is its key. */
  async call(command: string, ...args: readonly Argument[]): Promise<unknown> {
    return this.#answered(() => this.#client.callBuffer(command, [...args]));
  }

  /** The servers that take writes, to be asked about themselves. What they throw is for `asLedgerError`. */
  async masters(): Promise<readonly Redis[]> {
    await this.#untilReady();
    return this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
  }

  /** What a server threw, as an error of the ledger, with what stands in the way to it. */
  asLedgerError(error: unknown): Error {
    return ledgerError(error, this.#trouble || (this.isCluster ? NOT_READY : ''));
  }

  async close(): Promise<void> {
    if (this.#client.status !== 'end') this.#client.disconnect();
    for (const goOn of this.#waiting) goOn();
  }

  async #answered<T>(ask: () => Promise<T>): Promise<T> {
    try {
      await this.#untilReady();
      this.#holdBack();
      const answer = await ask();
      this.#setUp(true);
      return answer;
    } catch (error) {
      const known = this.asLedgerError(error);
      if (known instanceof LedgerUnavailable) this.#setUp(false);
      throw known;
    }
  }

  async #untilReady(): Promise<void> {
    if (this.#client.status === 'ready') return;
    const timer = new AbortController();
    const goOn = (): void => timer.abort();
    this.#waiting.add(goOn);
    await sleep(CONNECT_WAIT_MS, undefined, { signal: timer.signal }).catch(() => {});
    this.#waiting.delete(goOn);
  }

  /**
   * What is asked in one turn leaves in one write, in the order in which it was asked: a write costs more than what a
   * small call takes to be made. What is long enough goes on its way while the turn makes more of it.
   */
  #holdBack(): void {
    if (this.#heldBack.length > 0) {
      if (this.#heldBack.every(({ writableLength }) => writableLength < HELD_BACK_BYTES)) return;
      this.#letGo();
    } else process.nextTick(() => this.#letGo());
    const clients = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    this.#heldBack = clients.flatMap(({ stream }) => (stream?.writable ? [stream] : []));
    for (const stream of this.#heldBack) stream.cork();
  }

  #letGo(): void {
    for (const stream of this.#heldBack) stream.uncork();
    this.#heldBack = [];
  }

  #setUp(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    for (const listener of this.#upListeners) listener(isUp);
  }
}

const retryDelayMs = (attempts: number): number =>
  Math.min(50 * 2 ** Math.min(attempts - 1, 10), MAX_RETRY_DELAY_MS) + Math.floor(Math.random() * 100);

/** No queue and no resending behind our back: the caller knows which call is unresolved, and sends it again itself. */
const commonOptions = ({ username, password, tls, commandTimeoutMs = 10_000 }: RedisConnectionOptions) => ({
  connectTimeout: 5_000,
  commandTimeout: commandTimeoutMs,
  socketTimeout: commandTimeoutMs + 2_000,
  disconnectTimeout: 500,
  // It asks INFO, which a user may not be allowed; a server that still loads says so to every command.
  enableReadyCheck: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  reconnectOnError: (error: Error) => startsWith(error, 'READONLY'),
  ...(username ? { username } : {}),
  ...(password ? { password } : {}),
  ...(tls === undefined ? {} : { tls }),
});

const serverOptions = (options: RedisConnectionOptions) => {
  const common = { ...commonOptions(options), enableOfflineQueue: false, retryStrategy: retryDelayMs };
  if (options.sentinels === undefined) return { ...urlOptions(options.url ?? 'redis://127.0.0.1:6379'), ...common };
  return {
    ...common,
    sentinels: options.sentinels.nodes.map(hostPort),
    name: options.sentinels.master,
    sentinelRetryStrategy: retryDelayMs,
    ...(options.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: options.tls }),
  };
};

const urlOptions = (text: string) => {
  const url = new URL(text);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 6379),
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.pathname.length > 1 ? { db: Number(url.pathname.slice(1)) } : {}),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  };
};

const connectCluster = (options: RedisConnectionOptions): Cluster => {
  return new Cluster(options.cluster!.map(hostPort), {
    redisOptions: commonOptions(options),
    clusterRetryStrategy: retryDelayMs,
    enableOfflineQueue: false,
    maxRedirections: 5,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    slotsRefreshTimeout: 2_000,
    // A certificate names hosts, the cluster answers addresses: keep what it answered.
    ...(options.tls === undefined ? {} : { dnsLookup: (host, done) => done(null, host) }),
  });
};

const hostPort = (node: string): { host: string; port: number } => {
  const { hostname, port } = new URL(`redis://${node}`);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 6379) };
};

/** Of a cluster that no node tells about itself, what the last node said. */
const troubleOf = (error: Error): string => {
  const { lastNodeError } = error as { lastNodeError?: unknown };
  return lastNodeError instanceof Error ? lastNodeError.message : error.message;
};

const startsWith = (error: unknown, code: string): boolean => error instanceof Error && error.message.startsWith(code);

/** A cluster that says nothing of its trouble: ioredis asks for its state, and tells nobody what it heard. */
const NOT_READY = 'the cluster is not ready (or CLUSTER INFO is not allowed)';

/** What ioredis says of that, in terms of its own options. */
const NO_CONNECTION =
  /^(Stream isn't writeable|Cluster isn't ready|Reached the max retries per request|Connection is closed)/;

/** A command or script that the server cannot make sense of will not become right by being sent again. */
const ledgerError = (error: unknown, trouble: string): Error => {
  if (error instanceof LedgerBroken || error instanceof LedgerUnavailable) return error;
  const said = error instanceof Error ? error.message : String(error);
  const message = NO_CONNECTION.test(said) ? `no connection${trouble && `: ${withAdvice(trouble)}`}` : withAdvice(said);
  const isOurs = error instanceof Error && error.name === 'ReplyError' && /^(ERR|WRONGTYPE|CROSSSLOT)\b/.test(message);
  return isOurs && !message.startsWith('ERR max number of clients')
    ? new LedgerBroken(`Redis refused a command: ${message}`, { cause: error })
    : new LedgerUnavailable(`Redis is not available: ${message}`, { cause: error });
};
