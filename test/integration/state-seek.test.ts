/** `state seek` on a fleet: records are skipped under it, and counted again while it is stopped. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type Fleet, killReplica, startFleet } from '../support/fleet.ts';
import { type Ended, runCommand } from '../support/run-command.ts';
import type { Replica } from '../support/services/replica.ts';
import { sharedKafka } from '../support/shared-servers.ts';
import { waitFor } from '../support/wait-for.ts';

let fleet: Fleet;

beforeAll(async () => {
  fleet = await startFleet({ name: 'seek', brokers: sharedKafka() });
  await fleet.write(120);
  await fleet.settle();
}, 180_000);

afterAll(async () => {
  await fleet?.stop();
}, 60_000);

const state = (...argv: string[]): Promise<Ended> =>
  runCommand(['state', ...argv, '--config', fleet.replicas[0]!.configFile]);

/** Verified totals, when every marker is at the log's end. */
const proved = async (): Promise<{ verdict: string; records: number; read: number }> => {
  const { out, err } = await state('verify', '--output', 'json');
  if (out === '') throw new Error(err);
  const { verdict, records_read, totals } = JSON.parse(out) as {
    verdict: string;
    records_read: number;
    totals: { tracker: string; measure: string; ledger: number }[];
  };
  const records = totals.find(({ tracker, measure }) => tracker === 'records' && measure === 'records')!.ledger;
  return { verdict, records, read: records_read };
};

const untilCounted = (records: number): Promise<unknown> =>
  waitFor(
    async () => {
      const seen = await proved();
      return seen.records === records && seen.verdict === 'exact' ? { done: true, value: seen } : { done: false, seen };
    },
    { timeoutMs: 60_000, what: `${records} records in the ledger` },
  );

async function stopReplica(replica: Replica): Promise<void> {
  replica.signal('SIGTERM');
  expect(await replica.exit()).toEqual({ code: 0, signal: null });
}

describe('without --execute', () => {
  test('it says what it would do, and does nothing', async () => {
    const skip = await state('seek', '--to', 'latest');
    expect(skip).toMatchObject({ code: 0, out: expect.stringMatching(/ none\n[\s\S]*nothing was changed/) });
    const recount = await state('seek', '--to', 'earliest');
    expect(recount.out).toMatch(/counted again[\s\S]*nothing was changed/);
    expect(recount.err).toMatch(/it would be refused: the group has 2 members/);
    expect(await proved()).toMatchObject({ verdict: 'exact', records: 120 });
  }, 60_000);

  test.each([
    [[], 2, /--to is missing/],
    [['--to', 'yesterday'], 2, /--to must be a time/],
    [['--to', '5'], 2, /an offset is of one partition/],
    [['--to', '5', '--topic', 'nowhere'], 1, /no such partition/],
    [['--to', '5000', '--partition', '1'], 1, /5000 lies outside/],
  ])(
    '%j is refused',
    async (options, code, message) => {
      expect(await state('seek', ...options)).toMatchObject({ code, err: expect.stringMatching(message) });
    },
    30_000,
  );
});

test('a living group is not counted again', async () => {
  const { code, err } = await state('seek', '--to', 'earliest', '--execute');
  expect(code).toBe(1);
  expect(err).toMatch(/the group has 2 members.*Stop every replica/);
  expect(await proved()).toMatchObject({ verdict: 'exact', records: 120 });
}, 30_000);

test('with everything stopped, records are counted once more; nobody takes it for lost writes', async () => {
  for (const replica of fleet.replicas) await stopReplica(replica);
  const { code, out } = await state('seek', '--to', '10', '--partition', '1', '--execute');
  expect({ code, out }).toEqual({ code: 0, out: expect.stringMatching(/\n64 markers were moved; now:\n/) });
  for (const replica of fleet.replicas) await replica.start();
  await fleet.ready();
  await untilCounted(120 + 20);
  expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBe(0);
  expect(await fleet.metric('tracetally_ledger_losses_total')).toBe(0);
}, 120_000);

test('records that nobody has counted are skipped', async () => {
  await Promise.all(fleet.replicas.map(killReplica));
  await fleet.write(40);
  const { code, out } = await state('seek', '--to', 'latest', '--execute', '--output', 'json');
  expect(code).toBe(0);
  const { moves, after } = JSON.parse(out) as Record<'moves' | 'after', { offsets: number; effect: string }[]>;
  expect(moves.map(({ effect, offsets }) => [effect, offsets])).toEqual(moves.map(() => ['skipped', 10]));
  expect(after.map(({ effect }) => effect)).toEqual(moves.map(() => 'none'));
  for (const replica of fleet.replicas) await replica.start();
  await fleet.ready();
  await fleet.write(20);
  await untilCounted(140 + 20);
  expect(await fleet.metric('tracetally_gap_records_total')).toBe(0);
}, 120_000);

test('under a living fleet, in the middle of the traffic', async () => {
  const flow = await fleet.flow(60);
  for (let i = 0; i < 2; i++) {
    expect(await state('seek', '--to', 'latest', '--execute')).toMatchObject({ code: 0 });
    expect(await proved()).toMatchObject({ verdict: 'exact' });
  }
  await flow.end();
  await waitFor(
    async () => {
      const { out } = await state('seek', '--to', 'latest', '--output', 'json');
      const { moves } = JSON.parse(out) as { moves: { effect: string }[] };
      return moves.every(({ effect }) => effect === 'none') ? { done: true, value: null } : { done: false, seen: out };
    },
    { timeoutMs: 30_000, what: 'markers at the end of the log' },
  );
  const { verdict, records } = await proved();
  expect(verdict).toBe('exact');
  // 20 counted twice, 40 skipped, and whatever the last seeks passed over.
  expect(records).toBeLessThanOrEqual(fleet.truth.records + 20 - 40);
  expect(await fleet.metric('tracetally_ledger_lost_writes_total')).toBe(0);
}, 240_000);
