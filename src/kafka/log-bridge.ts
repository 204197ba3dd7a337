import { type LogEntry, type logCreator, logLevel } from 'kafkajs';

/** The part of a logger that the source needs. */
export type SourceLogger = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
};

const EVERY_MS = 10_000;
/** Fields of kafkajs that say something and hold no secret; everything else stays behind. */
const FIELDS = ['broker', 'error', 'groupId', 'memberId', 'topic', 'partition', 'retryCount'] as const;
const MAX_KNOWN = 1000;

/** Lets a message through once in `everyMs`, and says how many were held back since. Null: hold this one back. */
export const rateLimit = (everyMs: number, nowMs: () => number): ((key: string) => number | null) => {
  const known = new Map<string, { lastMs: number; held: number }>();
  return (key) => {
    const now = nowMs();
    const entry = known.get(key);
    if (entry !== undefined && now - entry.lastMs < everyMs) {
      entry.held++;
      return null;
    }
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, { lastMs: now, held: 0 });
    return entry?.held ?? 0;
  };
};

/**
 * kafkajs's log into ours. Each of its messages at most every 10 s; its errors are our warnings, since the source
 * itself says what comes of them. That a broker answered with an error is none: every rebalance begins with one.
 */
export const bridgeLog = (logger: SourceLogger, nowMs: () => number = () => performance.now()): logCreator => {
  const pass = rateLimit(EVERY_MS, nowMs);
  return () => (entry: LogEntry) => {
    const { message } = entry.log;
    const held = pass(`${entry.namespace} ${message}`);
    if (held === null) return;
    const fields: Record<string, unknown> = { client: entry.namespace, ...(held > 0 ? { heldBack: held } : {}) };
    for (const name of FIELDS) {
      const value: unknown = entry.log[name];
      if (typeof value === 'string' || typeof value === 'number') fields[name] = value;
    }
    const isTrouble = entry.level === logLevel.ERROR || entry.level === logLevel.WARN;
    if (isTrouble && !message.startsWith('Response ')) logger.warn(fields, `kafkajs: ${message}`);
    else logger.debug(fields, `kafkajs: ${message}`);
  };
};
