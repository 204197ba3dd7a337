/** Its message completes the sentence "<path> ...". */
export class FormatError extends Error {
  override readonly name = 'FormatError';
}
