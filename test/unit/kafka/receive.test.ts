import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { AnswerPool, AnswerReader, connectReceiving } from '../../../src/kafka/receive.ts';

const MIB = 1 << 20;

const answerOf = (body: Buffer): Buffer => {
  const size = Buffer.alloc(4);
  size.writeInt32BE(body.length);
  return Buffer.concat([size, body]);
};

/** Reads `stream` in pieces as a socket would: never more at once than `pieces` says, and never beyond the target. */
const readInPieces = (reader: AnswerReader, stream: Buffer, pieces: readonly number[]): void => {
  for (let at = 0, i = 0; at < stream.length; i++) {
    const { target } = reader;
    const bytes = Math.min(pieces[i % pieces.length]!, target.length, stream.length - at);
    stream.copy(target, 0, at, at + bytes);
    reader.take(bytes);
    at += bytes;
  }
};

describe('answers of a broker', () => {
  test('come whole and in order, however the network cuts them', () => {
    const body = fc.oneof(
      { weight: 6, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
      { weight: 1, arbitrary: fc.integer({ min: 60_000, max: 700_000 }).map((n) => Buffer.alloc(n, n % 251)) },
    );
    fc.assert(
      fc.property(
        fc.array(body, { maxLength: 12 }),
        fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 }),
        (bodies, pieces) => {
          const pool = new AnswerPool();
          const seen: Buffer[] = [];
          const reader = new AnswerReader(pool, (answer) => {
            seen.push(Buffer.from(answer));
            pool.giveBack(answer);
          });
          readInPieces(reader, Buffer.concat(bodies.map(answerOf)), pieces);
          expect(seen.map((answer) => answer.subarray(4).toString('hex'))).toEqual(
            bodies.map((one) => one.toString('hex')),
          );
        },
      ),
    );
  });

  test('that cannot be any are refused with what to look at', () => {
    const reader = new AnswerReader(new AnswerPool(), () => {});
    const { target } = reader;
    target.write('HTTP/1.1 400 Bad Request');
    expect(() => reader.take(24)).toThrow(/no Kafka listener, or one that wants TLS/);
  });

  test('reach the listener of the socket one by one', async () => {
    const bodies = [Buffer.from('one'), Buffer.alloc(3 * MIB, 7), Buffer.alloc(0), Buffer.from('last')];
    const server = createServer((socket) => socket.end(Buffer.concat(bodies.map(answerOf))));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      const socket = connectReceiving({ host: '127.0.0.1', port }, new AnswerPool(), () => {});
      const seen: Buffer[] = [];
      socket.on('data', (answer: Buffer) => seen.push(answer));
      await once(socket, 'end');
      expect(seen.map((answer) => answer.subarray(4).equals(bodies[seen.indexOf(answer)]!))).toEqual(
        bodies.map(() => true),
      );
    } finally {
      server.close();
    }
  });
});

describe('the pool', () => {
  test('hands out again only what was given back, and nothing twice', () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 6 * MIB }) }),
      fc.record({ giveBack: fc.nat(20), twice: fc.boolean() }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const pool = new AnswerPool();
        const held: Buffer[] = [];
        for (const one of steps) {
          if ('take' in one) {
            const answer = pool.take(one.take);
            expect(answer).toHaveLength(one.take);
            expect(held.some(({ buffer }) => buffer === answer.buffer)).toBe(false);
            held.push(answer);
          } else if (held.length > 0) {
            const [answer] = held.splice(one.giveBack % held.length, 1);
            pool.giveBack(answer!.subarray(answer!.length >> 1));
            if (one.twice) pool.giveBack(answer!);
          }
        }
      }),
      { numRuns: 50 },
    );
  });

  test('uses a large buffer again, and leaves small ones alone', () => {
    const pool = new AnswerPool();
    const large = pool.take(4 * MIB);
    pool.giveBack(large);
    expect(pool.take(3 * MIB).buffer).toBe(large.buffer);
    const small = pool.take(1000);
    pool.giveBack(small);
    expect(pool.take(1000).buffer).not.toBe(small.buffer);
  });

  test('does not keep what only a catch-up needed', () => {
    const pool = new AnswerPool();
    const catchUp = [pool.take(17 * MIB), pool.take(17 * MIB)];
    for (const answer of catchUp) pool.giveBack(answer);
    expect(pool.freeBytes).toBe(34 * MIB);
    for (let answers = 0; answers < 100; answers++) pool.giveBack(pool.take(MIB * (1 + (answers % 2))));
    expect(pool.freeBytes).toBe(3 * MIB);
    expect(catchUp.map(({ buffer }) => buffer.byteLength)).toEqual([0, 0]);
  });

  test('keeps nothing where answers have become small', () => {
    const pool = new AnswerPool();
    pool.giveBack(pool.take(4 * MIB));
    for (let answers = 0; answers < 100; answers++) pool.giveBack(pool.take(200));
    expect(pool.freeBytes).toBe(0);
  });
});
