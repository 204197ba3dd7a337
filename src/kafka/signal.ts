/** Waiting that can be cut short. No timer outlives its wait. */
export class Signal {
  readonly #waiting = new Set<() => void>();

  /** Resolves after `ms`, or at the next `fire`. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(0, ms));
      this.#waiting.add(done);
    });
  }

  fire(): void {
    for (const done of [...this.#waiting]) done();
  }
}

/** Resolves when the work has settled, or after `ms`; never rejects. */
export const settled = async (work: Promise<unknown>, ms: number): Promise<void> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.then(ignore, ignore), late]);
  clearTimeout(timer);
};

const ignore = (): void => {};
