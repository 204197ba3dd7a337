/** Letters on their way, against a producer that does as it is told. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { DeadLetters } from '../../../src/kafka/dead-letters.ts';
import { Undelivered } from '../../../src/kafka/errors.ts';
import { type Letter, letterOf, openLetter } from '../../../src/kafka/letter.ts';
import { batchOf, type NewRecord } from '../../../src/kafka/produce.ts';
import { Producer } from '../../../src/kafka/producer.ts';
import { cutBatches, decodeRecords } from '../../../src/kafka/record-batch.ts';
import { waitUntil } from '../../support/wait-for.ts';

const WHERE = { topic: 't', partition: 5 };
const OTHER = { topic: 't', partition: 1 };
const WHY = { reason: 'malformed', detail: 'cut off', version: '1.2.3' };

const letter = (offset: number, bytes = 100): Letter => {
  const record = { offset, timestampMs: 0, key: null, value: Buffer.alloc(bytes), headers: [] };
  return { ...letterOf(record, WHERE, WHY), bytes };
};

type Sent = { readonly partition: number; readonly offsets: readonly number[] };

/** A topic of three partitions; `fail` says what a send is answered with. */
class Rig {
  readonly sent: Sent[] = [];
  readonly held = new Set<number>();
  failures = 0;
  fail: (records: readonly NewRecord[], partition: number) => Error | null = () => null;
  readonly letters: DeadLetters;

  constructor(maxBytes = 1_000) {
    this.letters = new DeadLetters({
      topic: 'dead',
      maxBytes,
      producer: {
        partitions: async () => 3,
        send: async (_topic, partition, records) => {
          await new Promise((resolve) => setImmediate(resolve));
          const error = this.fail(records, partition);
          if (error !== null) throw error;
          this.sent.push({ partition, offsets: records.map((record) => openLetter(record)!.origin.offset) });
          return 0;
        },
      },
      watch: {
        delivered: () => {},
        failed: () => void this.failures++,
        full: ({ partition }) => void this.held.add(partition),
        free: ({ partition }) => void this.held.delete(partition),
      },
    });
  }

  get offsets(): number[] {
    return this.sent.flatMap(({ offsets }) => offsets);
  }
}

describe('letters', () => {
  test('go in their order into the partition of their number, and the floor rises with them', async () => {
    const rig = new Rig();
    for (const offset of [3, 4, 9]) expect(rig.letters.offer(WHERE, letter(offset))).toBe(true);
    expect(rig.letters.floor(WHERE)).toBe(3);
    expect(rig.letters.floor(OTHER)).toBe(Number.POSITIVE_INFINITY);
    await rig.letters.idle();
    expect(rig.offsets).toEqual([3, 4, 9]);
    expect(rig.sent.map(({ partition }) => partition)).toEqual(rig.sent.map(() => 2));
    expect(rig.letters.floor(WHERE)).toBe(Number.POSITIVE_INFINITY);
  });

  test('that cannot be delivered hold their partition, and no other, until they are', async () => {
    const rig = new Rig();
    rig.fail = (_, partition) => (partition === 2 ? new Undelivered('no') : null);
    rig.letters.offer(WHERE, letter(3));
    await waitUntil(() => rig.failures > 0, { timeoutMs: 5_000, what: 'a failure' });
    expect(rig.held).toEqual(new Set([5]));
    expect(rig.letters.offer(WHERE, letter(4))).toBe(false);
    expect(rig.letters.floor(WHERE)).toBe(3);
    expect(rig.letters.offer(OTHER, letter(7))).toBe(true);
    await waitUntil(() => rig.offsets.includes(7), { timeoutMs: 5_000, what: 'the other letter' });
    rig.fail = () => null;
    await rig.letters.idle();
    expect(rig.offsets).toEqual([7, 3]);
    await waitUntil(() => rig.held.size === 0, { timeoutMs: 5_000, what: 'the partition to be free' });
    expect(rig.letters.offer(WHERE, letter(4))).toBe(true);
    await rig.letters.idle();
  });

  test('find no room beyond the bound, but one of each partition, and are told when there is', async () => {
    const rig = new Rig(250);
    expect([1, 2, 3].map((offset) => rig.letters.offer(WHERE, letter(offset)))).toEqual([true, true, false]);
    expect(rig.letters.offer(OTHER, letter(8, 5_000))).toBe(true);
    expect(rig.held).toEqual(new Set([5]));
    await rig.letters.idle();
    await waitUntil(() => rig.held.size === 0, { timeoutMs: 5_000, what: 'room' });
    expect(rig.letters.offer(WHERE, letter(3))).toBe(true);
    await rig.letters.idle();
    expect(rig.offsets.toSorted()).toEqual([1, 2, 3, 8]);
  });

  test('that are too large together go one by one', async () => {
    const rig = new Rig();
    rig.fail = (records) => (records.length > 1 ? new Undelivered('too large', { isTooLarge: true }) : null);
    for (const offset of [1, 2, 3]) rig.letters.offer(WHERE, letter(offset));
    await rig.letters.idle();
    expect(rig.offsets).toEqual([1, 2, 3]);
    expect(rig.failures).toBe(0);
  });

  test('of partitions that went elsewhere are given up, also while they fail', async () => {
    const rig = new Rig();
    rig.fail = () => new Undelivered('no');
    rig.letters.offer(WHERE, letter(3));
    await waitUntil(() => rig.failures > 0, { timeoutMs: 5_000, what: 'a failure' });
    rig.letters.keep([OTHER]);
    expect(rig.letters.floor(WHERE)).toBe(Number.POSITIVE_INFINITY);
    await rig.letters.idle();
    rig.letters.stop();
    expect(rig.letters.offer(OTHER, letter(1))).toBe(false);
  });
});

