import { describe, expect, test } from '@jest/globals';
import { Schedule } from './publisher-simulation.ts';

/** A failing seed names itself: `new Schedule({ seed, faults }).run()` plays it again. */
const play = async (faults: boolean, seeds: number) => {
  const sums = { shownRows: 0, heldRows: 0, handOvers: 0, losses: 0 };
  for (let seed = 1; seed <= seeds; seed++) {
    const schedule = new Schedule({ seed, faults });
    await schedule.run();
    sums.shownRows += schedule.shownRows;
    sums.heldRows += schedule.heldRows;
    sums.handOvers += schedule.handOvers;
    sums.losses += schedule.losses;
  }
  return sums;
};

describe('publishers over one ledger', () => {
  test('without faults every series is born at zero, rises, and is shown once', async () => {
    const { shownRows, heldRows } = await play(false, 6);
    expect(shownRows).toBeGreaterThan(5_000);
    expect(heldRows).toBeGreaterThan(1_000);
  }, 120_000);

  test('kills, restarts, sleeping machines, lost writes and lost calls never make a series fall, or two owners', async () => {
    const { shownRows, handOvers, losses } = await play(true, 20);
    expect(shownRows).toBeGreaterThan(5_000);
    expect(handOvers).toBeGreaterThan(30);
    expect(losses).toBeGreaterThan(30);
  }, 120_000);
});
