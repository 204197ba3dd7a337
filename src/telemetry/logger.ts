/**
 * Logs: one line for an event, named by a constant in snake_case, the rest in fields. info: life cycle; warn: recovered
 * or recovering; error: data is lost or a person is needed. No secret is ever in a line.
 */
import { destination, pino } from 'pino';
import { clean } from './log-fields.ts';
import { renderLogfmt, renderPretty } from './log-lines.ts';
import { harmless } from './visible.ts';

/** `level`, `time` and `msg` are the line's own. */
export type Fields = Readonly<Record<string, unknown>> & {
  readonly level?: never;
  readonly time?: never;
  readonly msg?: never;
};

export type Logger = {
  debug(fields: Fields, event: string): void;
  info(fields: Fields, event: string): void;
  warn(fields: Fields, event: string): void;
  error(fields: Fields, event: string): void;
  /** The same with these fields in every line. */
  child(fields: Fields): Logger;
  /**
   * The same, but of one key it writes at most a line in ten seconds; the next one says how many were `suppressed`.
   * The key is a constant of the caller.
   */
  limited(key: string): Logger;
};

export type LoggerOptions = {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly format: 'json' | 'logfmt' | 'pretty';
  /** Takes a whole line; standard error by default. */
  readonly write?: (line: string) => void;
  /** Monotonic ms. */
  readonly now?: () => number;
};

const LIMITED_EVERY_MS = 10_000;
const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

type Sink = Record<(typeof LEVELS)[number], (fields: object, event: string) => void>;
type Gate = { writtenAtMs: number; suppressed: number };
/** Gates are shared by all children, so that a key means the same everywhere. */
type Shared = { readonly sink: Sink; readonly gates: Map<string, Gate>; readonly now: () => number };

/** Null: the line is suppressed. Else how many were since the last one. */
const pass = ({ gates, now }: Shared, key: string): number | null => {
  const gate = gates.get(key);
  if (gate !== undefined && now() - gate.writtenAtMs < LIMITED_EVERY_MS) {
    gate.suppressed += 1;
    return null;
  }
  gates.set(key, { writtenAtMs: now(), suppressed: 0 });
  return gate?.suppressed ?? 0;
};

const loggerOf = (shared: Shared, bound: Fields, key: string | null): Logger => {
  const log =
    (level: (typeof LEVELS)[number]) =>
    (fields: Fields, event: string): void => {
      const suppressed = key === null ? 0 : pass(shared, key);
      if (suppressed === null) return;
      const more = suppressed > 0 ? { suppressed } : {};
      shared.sink[level](clean({ ...bound, ...fields, ...more }), event);
    };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (fields) => loggerOf(shared, { ...bound, ...fields }, key),
    limited: (limitedKey) => loggerOf(shared, bound, limitedKey),
  };
};

const streamOf = ({ format, write }: LoggerOptions): { write(line: string): void } => {
  const out = write === undefined ? destination({ dest: 2, sync: true }) : { write };
  if ('on' in out) out.on('error', () => {}); // Nobody reads the log (EPIPE): the work goes on.
  if (format === 'json') return { write: (line) => out.write(harmless(line)) };
  const render = format === 'logfmt' ? renderLogfmt : renderPretty;
  return { write: (line) => out.write(`${harmless(render(JSON.parse(line)))}\n`) };
};

export const createLogger = (options: LoggerOptions): Logger => {
  const sink = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    streamOf(options),
  );
  return loggerOf({ sink, gates: new Map(), now: options.now ?? (() => performance.now()) }, {}, null);
};
