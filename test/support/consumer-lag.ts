import { endOffsets, withAdmin } from './topics.ts';

/** Records of a topic beyond the group's commits. Where the group has no commit in a partition, all of it counts. */
export async function consumerLag(brokers: readonly string[], groupId: string, topic: string): Promise<number> {
  const commits = await groupCommits(brokers, groupId, topic);
  const ends = await endOffsets(brokers, topic);
  return ends.reduce((sum, end, partition) => sum + end - (commits[partition] ?? 0), 0);
}

/** The group's commits by partition; 0 where there is none. */
export async function groupCommits(brokers: readonly string[], groupId: string, topic: string): Promise<number[]> {
  const found = await withAdmin(brokers, (admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
  const commits: number[] = [];
  for (const { partition, offset } of found[0]?.partitions ?? []) commits[partition] = Math.max(0, Number(offset));
  return commits;
}
