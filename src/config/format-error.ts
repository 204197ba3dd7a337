/** A value is not what it should be. */
export class FormatError extends Error {
  override readonly name = 'FormatError';
  /** Each completes the sentence "<path> ...". */
  readonly problems: readonly string[];
  /** The value without what is wrong in it, so that the rest can be looked at; undefined where nothing is left. */
  readonly rest: unknown;

  constructor(problems: string | readonly string[], rest?: unknown) {
    const all = typeof problems === 'string' ? [problems] : problems;
    super(all.join('; '));
    this.problems = all;
    this.rest = rest;
  }
}

/** Reads every part. Throws a `FormatError` with the problems of all of them, and with what was sound as the rest. */
export const readEach = <P, T>(parts: Iterable<P>, read: (part: P) => T): T[] => {
  const sound: T[] = [];
  const problems: string[] = [];
  for (const part of parts) {
    try {
      sound.push(read(part));
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      problems.push(...error.problems);
      if (error.rest !== undefined) sound.push(error.rest as T);
    }
  }
  if (problems.length > 0) throw new FormatError(problems, sound);
  return sound;
};
