import { expect, test } from '@jest/globals';
import { RECORDS_TENANT } from '../../../src/attribution/reserved.ts';
import { Book } from '../../chaos/book.ts';
import { plainRecord } from '../../support/fleet-records.ts';

const FIELD = 'id/0';
const record = plainRecord('acme', '/a', 2);
const bytes = record.value!.length;

const bookOf = (records: number): Book => {
  const book = new Book();
  for (let offset = 0; offset < records; offset += 1) book.place(FIELD, offset, book.number(record).number);
  return book;
};

const at = (marker: number) => new Map([[FIELD, marker]]);
const accepted = (book: Book, marker: number) => book.expected(() => at(marker)).fates.get('accepted');

test('what is below the markers, for a tenant and for all records', () => {
  const book = bookOf(3);
  expect(book.below(at(2), 'acme')).toEqual([2 * bytes, 4]);
  expect(book.below(at(2), RECORDS_TENANT)).toEqual([2 * bytes, 2]);
  expect(book.below(at(2), 'globex')).toEqual([0, 0]);
});

test('of a log that is there all of it is expected, of one that is gone what the markers have reached', () => {
  const book = bookOf(3);
  expect(accepted(book, 1)).toEqual({ records: 3, bytes: 3 * bytes });
  book.bury([FIELD]);
  expect(accepted(book, 1)).toEqual({ records: 1, bytes });
});

test('what the brokers lost after it was counted stays, beside what comes in its place', () => {
  const book = bookOf(3);
  expect(book.truncate(FIELD, 1)).toBe(2);
  book.place(FIELD, 1, book.number(record).number);
  expect(accepted(book, 0)).toEqual({ records: 4, bytes: 4 * bytes });
  expect(book.below(at(1), 'acme')).toEqual([3 * bytes, 6]);
});

test('held against the log: doubts are settled, and what differs is said', () => {
  const book = bookOf(2);
  const doubt = book.number(record).number;
  const entry = (offset: number, number: number | null) => ({ offset, number, bytes });
  expect(book.compare(FIELD, [entry(0, 0), entry(1, 1), entry(2, doubt)])).toEqual([]);
  expect(book.doubts).toEqual([]);
  expect(book.size.records).toBe(3);
  expect(book.compare(FIELD, [entry(0, 1), entry(1, 1), entry(7, null)])).toEqual([
    'id/0@0: the log holds record 1, the book 0',
    'id/0@7: the log holds record null, the book none',
    'id/0@2: record 2 is not there',
  ]);
});
