/** Commands as a test runs them: in this process, with what they print. */
import { runCli } from '../../src/cli.ts';

export type Ended = { readonly code: number; readonly out: string; readonly err: string };

export const runCommand = async (argv: readonly string[], env: Record<string, string> = {}): Promise<Ended> => {
  const out: string[] = [];
  const err: string[] = [];
  const io = { env, out: (text: string) => void out.push(text), err: (text: string) => void err.push(text) };
  const code = await runCli(argv, io);
  return { code, out: out.join('\n'), err: err.join('\n') };
};
