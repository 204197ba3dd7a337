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

process.exitCode = await runCli(process.argv.slice(2), {
  env: process.env,
  out: (text) => void process.stdout.write(`${text}\n`),
  err: (text) => void process.stderr.write(`${text}\n`),
});
setTimeout(() => process.exit(), LINGER_MS).unref();
