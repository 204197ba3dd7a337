import type { Test } from '@jest/test-result';
import sequencer from '@jest/test-sequencer';

/** What watches clocks and real servers comes last, when nothing that only computes has the processors. */
const ORDER = ['simulation', 'unit', 'contract', 'integration'];

const rank = (test: Test): number => ORDER.indexOf(test.context.config.displayName?.name ?? '');

/** A CommonJS module's default export: as it is, or one step deeper, as who loads this file will have it. */
const Sequencer = 'default' in sequencer ? sequencer.default : (sequencer as unknown as typeof sequencer.default);

export default class ByProject extends Sequencer {
  override sort(tests: Test[]): Test[] {
    return [...tests].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
  }
}
