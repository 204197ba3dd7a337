/** Models broken on purpose, each in a world where the unbroken one holds. TLC must find each of them out. */
import type { Setup } from './check.ts';

export type Mutation = Setup & {
  /** As the model knows it (its constant `Mutation`). */
  readonly name: string;
  /** Why nothing breaks, where nothing does. */
  readonly harmless?: string;
};

const settling = (name: string, constants: Setup['constants'], harmless?: string): Mutation => ({
  name,
  model: 'Settling',
  constants,
  ...(harmless === undefined ? {} : { harmless }),
});
const publishing = (name: string, constants: Setup['constants'], harmless?: string): Mutation => ({
  name,
  model: 'Publishing',
  constants,
  ...(harmless === undefined ? {} : { harmless }),
});
const ALONE = { Workers: '{w1}' };
/** A loss of any length, and workers that know what they had acknowledged: without that it would not hold, see KNOWN. */
const LOSS = { End: 4, Hold: 1, Renewals: 1, Losses: 1, Window: 9, Remembers: 'TRUE' };
/** A loss however long, a hand-over, and no time: nothing is held at zero. */
const FALL = { Records: 2, Hold: 0, End: 1, Handovers: 1, Losses: 1, Window: 9, Remembers: 'TRUE' };
const TOPIC = { ...ALONE, Shards: 1, Records: 2, TopicIds: 2, Remakes: 1, Prefetches: 1 };
const PURGE = { ...ALONE, Shards: 1, Records: 3, Series: 2, Ticks: 2 };

export const MUTATIONS: readonly Mutation[] = [
  settling('marker not checked', { Rebalances: 1 }),
  settling('section not applied is believed', { ...ALONE, Shards: 1, Records: 2, Losses: 1 }),
  settling('two calls in flight', { ...ALONE, Shards: 1, Records: 2, Lates: 1 }),
  {
    ...settling(
      'unresolved call made anew',
      { ...ALONE, Records: 2, Losses: 1, Lates: 1 },
      'whichever of the two takes effect second is refused by its marker, and the partition is positioned again',
    ),
    without: 'NotCountedAgain',
  },
  settling('pending kept at a rewind', { ...ALONE, Records: 2, Losses: 1 }),
  settling('records below the marker not skipped', { ...ALONE, Records: 2, Crashes: 1 }),
  {
    ...settling('unresolved calls not waited for', { ...ALONE, Records: 2, Losses: 1, Lates: 1 }),
    without: 'NotCountedAgain',
  },
  settling('commit above the lowest marker', ALONE),
  settling('commit may fall', { ...ALONE, Losses: 1 }),
  settling('markers read before the commit', { Rebalances: 1 }),
  settling('start committed in any generation', { Shards: 1, Rebalances: 1, Starts: '{0, 1}' }),
  settling('refused start is used', { Shards: 1, Rebalances: 1, Starts: '{0, 1}' }),
  settling('markers set where present', { Shards: 1, Lates: 1, Crashes: 1 }),
  settling('lost marker set to the commit', { ...ALONE, Partitions: 2, Losses: 1 }),
  settling('after-loss not noted', { ...ALONE, Partitions: 2, Losses: 2, Shards: 1 }),
  settling('idle partition makes a lost shard anew', { ...ALONE, Partitions: 2, Losses: 1, Shards: 1 }),
  settling('lost shard set to the start', { ...ALONE, Losses: 1 }),
  settling('limit checked outside of the script', { Partitions: 2, Shards: 1, Series: 2, Rebalances: 1 }),
  settling('sweep takes series of the call', PURGE),
  settling('purge forgets retired', PURGE),
  settling('labels not asked for', PURGE),
  settling('topic not asked for before a flush', { ...TOPIC, Prefetches: 0 }),
  settling('batches of before the seek taken', TOPIC),
  settling(
    'fetched-from not compared',
    { ...TOPIC, Losses: 1 },
    'every way back ends with a seek, and a batch that was fetched before it is not current',
  ),
  settling('late answer taken for the new topic', { ...TOPIC, Prefetches: 0, Slows: 1 }),
  settling('ends of logs not compared', { ...ALONE, Records: 2, Losses: 1, Cuts: 1 }),
  settling('stale batches taken', { ...ALONE, Shards: 1, Records: 2, Losses: 1, Prefetches: 1 }),
  publishing('lease usable at once', { Records: 0, End: 5, Handovers: 1, Renewals: 1, Losses: 1, Window: 9 }),
  publishing('lease shown after its time', { Records: 0, End: 6, Handovers: 1, Renewals: 1 }),
  publishing('lease judged by the monotonic clock alone', {
    Records: 0,
    End: 6,
    Handovers: 1,
    Renewals: 1,
    Suspensions: 1,
  }),
  publishing('lease judged by the wall clock alone', {
    Records: 0,
    End: 6,
    Handovers: 1,
    Renewals: 1,
    ClockSteps: 1,
  }),
  publishing('renewal counted from its answer', { Records: 0, End: 7, Handovers: 1, Renewals: 2 }),
  publishing(
    'refused renewal ignored',
    { Records: 0, End: 5, Handovers: 2, Renewals: 2, Losses: 1, Window: 9 },
    'whoever takes a lease waits for longer than its former holder may still show',
  ),
  publishing('shown until the release is answered', { Records: 0, End: 3, Handovers: 1 }),
  publishing('lease released before it was usable', {
    Replicas: '{r1, r2, r3}',
    Records: 0,
    End: 4,
    Handovers: 2,
    Renewals: 1,
    Losses: 1,
    Window: 9,
  }),
  publishing('release believed twice', { Records: 0, Handovers: 3, Losses: 1, Window: 9 }),
  publishing('table shown without covering commits', FALL),
  publishing('table replaced by a lower one', FALL),
  publishing('first table without a floor', FALL),
  publishing('floor read before the lease is usable', {
    Records: 2,
    Begun: 1,
    FirstWanted: 'r2',
    Forgotten: 'TRUE',
    Hold: 0,
    End: 3,
    Renewals: 1,
  }),
  publishing('ledger of before the take believed', {
    Begun: 1,
    Hold: 1,
    End: 1,
    Handovers: 1,
    Losses: 1,
    Window: 9,
    Renewals: 1,
    Remembers: 'TRUE',
  }),
  publishing('fall-back while reading not seen', FALL),
  publishing('fall-back while waiting not seen', LOSS),
  publishing('replays not noted', LOSS),
  publishing('hold ignored', { End: 2 }),
  publishing('hold not begun again by the next owner', { End: 3, Handovers: 1, Renewals: 1 }),
];

/** What the code does not survive, found by the model and kept as a story: see docs/model.md. */
export const KNOWN: readonly Mutation[] = [
  publishing('suspended, and its wall clock set back meanwhile', {
    Records: 0,
    End: 7,
    Handovers: 1,
    Renewals: 2,
    Suspensions: 1,
    ClockSteps: 1,
  }),
  settling('a first marker set late, after a ledger loss', { Shards: 1, Losses: 1, Rebalances: 1 }),
  publishing('a fall and a recovery between two looks', { End: 4, Hold: 1, Renewals: 1, Losses: 1, Window: 9 }),
  publishing('a replay by a worker that does not know', {
    End: 4,
    Hold: 1,
    Renewals: 1,
    Losses: 1,
    Window: 9,
    Zombies: 1,
    Remembers: 'TRUE',
  }),
];
