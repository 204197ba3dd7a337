/** Time and turns, as an argument: the service passes `systemClock`, the simulation a virtual one. */
export type Clock = {
  /** Milliseconds since 1970, as the machine believes. May step. */
  wallMs(): number;
  /** Milliseconds since some moment. Never steps; stands still while the machine is suspended. */
  monotonicMs(): number;
  /** Calls `fn` once, `ms` from now. Answers what cancels it. */
  after(ms: number, fn: () => void): () => void;
  /** Lets other work of this process have its turn. */
  turn(): Promise<void>;
};

export const sleep = (clock: Clock, ms: number): Promise<void> => new Promise((resolve) => clock.after(ms, resolve));

/** Settles as the work does, or resolves when the time is over. Leaves no timer behind that would keep a process. */
export const within = async (clock: Clock, ms: number, work: Promise<unknown>): Promise<void> => {
  let cancel = (): void => {};
  const over = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve);
  });
  try {
    await Promise.race([work, over]);
  } finally {
    cancel();
  }
};

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (ms, fn) => {
    const timer = setTimeout(fn, ms);
    return () => clearTimeout(timer);
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
};
