import { setTimeout as sleep } from 'node:timers/promises';

/** `seen` is shown when the time is over: say what was there instead. */
export type Look<T> = { readonly done: true; readonly value: T } | { readonly done: false; readonly seen: unknown };

export type WaitOptions = {
  readonly timeoutMs: number;
  /** What is waited for, as in "waited 5000 ms for <what>". */
  readonly what: string;
  readonly everyMs?: number;
};

/**
 * Looks again and again until `look` is done, and answers its value. Rejects when the time is over, with what was
 * last seen. An error thrown by `look` ends the wait.
 */
export async function waitFor<T>(look: () => Look<T> | Promise<Look<T>>, options: WaitOptions): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    const found = await look();
    if (found.done) return found.value;
    if (performance.now() >= deadline) {
      throw new Error(`waited ${options.timeoutMs} ms for ${options.what}; last seen: ${describe(found.seen)}`);
    }
    await sleep(options.everyMs ?? 50);
  }
}

/** As `waitFor`, for a plain condition. An error thrown by `check` means "not yet" and is shown when the time is over. */
export async function waitUntil(check: () => boolean | Promise<boolean>, options: WaitOptions): Promise<void> {
  await waitFor<void>(async () => {
    try {
      return (await check()) ? { done: true, value: undefined } : { done: false, seen: false };
    } catch (error) {
      return { done: false, seen: error };
    }
  }, options);
}

function describe(seen: unknown): string {
  if (seen instanceof Error) return String(seen);
  return typeof seen === 'string' ? seen : JSON.stringify(seen, (_key, v) => (typeof v === 'bigint' ? `${v}` : v));
}
