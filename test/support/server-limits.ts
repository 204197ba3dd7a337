/** The limits of the HTTP server as they are where nobody sets them. */
import { loadConfig } from '../../src/config/load.ts';
import type { ServerOptions } from '../../src/publish/server.ts';

const limits = (): Omit<ServerOptions, 'host' | 'port'> => {
  const loaded = loadConfig({ env: {} });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  const { maxConnections, maxScrapes, maxHeaderBytes, requestTimeoutMs, answerTimeoutMs } = loaded.config.server;
  return {
    maxConnections,
    maxScrapes,
    maxHeaderBytes,
    requestWithinMs: requestTimeoutMs,
    answerWithinMs: answerTimeoutMs,
  };
};

export const SERVER_LIMITS = limits();
