/**
 * Who reads which partition: balanced, and with as few moves as balance allows. Each member says at a join what it has
 * held, and since which generation; the group's leader decides for all.
 */
import type { TopicPartition } from './port.ts';
import { WireReader, WireWriter } from './wire.ts';

export type AssignorMember = {
  readonly id: string;
  readonly topics: readonly string[];
  /** What it held last. Where two members claim a partition, the later generation is right. */
  readonly owned: readonly TopicPartition[];
  readonly generation: number;
};

export type Assignment = ReadonlyMap<string, readonly TopicPartition[]>;

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;

/**
 * Gives every partition that anybody subscribes to to exactly one member. Members with equal subscriptions differ by
 * at most one partition; what a member keeps is as much as that allows. The same input gives the same answer.
 */
export const assign = (members: readonly AssignorMember[], partitions: readonly TopicPartition[]): Assignment => {
  const sorted = [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
  const shares = new Map(sorted.map(({ id }) => [id, new Map<string, TopicPartition>()]));
  const wants = new Map(sorted.map(({ id, topics }) => [id, new Set(topics)]));
  const owners = ownersOf(sorted);
  const orphans: TopicPartition[] = [];
  for (const where of partitions) {
    const owner = owners.get(keyOf(where));
    if (owner !== undefined && wants.get(owner)!.has(where.topic)) shares.get(owner)!.set(keyOf(where), where);
    else orphans.push(where);
  }
  const ids = sorted.map(({ id }) => id);
  for (const where of orphans) {
    const poorest = poorestOf(ids, shares, (id) => wants.get(id)!.has(where.topic));
    if (poorest !== null) shares.get(poorest)!.set(keyOf(where), where);
  }
  while (moveOne(ids, shares, wants)) {}
  return new Map([...shares].map(([id, share]) => [id, [...share.values()]]));
};

const ownersOf = (members: readonly AssignorMember[]): Map<string, string> => {
  const owners = new Map<string, string>();
  const since = new Map<string, number>();
  for (const { id, owned, generation } of members) {
    for (const where of owned) {
      const key = keyOf(where);
      if ((since.get(key) ?? Number.NEGATIVE_INFINITY) >= generation) continue;
      since.set(key, generation);
      owners.set(key, id);
    }
  }
  return owners;
};

type Shares = ReadonlyMap<string, Map<string, TopicPartition>>;

const poorestOf = (ids: readonly string[], shares: Shares, may: (id: string) => boolean): string | null => {
  let poorest: string | null = null;
  for (const id of ids) {
    if (may(id) && (poorest === null || shares.get(id)!.size < shares.get(poorest)!.size)) poorest = id;
  }
  return poorest;
};

/** Moves one partition from a member to one that has at least two fewer. Each move lowers the sum of squares, so it ends. */
const moveOne = (ids: readonly string[], shares: Shares, wants: ReadonlyMap<string, ReadonlySet<string>>): boolean => {
  const richestFirst = [...ids].sort((a, b) => shares.get(b)!.size - shares.get(a)!.size);
  for (const rich of richestFirst) {
    const share = shares.get(rich)!;
    for (const [key, where] of [...share].reverse()) {
      const poor = poorestOf(ids, shares, (id) => wants.get(id)!.has(where.topic));
      if (poor === null || shares.get(poor)!.size > share.size - 2) continue;
      share.delete(key);
      shares.get(poor)!.set(key, where);
      return true;
    }
  }
  return false;
};

export const ASSIGNOR_NAME = 'tracetally-sticky';

export type Ownership = Pick<AssignorMember, 'owned' | 'generation'>;
const NOTHING: Ownership = { owned: [], generation: -1 };
const FORMAT = 1;

/** What a member says of itself at a join:  version:i16  [topic]  user data:bytes. The user data are ours: JSON. */
export const encodeSubscription = (topics: readonly string[], { owned, generation }: Ownership): Buffer => {
  const userData = Buffer.from(JSON.stringify({ v: FORMAT, generation, owned: byTopic(owned) }));
  const out = new WireWriter().int16(0);
  out.array(false, topics, (topic) => out.string(false, topic));
  return out.int32(userData.length).raw(userData).buffer;
};

/** Tolerates members of other versions and without user data: they have held nothing. */
export const decodeSubscription = (bytes: Buffer): { readonly topics: readonly string[] } & Ownership => {
  const reader = new WireReader(bytes);
  reader.int16();
  const topics = reader.array(false, () => reader.string(false) ?? '');
  const length = reader.left >= 4 ? reader.int32() : -1;
  const ownership = length > 0 && length <= reader.left ? readOwnership(reader.slice(length)) : NOTHING;
  return { topics, ...ownership };
};

const readOwnership = (userData: Buffer): Ownership => {
  try {
    const said = JSON.parse(userData.toString()) as { v?: unknown; generation?: unknown; owned?: unknown };
    if (said?.v !== FORMAT || typeof said.generation !== 'number' || typeof said.owned !== 'object') return NOTHING;
    const owned = Object.entries(said.owned ?? {}).flatMap(([topic, partitions]) =>
      (Array.isArray(partitions) ? (partitions as unknown[]) : [])
        .filter((partition) => Number.isSafeInteger(partition))
        .map((partition) => ({ topic, partition: partition as number })),
    );
    return { owned, generation: said.generation };
  } catch {
    return NOTHING;
  }
};

const byTopic = (partitions: readonly TopicPartition[]): Record<string, number[]> => {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    const list = topics.get(topic);
    if (list === undefined) topics.set(topic, [partition]);
    else list.push(partition);
  }
  return Object.fromEntries(topics);
};

/** What the leader says to a member:  version:i16  [topic [partition:i32]]  user data:bytes. */
export const encodeAssignment = (partitions: readonly TopicPartition[]): Buffer => {
  const out = new WireWriter().int16(0);
  out.array(false, Object.entries(byTopic(partitions)), ([topic, numbers]) => {
    out.string(false, topic).array(false, numbers, (number) => out.int32(number));
  });
  return out.int32(0).buffer;
};

/** An empty answer is an empty assignment. */
export const decodeAssignment = (bytes: Buffer): TopicPartition[] => {
  if (bytes.length === 0) return [];
  const reader = new WireReader(bytes);
  reader.int16();
  const topics = reader.array(false, () => {
    const topic = reader.string(false) ?? '';
    return reader.array(false, () => ({ topic, partition: reader.int32() }));
  });
  return topics.flat();
};
