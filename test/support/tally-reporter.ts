import type { AggregatedResult, Reporter } from '@jest/reporters';

/** Closes a run with the one line that `.ci/run` promises. A test file that could not run at all counts as a failure. */
export default class TallyReporter implements Pick<Reporter, 'onRunComplete'> {
  onRunComplete(_contexts: unknown, results: AggregatedResult): void {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    process.stdout.write(`\ntests: ${results.numPassedTests} passed, ${failed} failed\n`);
  }
}
