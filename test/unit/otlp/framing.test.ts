import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Framing, framesOf, guessFraming } from '../../../src/otlp/framing.ts';

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
};

const delimited = (records: readonly Buffer[]): Buffer =>
  Buffer.concat(records.flatMap((record) => [varint(record.length), record]));

/** What comes out of a file that comes in pieces of these lengths, the last again and again. */
const read = (framing: Framing, file: Buffer, lengths: readonly number[]) => {
  const frames = framesOf(framing);
  const records: { offset: number; value: string }[] = [];
  const take = (found: Iterable<{ offset: number; value: Buffer }>) => {
    for (const { offset, value } of found) records.push({ offset, value: value.toString('hex') });
  };
  for (let at = 0, i = 0; at < file.length; i++) {
    const length = lengths[Math.min(i, lengths.length - 1)]!;
    take(frames.push(file.subarray(at, at + length)));
    at += length;
  }
  take(frames.end());
  return { records, fault: frames.fault };
};

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 });
const payload = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes));

describe('framing', () => {
  test('finds delimited records with their places, however the file is cut', () => {
    fc.assert(
      fc.property(fc.array(payload, { maxLength: 8 }), lengths, (records, cuts) => {
        let offset = 0;
        const wanted = records.map((record) => {
          offset += varint(record.length).length;
          const found = { offset, value: record.toString('hex') };
          offset += record.length;
          return found;
        });
        expect(read('delimited', delimited(records), cuts)).toEqual({ records: wanted, fault: null });
      }),
    );
  });

  test('says where a delimited file breaks off, and keeps the records before', () => {
    const file = delimited([Buffer.from('aa', 'hex'), Buffer.alloc(200, 1)]);
    const cut = read('delimited', file.subarray(0, 100), [7]);
    expect(cut.records).toEqual([{ offset: 1, value: 'aa' }]);
    expect(cut.fault).toEqual({ offset: 4, text: "the file ends after 96 of the record's 200 bytes" });
    const inLength = read('delimited', file.subarray(0, 3), [1]).fault;
    expect(inLength).toEqual({ offset: 3, text: "the file ends inside a record's length" });
    const huge = read('delimited', Buffer.from('01aaffffffffff01', 'hex'), [3]);
    expect(huge).toEqual({
      records: [{ offset: 1, value: 'aa' }],
      fault: { offset: 2, text: 'no length of a record is there' },
    });
  });

  test('takes lines without their feeds, and no blank ones', () => {
    fc.assert(
      fc.property(lengths, (cuts) => {
        const { records, fault } = read('jsonl', Buffer.from('{"a":1}\n\n  \r\n{}'), cuts);
        expect(fault).toBeNull();
        expect(records.map(({ offset, value }) => [offset, Buffer.from(value, 'hex').toString()])).toEqual([
          [0, '{"a":1}'],
          [13, '{}'],
        ]);
      }),
    );
  });

  test('takes a whole file as one record, also an empty one', () => {
    expect(read('one', Buffer.from('0a0b', 'hex'), [1]).records).toEqual([{ offset: 0, value: '0a0b' }]);
    expect(read('one', Buffer.alloc(0), [1]).records).toEqual([{ offset: 0, value: '' }]);
  });

  const request = (bytes: number): Buffer => {
    const region = Buffer.concat([Buffer.from([0x0a]), varint(bytes), Buffer.alloc(bytes, 0x20)]);
    return Buffer.concat([Buffer.from([0x0a]), varint(region.length), region]);
  };

  test.each<[string, Buffer, boolean, Framing]>([
    ['one request', request(300), true, 'one'],
    ['one request with several regions', Buffer.concat([request(3), request(500)]), true, 'one'],
    ['the beginning of a large request', request(300).subarray(0, 100), false, 'one'],
    ['delimited requests', delimited([request(300), request(5), request(40)]), true, 'delimited'],
    ['a delimited request of ten bytes and another', delimited([request(6), request(40)]), true, 'delimited'],
    [
      'the beginning of delimited requests',
      delimited([request(300), request(300)]).subarray(0, 400),
      false,
      'delimited',
    ],
    [
      'delimited records that begin with a field of another kind',
      delimited([Buffer.from('a00607', 'hex')]),
      true,
      'delimited',
    ],
    ['lines', Buffer.from('{"a":1}\n{"b":2}\n'), true, 'jsonl'],
    ['a line that is longer than what is seen', Buffer.from(`{"a":"${'x'.repeat(200)}`), false, 'jsonl'],
    ['a printed object', Buffer.from('{\n  "a": 1\n}\n'), true, 'one'],
    ['text', Buffer.from('# hello'), true, 'one'],
    ['nothing', Buffer.alloc(0), true, 'delimited'],
  ])('guesses %s', (_, head, isWhole, framing) => {
    expect(guessFraming(head, isWhole)).toBe(framing);
  });
});
