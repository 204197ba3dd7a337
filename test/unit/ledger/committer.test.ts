import { expect, test } from '@jest/globals';
import type { CommitRequest } from '../../../src/kafka/port.ts';
import { Committer } from '../../../src/ledger/committer.ts';
import { Conversation } from '../../../src/ledger/conversation.ts';
import { PartitionState } from '../../../src/ledger/partition.ts';
import { RowCount } from '../../../src/ledger/pending.ts';
import { SHARDS } from '../../../src/ledger/port.ts';

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
  const watch = () => {};
  const conversation = new Conversation(watch);
  const committer = new Committer({ source, conversation, active: () => [state], generation: () => 1, watch });
  const committing = committer.commit();
  for (let turn = 0; turn < 10 && sent.length === 0; turn++) await Promise.resolve();
  expect(sent.map(({ offset }) => offset)).toEqual([92]);
  state.topicId = 'new';
  state.commit = state.reached = -1;
  answer();
  await committing;
  expect([state.commit, state.reached]).toEqual([-1, -1]);
});
