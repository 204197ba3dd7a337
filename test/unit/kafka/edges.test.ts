import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { logLevel } from 'kafkajs';
import { parseAddress } from '../../../src/kafka/connections.ts';
import { HeldPartitions } from '../../../src/kafka/held.ts';
import { bridgeLog, rateLimit } from '../../../src/kafka/log-bridge.ts';
import { Signal } from '../../../src/kafka/signal.ts';
import { WireReader, WireWriter } from '../../../src/kafka/wire.ts';

test.each([
  ['kafka-1:9093', { host: 'kafka-1', port: 9093 }],
  ['kafka-1', { host: 'kafka-1', port: 9092 }],
  [' 10.0.0.1:1 ', { host: '10.0.0.1', port: 1 }],
  ['[::1]:9093', { host: '::1', port: 9093 }],
])('the address %s is read', (text, address) => {
  expect(parseAddress(text)).toEqual(address);
});

test.each([[''], ['http://kafka:9092'], ['kafka:'], ['::1'], ['kafka:port']])('%s is no address', (text) => {
  expect(() => parseAddress(text)).toThrow(TypeError);
});

describe('the log of kafkajs', () => {
  const lines: [string, Record<string, unknown>, string][] = [];
  const line = (level: string) => (fields: object, message: string) => void lines.push([level, { ...fields }, message]);
  const logger = { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') };
  let now = 0;
  const write = bridgeLog(logger, () => now)(logLevel.WARN);
  const entry = (level: logLevel, message: string, more: object = {}) =>
    write({ namespace: 'Connection', level, label: 'X', log: { timestamp: '', message, ...more } as never });

  test('comes once in ten seconds for each message, without fields that may hold a secret', () => {
    const secret = { password: 'secret', sasl: { password: 'secret' }, payload: Buffer.from('secret'), broker: 'b:1' };
    for (let i = 0; i < 5; i++) entry(logLevel.ERROR, 'Connection error', secret);
    entry(logLevel.INFO, 'something else');
    now = 10_001;
    entry(logLevel.ERROR, 'Connection error', secret);
    expect(lines).toEqual([
      ['warn', { client: 'Connection', broker: 'b:1' }, 'kafkajs: Connection error'],
      ['debug', { client: 'Connection' }, 'kafkajs: something else'],
      ['warn', { client: 'Connection', broker: 'b:1', heldBack: 4 }, 'kafkajs: Connection error'],
    ]);
  });

  test('a broker that answers with an error is no warning: what comes of it is said elsewhere', () => {
    lines.length = 0;
    now += 20_000;
    entry(logLevel.ERROR, 'Response Heartbeat(key: 12, version: 3)', { error: 'The group is rebalancing' });
    expect(lines.map(([level]) => level)).toEqual(['debug']);
  });

  test('messages that are never twice the same do not fill the memory', () => {
    const pass = rateLimit(1000, () => 0);
    for (let i = 0; i < 5000; i++) expect(pass(`message ${i}`)).toBe(0);
    expect(pass('message 4999')).toBeNull();
  });
});

test('a seek makes the position known and whatever was fetched before it stale; others are passed over', () => {
  const held = new HeldPartitions([{ topic: 't', partition: 0 }]);
  const [one] = held.all;
  one!.blockedUntilMs = Number.POSITIVE_INFINITY;
  held.seek({ topic: 't', partition: 0 }, 5);
  expect([one!.position, one!.stamp, one!.blockedUntilMs]).toEqual([5, 1, 0]);
  held.seek({ topic: 't', partition: 0 }, 5);
  expect(one!.stamp).toBe(2);
  held.seek({ topic: 't', partition: 1 }, 5);
  held.pause([{ topic: 'u', partition: 0 }], true);
  expect(one!.isPaused).toBe(false);
  expect(() => held.seek({ topic: 't', partition: 0 }, -1)).toThrow(RangeError);
  expect(() => held.seek({ topic: 't', partition: 0 }, Number.NaN)).toThrow(RangeError);
});

test('a partition that brought records goes behind the others', () => {
  const held = new HeldPartitions([0, 1, 2].map((partition) => ({ topic: 't', partition })));
  held.served(held.all[0]!);
  expect(held.all.map(({ partition }) => partition)).toEqual([1, 2, 0]);
});

test('a wait ends when its time is over or at a signal, whichever is first', async () => {
  const signal = new Signal();
  const long = signal.wait(60_000);
  await signal.wait(1);
  signal.fire();
  await long;
});

test('numbers and strings on the wire come back, in both spellings', () => {
  fc.assert(
    fc.property(
      fc.boolean(),
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
      fc.maxSafeInteger(),
      fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      fc.array(fc.string({ unit: 'grapheme', maxLength: 20 })),
      (flexible, int32, int64, unsigned, strings) => {
        const out = new WireWriter().int32(int32).int64(int64).uvarint(unsigned);
        out.array(flexible, strings, (text) => out.string(flexible, text));
        out.noTags(flexible).int16(-2).int8(-1);
        const reader = new WireReader(out.buffer);
        expect([reader.int32(), reader.int64(), reader.uvarint()]).toEqual([int32, int64, unsigned]);
        expect(reader.array(flexible, () => reader.string(flexible))).toEqual(strings);
        reader.tags(flexible);
        expect([reader.int16(), reader.int8(), reader.left]).toEqual([-2, -1, 0]);
        expect(() => reader.int8()).toThrow(expect.objectContaining({ code: 'UNDECODABLE' }));
      },
    ),
  );
});
