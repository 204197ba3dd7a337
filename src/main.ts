#!/usr/bin/env node
/** The process around the commands. */
import { runCli } from './cli.ts';
import { createLogger } from './telemetry/logger.ts';

/** What still runs after a command has answered must not keep the process. */
const LINGER_MS = 2_000;

const stopUnexpectedly = (error: unknown): never => {
  createLogger({ level: 'error', format: 'json' }).error({ error }, 'stopped_unexpectedly');
  process.exit(1);
};
process.on('uncaughtException', stopUnexpectedly);
process.on('unhandledRejection', stopUnexpectedly);

/** Whoever reads the output may leave (`tracetally --help | head`). */
const ignoreClosedPipe = (error: Error & { code?: string }): void => {
  if (error.code !== 'EPIPE') throw error;
};
process.stdout.on('error', ignoreClosedPipe);
process.stderr.on('error', ignoreClosedPipe);

const showProgress = (line: string): void => {
  process.stderr.write(`\r\x1b[K${line}`);
};

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
  stdin: process.stdin,
  isTerminal: process.stdout.isTTY === true,
  ...(process.stderr.isTTY === true ? { progress: showProgress } : {}),
});
/** A reader of a pipe may be slow: what it has not taken yet must not be cut off. */
await new Promise<void>((resolve) => {
  process.stdout.write('', () => resolve());
});
setTimeout(() => process.exit(), LINGER_MS).unref();
