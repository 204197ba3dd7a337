import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const MAIN = join(import.meta.dirname, '../../../src/main.ts');

type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

const run = (shell: string, env: Record<string, string> = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const command = shell.replace('tracetally', `"${process.execPath}" "${MAIN}"`);
    execFile('/bin/sh', ['-c', command], { env: { PATH: process.env.PATH ?? '', ...env } }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });

test('a wrong configuration is a list and exit code 1, without a stack trace', async () => {
  const { code, stdout, stderr } = await run('tracetally', { TRACETALLY_SERVER_PORT: 'x', TRACETALLY_LOG_LEVEL: 'y' });
  expect(code).toBe(1);
  expect(stdout).toBe('');
  expect(stderr.trim().split('\n')).toEqual([
    'the configuration has 2 problems:',
    expect.stringContaining('server.port'),
    expect.stringContaining('log.level'),
  ]);
}, 60_000);

test('a reader that has left is no error', async () => {
  expect(await run('tracetally serve --help | true')).toEqual({ code: 0, stdout: '', stderr: '' });
}, 60_000);
