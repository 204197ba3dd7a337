/** What a member asks the group before it decides about partitions. The decisions: decide-position.test.ts. */
import { describe, expect, test } from '@jest/globals';
import type { GroupCommit, RecordSource, TopicPartition } from '../../../src/kafka/port.ts';
import { systemClock } from '../../../src/ledger/clock.ts';
import { markerField } from '../../../src/ledger/keys.ts';
import { MemoryLedger } from '../../../src/ledger/memory-ledger.ts';
import { commitMetadata, PartitionState, partitionKey } from '../../../src/ledger/partition.ts';
import { RowCount } from '../../../src/ledger/pending.ts';
import { SHARDS } from '../../../src/ledger/port.ts';
import { Positioner } from '../../../src/ledger/positioner.ts';
import type { WorkerEvent } from '../../../src/ledger/worker-events.ts';

const TOPICS = ['busy', 'idle'];

/** A group that has read 50 records of one topic, and none of the other. */
const source: Pick<RecordSource, 'topics' | 'commits' | 'ranges' | 'commit'> = {
  topics: async (names) =>
    TOPICS.filter((name) => names.includes(name)).map((name) => ({ name, id: `id-${name}`, partitions: 1 })),
  commits: async (partitions) =>
    partitions.map(
      ({ topic, partition }): GroupCommit => ({
        topic,
        partition,
        offset: topic === 'busy' ? 50 : 0,
        metadata: commitMetadata({ topicId: `id-${topic}`, start: 0 }),
      }),
    ),
  ranges: async (partitions) => partitions.map((where) => ({ ...where, start: 0, end: 50 })),
  commit: async () => {},
};

const newState = (topic: string): PartitionState => new PartitionState({ topic, partition: 0 }, new RowCount(1000));

/** Positions partition 0 of a topic; answers what was told on the way. */
const position = async (
  topic: string,
  ledger: MemoryLedger,
  from: Partial<RecordSource> = source,
  state: PartitionState = newState(topic),
): Promise<readonly WorkerEvent[]> => {
  const where: TopicPartition = { topic, partition: 0 };
  const events: WorkerEvent[] = [];
  await new Promise<void>((resolve, reject) => {
    const positioner = new Positioner({
      source: from as RecordSource,
      ledger,
      topics: TOPICS,
      clock: systemClock,
      fromBeginning: true,
      onLoss: 'continue',
      patienceMs: 0,
      watch: (event) => events.push(event),
      fatal: reject,
      resolved: async () => {},
      generation: () => 1,
      isHeld: (other) => partitionKey(other) === partitionKey(where),
      exclusively: (work) => work(),
      drop: () => reject(new Error('nothing was gathered')),
      activate: (active) => {
        active.phase = 'active';
        resolve();
      },
      partitions: () => [state],
    });
    positioner.wake();
  });
  return events;
};

const newLedger = async (): Promise<MemoryLedger> => {
  const ledger = new MemoryLedger({ nowUs: () => Date.now() * 1000 });
  await ledger.claim({ clusterId: 'cluster', groupId: 'group' });
  return ledger;
};

describe('positioning', () => {
  test('a member that holds partitions of an idle topic alone sees that a shard is lost, by the commits of the others', async () => {
    const ledger = await newLedger();
    expect(await position('idle', ledger)).toContainEqual(expect.objectContaining({ kind: 'ledger_loss' }));
    for (let shard = 0; shard < SHARDS; shard++) expect((await ledger.view(shard))?.afterLoss).toBe(true);
  });

  test('what another member settles and commits meanwhile is not taken for lost writes', async () => {
    const ledger = await newLedger();
    const field = markerField('id-busy', 0);
    let marker = 40;
    for (let shard = 0; shard < SHARDS; shard++) await ledger.setMarkers(shard, [[field, marker]], 'first');
    const settle = async (to: number): Promise<void> => {
      for (let shard = 0; shard < SHARDS; shard++) await ledger.move(shard, field, marker, to, 'seek');
      marker = to;
    };
    const events = await position('busy', ledger, {
      ...source,
      // Before it answers, and again when it has answered.
      commits: async (partitions) => {
        await settle(50);
        const answer = await source.commits(partitions);
        await settle(60);
        return answer;
      },
      ranges: async (partitions) => partitions.map((where) => ({ ...where, start: 0, end: 60 })),
    });
    expect(events.map(({ kind }) => kind)).toEqual(['positioned']);
  });

  test.each([
    ['is kept where the ledger stands where it was left', 40, 45],
    ['is forgotten where another member has settled a shard without a commit', 43, 40],
  ])('what was gathered %s', async (_, marker, next) => {
    const ledger = await newLedger();
    const field = markerField('id-busy', 0);
    for (let shard = 0; shard < SHARDS; shard++)
      await ledger.setMarkers(shard, [[field, shard === 7 ? marker : 40]], 'first');
    const state = newState('busy');
    state.topicId = 'id-busy';
    state.adopt(new Float64Array(SHARDS).fill(40));
    state.advance(45);
    const commits: RecordSource['commits'] = async (partitions) =>
      (await source.commits(partitions)).map((commit) => ({ ...commit, offset: 40 }));
    await position('busy', ledger, { ...source, commits }, state);
    expect(state.next).toBe(next);
    expect(state.markers[7]).toBe(marker);
  });
});
