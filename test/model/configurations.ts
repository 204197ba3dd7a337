/** What is checked: small worlds, each with the trouble that belongs together. */
import type { Setup } from './check.ts';

export type Configuration = Setup & {
  readonly name: string;
  /** Small enough for the test command. */
  readonly isSmall: boolean;
};

const settling = (name: string, constants: Setup['constants'], isSmall = false): Configuration => ({
  name,
  model: 'Settling',
  constants,
  isSmall,
});
const publishing = (name: string, constants: Setup['constants'], isSmall = false): Configuration => ({
  name,
  model: 'Publishing',
  constants,
  isSmall,
});
const ALONE = { Workers: '{w1}' };

export const CONFIGURATIONS: readonly Configuration[] = [
  settling('a crash, late calls', { Crashes: 1, Lates: 1 }, true),
  settling('a zombie, late calls', { Rebalances: 1, Lates: 1 }),
  settling('a zombie begins a partition elsewhere', { Shards: 1, Rebalances: 1, Lates: 1, Starts: '{0, 1}' }, true),
  { ...settling('lost writes, late calls', { ...ALONE, Records: 2, Losses: 1, Lates: 1 }), without: 'NotCountedAgain' },
  settling('writes lost twice', { ...ALONE, Records: 2, Losses: 2 }),
  {
    ...settling('lost writes, a zombie', { Shards: 1, Records: 2, Losses: 1, Rebalances: 1 }),
    without: 'NotCountedAgain',
  },
  settling('lost writes, two partitions', { ...ALONE, Partitions: 2, Losses: 1 }),
  settling('a limit lowered, two partitions, a zombie', {
    Partitions: 2,
    Shards: 1,
    Series: 2,
    Lowers: 1,
    Rebalances: 1,
  }),
  {
    ...settling('purges, late calls, lost writes', {
      ...ALONE,
      Shards: 1,
      Records: 3,
      Series: 2,
      Ticks: 2,
      Lates: 1,
      Losses: 1,
    }),
    without: 'NotCountedAgain',
  },
  settling('a topic made again, stale fetches, lost writes', {
    ...ALONE,
    Shards: 1,
    Records: 2,
    TopicIds: 2,
    Remakes: 1,
    Prefetches: 1,
    Losses: 1,
  }),
  settling('a topic made again, a zombie', { Shards: 1, TopicIds: 2, Remakes: 1, Rebalances: 1, Lates: 1 }),
  settling('a topic made again, a commit answered late, lost writes', {
    ...ALONE,
    Shards: 1,
    Records: 2,
    TopicIds: 2,
    Remakes: 1,
    Slows: 1,
    Losses: 1,
  }),
  settling('a log cut, lost writes', { ...ALONE, Records: 2, Losses: 1, Cuts: 1 }),
  {
    ...settling('comes to rest', { Shards: 1, Rebalances: 1, Losses: 1 }),
    liveness: true,
  },
  publishing('a lease handed over, or run out', { Records: 0, End: 6, Handovers: 2, Renewals: 2 }, true),
  publishing('a replica suspended', { Records: 0, End: 7, Handovers: 1, Renewals: 2, Suspensions: 1 }),
  publishing('a wall clock set back', { Records: 0, End: 7, Handovers: 1, Renewals: 2, ClockSteps: 1 }),
  publishing('leases, lost writes', { Records: 0, End: 5, Handovers: 2, Renewals: 1, Losses: 1, Window: 9 }),
  publishing('tables handed over', { End: 3, Handovers: 1, Renewals: 1 }),
  publishing('tables, lost writes', { End: 4, Hold: 2, Renewals: 1, Losses: 1, Window: 1 }),
  publishing('tables handed over, lost writes', { End: 2, Hold: 2, Handovers: 1, Losses: 1, Window: 1 }),
];

export type Reached = {
  /** An invariant of the model that says "never"; it must be found false. */
  readonly never: string;
  /** What is reached then, in words. */
  readonly what: string;
  /** The name of a configuration. */
  readonly where: string;
};

/** That the configurations meet what they are for. */
export const REACHED: readonly Reached[] = [
  { never: 'NeverRefused', what: 'the flush of a zombie is refused', where: 'lost writes, a zombie' },
  { never: 'NeverAlready', what: 'a call sent again is found applied', where: 'a crash, late calls' },
  { never: 'NeverBehindTheCommit', what: 'markers below the commit', where: 'lost writes, late calls' },
  { never: 'NeverWiped', what: 'a shard is lost that had counted', where: 'lost writes, two partitions' },
  {
    never: 'NeverOverTheLimit',
    what: 'more live than the lowered limit',
    where: 'a limit lowered, two partitions, a zombie',
  },
  { never: 'NeverOverflowed', what: 'overflow', where: 'a limit lowered, two partitions, a zombie' },
  { never: 'NeverRetired', what: 'a series is purged', where: 'purges, late calls, lost writes' },
  { never: 'NeverLabelsNeeded', what: 'labels are asked for', where: 'purges, late calls, lost writes' },
  { never: 'NeverDoneAfterAll', what: 'rest, all trouble used up', where: 'lost writes, a zombie' },
  {
    never: 'NeverDoneAfterAll',
    what: 'rest, all trouble used up',
    where: 'a topic made again, stale fetches, lost writes',
  },
  {
    never: 'NeverLate',
    what: 'a commit answered when the topic is another one',
    where: 'a topic made again, a commit answered late, lost writes',
  },
  { never: 'NeverCut', what: 'a marker moved to the end of a log', where: 'a log cut, lost writes' },
  { never: 'NeverReleasedByName', what: 'a release by name', where: 'a lease handed over, or run out' },
  { never: 'NeverBetweenOwners', what: 'nobody may show', where: 'a lease handed over, or run out' },
  { never: 'NobodyShows', what: 'all is shown', where: 'tables handed over' },
  { never: 'NeverHeldAtZero', what: 'a new series is shown as 0', where: 'tables handed over' },
  { never: 'NeverHandedOver', what: 'the second owner shows what the first showed', where: 'tables handed over' },
  { never: 'NeverSeenFalling', what: 'the ledger falls below what a reader saw', where: 'tables, lost writes' },
  {
    never: 'NeverHandedOverAfterALoss',
    what: 'lost writes, a replay, a hand-over, and all is shown',
    where: 'tables handed over, lost writes',
  },
];
