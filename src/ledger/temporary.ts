/** Errors of the two ports that time cures; told by their codes, so that the edges need not be imported. */
const TEMPORARY: ReadonlySet<unknown> = new Set(['LEDGER_UNAVAILABLE', 'SOURCE_UNAVAILABLE', 'STALE_GENERATION']);

export const isTemporary = (error: unknown): error is Error =>
  error instanceof Error && 'code' in error && TEMPORARY.has(error.code);
