/** Schedules in a process of their own: jest's sandbox makes each cost twice as much. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Totals } from './schedules.ts';

const RUN = fileURLToPath(new URL('./run.ts', import.meta.url));

/** Runs the seeds [from, from + count) over the embedded ledger; rejects with what a failing one says. */
export const simulate = async (from: number, count: number): Promise<Totals> => {
  const args = ['--no-warnings', RUN, '--from', String(from), '--count', String(count), '--failures', '1', '--json'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const end = (): void => void child.kill('SIGKILL');
  process.once('exit', end);
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  process.removeListener('exit', end);
  const lines = output.trimEnd().split('\n');
  if (code !== 0) throw new Error(`a schedule failed (exit code ${code}):\n${lines.join('\n')}`);
  return JSON.parse(lines.at(-1)!) as Totals;
};
