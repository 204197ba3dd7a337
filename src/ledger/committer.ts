/** Tells the group how far the ledger is, only upwards, and looks whether the group still knows. */
import type { RecordSource } from '../kafka/port.ts';
import type { Conversation } from './conversation.ts';
import { commitMetadata, type PartitionState, partitionKey, readCommitMetadata } from './partition.ts';
import type { WatchWorker } from './worker-events.ts';

export type CommitterOptions = {
  readonly source: Pick<RecordSource, 'commit' | 'commits' | 'ranges'>;
  readonly conversation: Conversation;
  readonly active: () => Iterable<PartitionState>;
  readonly generation: () => number;
  /** The log ends at `end`, below what some shard has counted: it must be seen whether that stays so. */
  readonly endsEarly: (state: PartitionState, end: number) => void;
  readonly watch: WatchWorker;
};

type Due = { readonly state: PartitionState; readonly topicId: string; readonly offset: number };

export class Committer {
  readonly #options: CommitterOptions;
  #committing: Promise<void> | null = null;

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Commits where the ledger is farther than the group knows; at most one at a time. */
  async commit(): Promise<void> {
    if (this.#due().length === 0 || this.#committing !== null) return;
    this.#committing = this.#options.conversation.exclusively(() => this.#commitDue());
    try {
      await this.#committing;
    } finally {
      this.#committing = null;
    }
  }

  /** Resolves when no commit is on its way. */
  async idle(): Promise<void> {
    await this.#committing;
  }

  /** A coordinator that lost commits, or an operator who moved them down, is told again. */
  async readCommits(): Promise<void> {
    const { source, conversation, active } = this.#options;
    const states = [...active()].map((state) => ({ state, epoch: state.epoch }));
    if (states.length === 0) return;
    await conversation.exclusively(async () => {
      const commits = await conversation.ask('commits', source.commits(states.map(({ state }) => state)));
      if (commits === null) return;
      const held = new Map(commits.map((commit) => [partitionKey(commit), commit]));
      for (const { state, epoch } of states) {
        const commit = held.get(partitionKey(state));
        if (state.epoch !== epoch || commit === undefined) continue;
        const isOurs = commit.offset !== null && readCommitMetadata(commit.metadata)?.topicId === state.topicId;
        state.commit = isOurs ? commit.offset! : -1;
      }
    });
  }

  /**
   * Fetches tell where a log ends; a partition that is paused, or of which nothing can be read, must not seem to have no
   * lag. And a log that was cut while some shards catch up may end above `next` and below the markers of the others: no
   * fetch is out of range, but what is written there from now on would be taken for counted.
   */
  async readEnds(): Promise<void> {
    const { source, conversation, active, endsEarly } = this.#options;
    const states = [...active()].map((state) => ({ state, epoch: state.epoch, highest: state.highestMarker }));
    if (states.length === 0) return;
    const ranges = await conversation.ask('log ranges', source.ranges(states.map(({ state }) => state)));
    const ends = new Map((ranges ?? []).map((range) => [partitionKey(range), range.end]));
    for (const { state, epoch, highest } of states) {
      const end = ends.get(partitionKey(state));
      state.logEnd = Math.max(end ?? state.logEnd, state.next);
      if (end !== undefined && state.epoch === epoch && end < highest) endsEarly(state, end);
    }
  }

  async #commitDue(): Promise<void> {
    const { source, conversation, generation, watch } = this.#options;
    const due = this.#due();
    const requests = due.map(({ state, offset }) => ({
      topic: state.topic,
      partition: state.partition,
      offset,
      metadata: commitMetadata(state),
    }));
    if (requests.length === 0) return;
    const done = await conversation.ask(
      'commit',
      source.commit(generation(), requests).then(() => true),
    );
    if (done === null) return;
    for (const { state, topicId, offset } of due) {
      // Made again while the answer was on its way: nothing was committed of the topic that has the name now.
      if (state.topicId !== topicId) continue;
      state.commit = offset;
      state.reached = Math.max(state.reached, offset);
    }
    watch({ kind: 'kafka_committed', partitions: due.length });
  }

  #due(): Due[] {
    return [...this.#options.active()]
      .map((state) => ({ state, topicId: state.topicId, offset: Math.max(state.lowestMarker, state.reached) }))
      .filter(({ state, offset }) => offset > state.commit);
  }
}
