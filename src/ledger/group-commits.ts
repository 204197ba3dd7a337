/** How far the group has been, by marker: what publishing compares its tables with. */
import type { RecordSource } from '../kafka/port.ts';
import { markerField } from './keys.ts';
import { readCommitMetadata } from './partition.ts';
import type { MarkerField } from './port.ts';

/**
 * The group's commits of every partition of the topics, as the coordinator holds them now; -1 where there is none of
 * ours: one of another topic that had the name, or one without a note, an operator's, which says nothing about how far
 * the ledger has been. The workers write over it. Rejects as the source does.
 */
export const groupCommits = async (
  source: Pick<RecordSource, 'topics' | 'commits'>,
  names: readonly string[],
): Promise<ReadonlyMap<MarkerField, number>> => {
  const topics = await source.topics(names);
  const ids = new Map(topics.map(({ name, id }) => [name, id]));
  const all = topics.flatMap(({ name, partitions }) =>
    Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
  );
  const commits = await source.commits(all);
  return new Map(
    commits.map(({ topic, partition, offset, metadata }) => {
      const id = ids.get(topic)!;
      const isOurs = offset !== null && readCommitMetadata(metadata)?.topicId === id;
      return [markerField(id, partition), isOurs ? offset : -1];
    }),
  );
};
