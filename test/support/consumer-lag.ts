import { endOffsets, withAdmin } from './topics.ts';

/** Records of a topic beyond the group's commits. Where the group has no commit in a partition, all of it counts. */
export async function consumerLag(brokers: readonly string[], groupId: string, topic: string): Promise<number> {
  const ends = await endOffsets(brokers, topic);
  const commits = await withAdmin(brokers, (admin) => admin.fetchOffsets({ groupId, topics: [topic] }));
  let lag = ends.reduce((sum, end) => sum + end, 0);
  for (const { offset } of commits[0]?.partitions ?? []) lag -= Math.max(0, Number(offset));
  return lag;
}