const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
const headers = fc.array(fc.record({ name: fc.string({ maxLength: 12 }), value: bytes }), { maxLength: 6 });

test('a letter opens to the record that it was, through a batch, whatever that held', async () => {
  await fc.assert(
    fc.asyncProperty(fc.option(bytes), fc.option(bytes), headers, fc.string(), async (key, value, own, detail) => {
      const record = { offset: 12, timestampMs: 1_700_000_000_000, key, value, headers: own };
      const batch = batchOf([letterOf(record, WHERE, { ...WHY, detail })], 5);
      const [read] = await decodeRecords(cutBatches(batch)[0]!, 0, 1 << 20);
      const opened = openLetter(read!)!;
      const plain = (all: NewRecord['headers']) =>
        all.map((header) => [header.name, Buffer.from(header.value).toString('hex')]);
      expect(opened.origin).toMatchObject({ ...WHERE, offset: 12, timestamp: '2023-11-14T22:13:20.000Z' });
      expect([opened.record.key, opened.record.value]).toEqual([key, value]);
      expect(plain(opened.record.headers)).toEqual(
        own.map(({ name, value: held }) => [Buffer.from(name).toString(), held.toString('hex')]),
      );
    }),
  );
});

test('a record that is no letter is none', () => {
  expect(openLetter({ key: null, value: null, headers: [] })).toBeNull();
  const whole = letterOf({ offset: 1, timestampMs: 0, key: null, value: null, headers: [] }, WHERE, WHY);
  expect(openLetter({ ...whole, headers: whole.headers.slice(1) })).toBeNull();
  expect(openLetter({ ...whole, headers: [...whole.headers, { name: 'x', value: Buffer.alloc(0) }] })).toBeNull();
});

describe('the producer takes nothing for written but the word of the leader for that partition', () => {
  const leader = { name: 'dead', error: 0, id: '', partitions: [{ partition: 0, error: 0, leader: 1 }] };
  const answering = (answer: unknown) =>
    new Producer({
      connections: {
        metadata: async () => ({ brokers: [], clusterId: '', topics: [leader] }),
        on: async () => answer,
      } as never,
    });
  const records = [{ key: null, value: Buffer.from('x'), headers: [] }];

  test.each<[string, unknown, RegExp]>([
    ['an answer about nothing', null, /does not name dead\/0/],
    ['of another partition', { topic: 'dead', partition: 1, error: 0, baseOffset: 3 }, /does not name dead\/0/],
    ['of another topic', { topic: 'dear', partition: 0, error: 0, baseOffset: 3 }, /does not name dead\/0/],
    ['a leader that moved', { topic: 'dead', partition: 0, error: 6, baseOffset: -1 }, /leader .* has moved/],
    ['too few in sync', { topic: 'dead', partition: 0, error: 19, baseOffset: -1 }, /min\.insync\.replicas/],
    ['a record too large', { topic: 'dead', partition: 0, error: 10, baseOffset: -1 }, /max\.message\.bytes/],
    ['no right', { topic: 'dead', partition: 0, error: 29, baseOffset: -1 }, /it needs Write/],
  ])('%s', async (_, answer, says) => {
    await expect(answering(answer).send('dead', 0, records)).rejects.toThrow(says);
  });

  test('its word', async () => {
    const answer = { topic: 'dead', partition: 0, error: 0, baseOffset: 7 };
    expect(await answering(answer).send('dead', 0, records)).toBe(7);
    await expect(answering(answer).send('dead', 1, records)).rejects.toThrow(/no leader/);
  });
});
