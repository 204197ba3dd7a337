import { expect, test } from '@jest/globals';
import type { CommitRequest } from '../../../src/kafka/port.ts';
import { Committer } from '../../../src/ledger/committer.ts';
import { Conversation } from '../../../src/ledger/conversation.ts';
import { PartitionState } from '../../../src/ledger/partition.ts';
import { RowCount } from '../../../src/ledger/pending.ts';
import { SHARDS } from '../../../src/ledger/port.ts';

const watch = (): void => {};

test('a commit that is answered when the topic was made again says nothing of the new one', async () => {
  const state = new PartitionState({ topic: 't', partition: 0 }, new RowCount(10));
  state.topicId = 'old';
  state.adopt(new Float64Array(SHARDS).fill(92));
  state.phase = 'active';
  const sent: CommitRequest[] = [];
  let answer = (): void => {};
  const source = {
    commit: async (_generation: number, requests: readonly CommitRequest[]) => {
      sent.push(...requests);
      await new Promise<void>((resolve) => {
        answer = resolve;
      });
    },
    commits: async () => [],
    ranges: async () => [],
  };
  const conversation = new Conversation(watch);
  const rest = { active: () => [state], generation: () => 1, endsEarly: () => {}, watch };
  const committer = new Committer({ ...rest, source, conversation });
  const committing = committer.commit();
  for (let turn = 0; turn < 10 && sent.length === 0; turn++) await Promise.resolve();
  expect(sent.map(({ offset }) => offset)).toEqual([92]);
  state.topicId = 'new';
  state.commit = state.reached = -1;
  answer();
  await committing;
  expect([state.commit, state.reached]).toEqual([-1, -1]);
});

test('a log that ends below the marker of some shard is looked at again, though there is more to read', async () => {
  const state = new PartitionState({ topic: 't', partition: 0 }, new RowCount(10));
  state.adopt(Float64Array.from({ length: SHARDS }, (_, shard) => (shard === 7 ? 51 : 30)));
  state.phase = 'active';
  const early: number[] = [];
  let end = 51;
  let meanwhile = (): void => {};
  const source = {
    commit: async () => {},
    commits: async () => [],
    ranges: async () => {
      meanwhile();
      return [{ topic: 't', partition: 0, start: 0, end }];
    },
  };
  const committer = new Committer({
    source,
    conversation: new Conversation(watch),
    active: () => [state],
    generation: () => 1,
    endsEarly: (_, at) => void early.push(at),
    watch,
  });
  await committer.readEnds();
  expect([early, state.logEnd]).toEqual([[], 51]);
  end = 39;
  await committer.readEnds();
  expect([early, state.logEnd]).toEqual([[39], 39]);
  // Counted while the question was on its way: the answer is older.
  state.markers.fill(39);
  meanwhile = () => state.markers.fill(45);
  await committer.readEnds();
  expect(early).toEqual([39]);
});
