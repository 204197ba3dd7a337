import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type AssignorMember,
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from '../../../src/kafka/assignor.ts';
import type { TopicPartition } from '../../../src/kafka/port.ts';
import { WireWriter } from '../../../src/kafka/wire.ts';

const partitionsOf = (topic: string, count: number): TopicPartition[] =>
  Array.from({ length: count }, (_, partition) => ({ topic, partition }));
const key = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`;
const keys = (share: readonly TopicPartition[]): string[] => share.map(key).sort();

const fresh = (id: string, topics: readonly string[] = ['t']): AssignorMember => ({
  id,
  topics,
  owned: [],
  generation: -1,
});
/** The members as they come to the next join. */
const joined = (
  members: readonly AssignorMember[],
  partitions: readonly TopicPartition[],
  generation = 1,
): AssignorMember[] => {
  const shares = assign(members, partitions);
  return members.map((member) => ({ ...member, owned: shares.get(member.id)!, generation }));
};
const moved = (before: readonly AssignorMember[], now: ReadonlyMap<string, readonly TopicPartition[]>): number => {
  const kept = before.flatMap(({ id, owned }) =>
    owned.filter((where) => now.get(id)?.some((w) => key(w) === key(where))),
  );
  return before.flatMap(({ owned }) => owned).length - kept.length;
};

const anyTopics = fc.subarray(['t', 'u', 'v'], { minLength: 1 });
const anyMembers = fc
  .uniqueArray(fc.stringMatching(/^[a-z]{1,4}$/), { minLength: 1, maxLength: 8 })
  .chain((ids) => fc.tuple(...ids.map((id) => anyTopics.map((topics) => fresh(id, topics)))));
const anyPartitions = fc
  .record({ t: fc.nat({ max: 12 }), u: fc.nat({ max: 12 }), v: fc.nat({ max: 3 }) })
  .map((counts) => Object.entries(counts).flatMap(([topic, count]) => partitionsOf(topic, count)));
const anyOwned = fc.array(fc.record({ topic: fc.constantFrom('t', 'u', 'gone'), partition: fc.nat({ max: 15 }) }), {
  maxLength: 20,
});

describe('assign', () => {
  test('gives every partition that anyone reads to exactly one of its readers, whatever was owned', () => {
    fc.assert(
      fc.property(
        anyMembers,
        anyPartitions,
        fc.array(fc.tuple(anyOwned, fc.integer({ min: -1, max: 3 }))),
        (members, partitions, owned) => {
          const claiming = members.map((m, i) => ({
            ...m,
            owned: owned[i]?.[0] ?? [],
            generation: owned[i]?.[1] ?? -1,
          }));
          const shares = assign(claiming, partitions);
          const read = new Set(members.flatMap(({ topics }) => topics));
          expect([...shares.values()].flat().map(key).sort()).toEqual(
            keys(partitions.filter(({ topic }) => read.has(topic))),
          );
          for (const { id, topics } of members) {
            expect(shares.get(id)!.every(({ topic }) => topics.includes(topic))).toBe(true);
          }
        },
      ),
    );
  });

  test('balances members of equal subscriptions within one, from any ownership', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), anyPartitions, fc.array(anyOwned), (count, partitions, owned) => {
        const members = Array.from({ length: count }, (_, i) => ({
          ...fresh(`m${i}`, ['t', 'u', 'v']),
          owned: owned[i] ?? [],
          generation: i,
        }));
        const sizes = [...assign(members, partitions).values()].map((share) => share.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('moves nothing when nothing has changed', () => {
    fc.assert(
      fc.property(anyMembers, anyPartitions, (members, partitions) => {
        const before = joined(members, partitions);
        expect(moved(before, assign(before, partitions))).toBe(0);
      }),
    );
  });

  test('moves only the partitions of a member that left', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 8 }), fc.nat({ max: 40 }), fc.nat(), (count, size, pick) => {
        const partitions = partitionsOf('t', size);
        const before = joined(
          Array.from({ length: count }, (_, i) => fresh(`m${i}`)),
          partitions,
        );
        const left = before.filter((_, i) => i !== pick % count);
        expect(moved(left, assign(left, partitions))).toBe(0);
      }),
    );
  });

  test('moves no more to one that joins than its fair share', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 7 }), fc.nat({ max: 40 }), (count, size) => {
        const partitions = partitionsOf('t', size);
        const before = joined(
          Array.from({ length: count }, (_, i) => fresh(`m${i}`)),
          partitions,
        );
        const shares = assign([...before, fresh('a-joiner')], partitions);
        expect(shares.get('a-joiner')!.length).toBe(Math.floor(size / (count + 1)));
        expect(moved(before, shares)).toBe(Math.floor(size / (count + 1)));
      }),
    );
  });

  test('believes the later generation where two claim a partition', () => {
    const owned = partitionsOf('t', 2);
    const members = [
      { ...fresh('a'), owned, generation: 3 },
      { ...fresh('b'), owned: [owned[0]!], generation: 4 },
    ];
    expect(keys(assign(members, owned).get('b')!)).toEqual(['t/0']);
    const later = [
      { ...members[0]!, generation: 5 },
      { ...members[1]!, owned },
    ];
    expect(keys(assign(later, owned).get('a')!)).toHaveLength(1);
  });

  test('answers the same whatever the order of the members', () => {
    fc.assert(
      fc.property(anyMembers, anyPartitions, (members, partitions) => {
        const there = assign(members, partitions);
        const back = assign([...members].reverse(), partitions);
        for (const { id } of members) expect(keys(back.get(id)!)).toEqual(keys(there.get(id)!));
      }),
    );
  });
});

describe('what is said at a join', () => {
  test('comes back', () => {
    fc.assert(
      fc.property(anyTopics, anyOwned, fc.integer({ min: -1, max: 2 ** 31 - 1 }), (topics, owned, generation) => {
        const unique = [...new Map(owned.map((where) => [key(where), where])).values()];
        const said = decodeSubscription(encodeSubscription(topics, { owned: unique, generation }));
        expect(said.topics).toEqual(topics);
        expect(said.generation).toBe(generation);
        expect(keys(said.owned)).toEqual(keys(unique));
        expect(keys(decodeAssignment(encodeAssignment(unique)))).toEqual(keys(unique));
      }),
    );
  });

  const said = (userData: Buffer | null): Buffer => {
    const out = new WireWriter().int16(1);
    out.array(false, ['t'], (topic) => out.string(false, topic));
    return userData === null ? out.buffer : out.int32(userData.length).raw(userData).buffer;
  };

  test('tolerates members without user data, of other versions, and nonsense', () => {
    for (const userData of [
      null,
      Buffer.alloc(0),
      Buffer.from('{"v":9}'),
      Buffer.from('null'),
      Buffer.from([1, 2, 3]),
    ]) {
      expect(decodeSubscription(said(userData))).toEqual({ topics: ['t'], owned: [], generation: -1 });
    }
    const odd = decodeSubscription(said(Buffer.from('{"v":1,"generation":2,"owned":{"t":[1,"x",null,2.5],"u":7}}')));
    expect(odd).toEqual({ topics: ['t'], owned: [{ topic: 't', partition: 1 }], generation: 2 });
    expect(decodeAssignment(Buffer.alloc(0))).toEqual([]);
  });
});
