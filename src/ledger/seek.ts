/**
 * Moving markers on purpose. Two ways, and a seek goes only one of them:
 *
 *   skip     raises the markers that are below the target: those records are never counted. Safe under a living fleet:
 *            whoever has gathered them finds that the marker has moved, drops that, and goes on from there; the group's
 *            commit follows by itself.
 *   recount  lowers the markers that are above it: those records are counted once more. Only while the group has no
 *            member: a commit above the markers means lost writes, and every worker writes the farthest commit that it
 *            knows of again. The commit goes down first (one below the markers is what a crash leaves, too), then the
 *            markers. A replica that starts in between does no harm to the totals. Not while the ledger catches up
 *            after lost writes: the commit is what says how much had been shown before.
 *
 * Each shard is moved by a call of its own. A seek that was cut short is finished by doing it again.
 */
import type { CommitRequest, TopicPartition } from '../kafka/port.ts';
import { commitMetadata, readCommitMetadata } from './partition.ts';
import type { Ledger, MarkerField, ShardView } from './port.ts';

export type SeekTarget = TopicPartition & {
  readonly field: MarkerField;
  readonly to: number;
  readonly commit: { readonly offset: number; readonly metadata: string } | null;
};

export type SeekPlan = SeekTarget & {
  readonly kind: 'skip' | 'recount' | 'nothing';
  readonly lowest: number;
  readonly highest: number;
};

/** What a seek asks of the group. */
export type SeekGroup = {
  members(): Promise<number>;
  /** Rejects with `StaleGeneration` while the group has members. */
  commitUnheld(requests: readonly CommitRequest[]): Promise<void>;
};

/** A seek that cannot be done now. The message says the way out. */
export class SeekRefused extends Error {
  readonly code = 'SEEK_REFUSED';
  override readonly name = 'SeekRefused';
}

/** Pure. `views`: of all shards. Throws `SeekRefused` where a shard does not have the marker. */
export const planSeek = (target: SeekTarget, views: readonly (ShardView | null)[]): SeekPlan => {
  const { field, topic, partition, to, commit } = target;
  const markers = views.map((view) => view?.markers.get(field) ?? null);
  const missing = markers.filter((marker) => marker === null).length;
  if (missing > 0)
    throw new SeekRefused(
      `${topic}/${partition} has no marker in ${missing} of ${views.length} shards: ` +
        'it has not been begun, or the ledger lost it. Start the service, and seek when it is ready',
    );
  const known = markers as number[];
  const [lowest, highest] = [Math.min(...known), Math.max(...known)];
  const kind = to < highest ? 'recount' : to > lowest ? 'skip' : 'nothing';
  if (kind === 'recount' && commit !== null && lowest < commit.offset)
    throw new SeekRefused(
      `${topic}/${partition} stands at ${lowest} in a shard and the group has been at ${commit.offset}: the ledger lost ` +
        'writes and has not caught up. Let the service run until no marker is below the commit, then seek',
    );
  return { ...target, kind, lowest, highest };
};

/** Does what was planned, all or none of the recounts. Answers how many markers were moved. */
export const seek = async (
  ledger: Pick<Ledger, 'view' | 'move'>,
  group: SeekGroup,
  plans: readonly SeekPlan[],
  shards: number,
): Promise<number> => {
  const recounts = plans.filter(({ kind }) => kind === 'recount');
  if (recounts.length > 0) await lowerCommits(group, recounts);
  let moved = 0;
  for (const plan of plans) {
    if (plan.kind === 'nothing') continue;
    for (let shard = 0; shard < shards; shard++) moved += Number(await seekShard(ledger, plan, shard));
  }
  return moved;
};

const lowerCommits = async (group: SeekGroup, plans: readonly SeekPlan[]): Promise<void> => {
  const members = await group.members();
  if (members > 0) throw refusedByMembers(members);
  try {
    await group.commitUnheld(plans.flatMap(loweredCommit));
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'STALE_GENERATION') throw error;
    throw refusedByMembers(null);
  }
};

export const refusedByMembers = (members: number | null): SeekRefused =>
  new SeekRefused(
    `the group has ${members ?? 'a'} member${members === null || members === 1 ? '' : 's'}: records are counted again only while ` +
      'the service is stopped. Stop every replica (they commit and leave), run this again, and start them',
  );

/** None where the commit is not above the target. The note keeps that the group had got further. */
const loweredCommit = ({ topic, partition, to, commit }: SeekPlan): CommitRequest[] => {
  if (commit === null || commit.offset <= to) return [];
  const note = readCommitMetadata(commit.metadata);
  if (note === null) return [{ topic, partition, offset: to, metadata: commit.metadata }];
  const start = note.start === null ? null : Math.min(note.start, to);
  return [{ topic, partition, offset: to, metadata: commitMetadata({ ...note, start, sought: true }) }];
};

/** Tries until the marker is where it belongs: somebody may be counting. Answers whether it was moved. */
const seekShard = async (
  ledger: Pick<Ledger, 'view' | 'move'>,
  { kind, field, to }: SeekPlan,
  shard: number,
): Promise<boolean> => {
  for (;;) {
    const marker = (await ledger.view(shard))?.markers.get(field);
    if (marker === undefined) throw new SeekRefused(`shard ${shard} lost its marker meanwhile: look at the ledger`);
    if (kind === 'skip' ? marker >= to : marker <= to) return false;
    if ((await ledger.move(shard, field, marker, to, 'seek')) === to) return true;
  }
};
