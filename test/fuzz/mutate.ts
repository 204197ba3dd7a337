/** Damage: the ways in which bytes go wrong, by accident and on purpose. The same `random`, the same damage. */
import type { Random } from '../support/random.ts';

const TELLING = [0x00, 0x01, 0x7f, 0x80, 0x81, 0xff, 0x0a, 0x12, 0x22, 0x7b, 0x5b, 0x5c];

type Damage = (bytes: Buffer, random: Random, others: readonly Buffer[]) => Buffer;

const place = (bytes: Buffer, random: Random): number => random.between(0, Math.max(0, bytes.length - 1));

const splice = (bytes: Buffer, at: number, taken: number, put: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(Math.min(bytes.length, at + taken))]);

const DAMAGES: readonly Damage[] = [
  // A bit, a byte, a telling byte.
  (bytes, random) => {
    if (bytes.length > 0) bytes[place(bytes, random)]! ^= 1 << random.between(0, 7);
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length > 0) bytes[place(bytes, random)] = random.between(0, 255);
    return bytes;
  },
  (bytes, random) => {
    if (bytes.length > 0) bytes[place(bytes, random)] = random.pick(TELLING);
    return bytes;
  },
  // A length that lies: a varint or a word far beyond the end.
  (bytes, random) => splice(bytes, place(bytes, random), random.between(0, 2), random.pick(LIES)),
  // Broken off, doubled, moved, filled up, mixed with another.
  (bytes, random) => bytes.subarray(0, random.between(0, bytes.length)),
  (bytes, random) => bytes.subarray(random.between(0, bytes.length)),
  (bytes, random) => {
    const at = place(bytes, random);
    return splice(bytes, at, 0, bytes.subarray(at, at + random.between(1, 64)));
  },
  (bytes, random) => splice(bytes, place(bytes, random), random.between(1, 64), Buffer.alloc(0)),
  (bytes, random) => splice(bytes, place(bytes, random), 0, random.bytes(random.between(1, 64))),
  (bytes, random) => splice(bytes, place(bytes, random), 0, Buffer.alloc(random.between(1, 300), random.pick(TELLING))),
  (bytes, random, others) => {
    const other = random.pick(others);
    return Buffer.concat([bytes.subarray(0, place(bytes, random)), other.subarray(place(other, random))]);
  },
];

const LIES = [
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f]),
  Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
  Buffer.from([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80]),
  Buffer.from([0x7f, 0xff, 0xff, 0xff]),
  Buffer.from([0xff, 0xff, 0xff, 0x7f]),
  Buffer.from([0x80, 0x00, 0x00, 0x00]),
  Buffer.alloc(8, 0xff),
];

const MOST_BYTES = 1 << 16;

/** One of `seeds`, damaged once to five times. At most 64 KiB. */
export const damaged = (seeds: readonly Buffer[], random: Random): Buffer => {
  let bytes = Buffer.from(random.pick(seeds));
  for (let i = random.between(1, 5); i > 0; i--) bytes = Buffer.from(random.pick(DAMAGES)(bytes, random, seeds));
  return bytes.subarray(0, MOST_BYTES);
};
