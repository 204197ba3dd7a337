import type { Io } from '../../../src/commands/command.ts';

export type Captured = { readonly io: Io; readonly out: () => string; readonly err: () => string };

/** An Io that keeps what was printed. */
export const capture = (env: Record<string, string> = {}): Captured => {
  const out: string[] = [];
  const err: string[] = [];
  return {
    io: { env, out: (text) => void out.push(text), err: (text) => void err.push(text) },
    out: () => out.join('\n'),
    err: () => err.join('\n'),
  };
};
