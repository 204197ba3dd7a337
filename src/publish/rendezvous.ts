import { hash } from 'node:crypto';

/**
 * The replica with the highest hash for the shard: everyone who sees the same replicas agrees, and a replica that
 * comes or goes moves its own shards alone. Null without replicas.
 */
export const wantedOwner = (shard: number, replicas: readonly string[]): string | null => {
  let wanted: string | null = null;
  let highest = '';
  for (const replica of replicas) {
    const score = hash('sha256', `${shard}\n${replica}`);
    if (wanted === null || score > highest) {
      wanted = replica;
      highest = score;
    }
  }
  return wanted;
};
