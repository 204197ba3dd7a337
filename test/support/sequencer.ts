import type { Test } from '@jest/test-result';
import sequencer from '@jest/test-sequencer';

/** What watches clocks and real servers comes last, when nothing that only computes has the processors. */
const ORDER = ['model', 'rules', 'simulation', 'unit', 'contract', 'integration'];

const rank = (test: Test): number => ORDER.indexOf(test.context.config.displayName?.name ?? '');

/** The default export of a CommonJS module: one step deeper, or as it is, as whoever loads this file will have it. */
const loaded: { default: typeof sequencer.default } = sequencer;
const Sequencer = loaded.default ?? loaded;

export default class ByProject extends Sequencer {
  override sort(tests: Test[]): Test[] {
    return [...tests].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
  }
}
