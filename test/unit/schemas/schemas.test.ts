/** When a registry is asked, and what is said meanwhile. */
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type RegisteredSchema, RegistryUnavailable, type SchemaId } from '../../../src/schemas/port.ts';
import { Schemas, type SchemasOptions } from '../../../src/schemas/schemas.ts';

const TRACES: RegisteredSchema = { type: 'PROTOBUF', text: 'package tempopb; message Trace {} message Other {}' };
const GUID = '00112233445566778899aabbccddeeff';

const frame = (id: number, ...indexes: number[]) => {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(id, 1);
  return { value: Buffer.concat([head, Buffer.from([...indexes, 0x0a, 0])]), headers: [] };
};

type Answer = RegisteredSchema | null | 'fails' | 'never';

class Rig {
  readonly asked: { readonly id: SchemaId; readonly atMs: number }[] = [];
  answer: (id: SchemaId) => Answer = () => TRACES;
  changed = 0;
  readonly schemas: Schemas;

  constructor(options: Partial<SchemasOptions> = {}) {
    this.schemas = new Schemas({
      onUnknown: 'discard',
      attempts: 3,
      requestsPerSecond: 10,
      changed: () => void this.changed++,
      watch: () => {},
      nowMs: () => Date.now(),
      registry: {
        lookup: async (id) => {
          this.asked.push({ id, atMs: Date.now() });
          const answer = this.answer(id);
          if (answer === 'never') return new Promise(() => {});
          if (answer === 'fails') throw new RegistryUnavailable('no');
          return answer;
        },
        probe: async () => {},
      },
      ...options,
    });
  }

  judge(id: number, ...indexes: number[]): string | undefined {
    return this.schemas.judge(frame(id, ...(indexes.length === 0 ? [0] : indexes)))?.kind;
  }

  mostPerSecond(): number {
    return Math.max(
      0,
      ...this.asked.map(
        ({ atMs: from }) => this.asked.filter(({ atMs }) => atMs >= from && atMs < from + 1_000).length,
      ),
    );
  }
}

const pass = (ms: number): Promise<void> => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test('a schema is asked for once, and each message of it judged by itself', async () => {
  const rig = new Rig();
  expect([rig.judge(1), rig.judge(1), rig.judge(1, 2, 2)]).toEqual(['wait', 'wait', 'wait']);
  await pass(10);
  expect([rig.judge(1), rig.judge(1, 2, 2), rig.judge(1, 2, 4)]).toEqual(['traces', 'foreign', 'foreign']);
  await pass(1e9);
  expect(rig.judge(1)).toBe('traces');
  expect([rig.asked.length, rig.changed]).toEqual([1, 1]);
});

test('records without a frame, or with a broken one, are nobody asked about', async () => {
  const rig = new Rig();
  for (const value of [null, Buffer.from([0x0a]), Buffer.from('{}'), Buffer.from([0, 0, 0]), Buffer.alloc(0)])
    expect(rig.schemas.judge({ value, headers: [] })).toBeNull();
  await pass(10);
  expect(rig.asked).toEqual([]);
});

test.each([
  ['in a frame', { value: Buffer.from(`01${GUID}00`, 'hex'), headers: [] }],
  [
    'in a header',
    {
      value: Buffer.from('0a00', 'hex'),
      headers: [{ name: '__value_schema_id', value: Buffer.from(`01${GUID}00`, 'hex') }],
    },
  ],
])('a GUID %s', async (_, record) => {
  const rig = new Rig();
  rig.schemas.judge(record);
  await pass(10);
  expect(rig.asked.map(({ id }) => id)).toEqual([GUID]);
  expect(rig.schemas.judge(record)).toEqual({ kind: 'traces' });
});

describe('discard', () => {
  test('what is not there is unknown, and asked for again after a minute', async () => {
    const rig = new Rig();
    rig.answer = () => null;
    rig.judge(1);
    await pass(10);
    for (let i = 0; i < 50; i++) expect(rig.judge(1)).toBe('unknown');
    await pass(59_000);
    expect([rig.judge(1), rig.asked.length]).toEqual(['unknown', 1]);
    await pass(2_000);
    rig.answer = () => TRACES;
    expect(rig.judge(1)).toBe('unknown');
    await pass(200);
    expect([rig.judge(1), rig.asked.length]).toEqual(['traces', 2]);
  });

  test('a registry that fails is waited for so many times, then not; what is known stays known; it is asked on', async () => {
    const rig = new Rig();
    rig.judge(1);
    await pass(10);
    rig.answer = () => 'fails';
    expect(rig.judge(2)).toBe('wait');
    await pass(3_000);
    expect(rig.asked.filter(({ id }) => id === 2).length).toBeGreaterThanOrEqual(3);
    expect([rig.judge(1), rig.judge(2), rig.judge(3)]).toEqual(['traces', 'unknown', 'unknown']);
    await pass(600_000);
    // At most twice a minute by then, whatever is wanted.
    expect(rig.asked.length).toBeLessThan(45);
    rig.answer = () => TRACES;
    await pass(60_000);
    expect([rig.judge(2), rig.judge(3)]).toEqual(['traces', 'traces']);
  });

  test('however many schemas are made up, requests are bounded', async () => {
    const rig = new Rig();
    rig.answer = () => null;
    for (let i = 0; i < 200; i++) {
      for (let id = 0; id < 50; id++) rig.judge(i * 50 + id);
      await pass(100);
    }
    expect(rig.mostPerSecond()).toBeLessThanOrEqual(11);
  });

  test('one question that is never answered holds no other up', async () => {
    const rig = new Rig();
    rig.answer = (id) => (id === 1 ? 'never' : TRACES);
    rig.judge(1);
    rig.judge(2);
    await pass(1_000);
    expect([rig.judge(1), rig.judge(2)]).toEqual(['wait', 'traces']);
  });
});

describe('hold', () => {
  test('what is not there is waited for, and nobody is woken before it is', async () => {
    const rig = new Rig({ onUnknown: 'hold' });
    rig.answer = () => null;
    rig.judge(1);
    await pass(35_000);
    expect([rig.judge(1), rig.changed]).toEqual(['wait', 0]);
    expect(rig.asked.length).toBe(4);
    rig.answer = () => TRACES;
    await pass(10_000);
    expect([rig.judge(1), rig.changed]).toEqual(['traces', 1]);
  });

  test('a registry that fails is waited for', async () => {
    const rig = new Rig({ onUnknown: 'hold' });
    rig.answer = () => 'fails';
    rig.judge(1);
    await pass(600_000);
    expect([rig.judge(1), rig.changed]).toEqual(['wait', 0]);
    expect(rig.asked.length).toBeLessThan(45);
    rig.answer = () => TRACES;
    await pass(40_000);
    expect([rig.judge(1), rig.changed]).toEqual(['traces', 1]);
  });

  test('what nobody wants any more is not asked for', async () => {
    const rig = new Rig({ onUnknown: 'hold' });
    rig.answer = () => null;
    rig.judge(1);
    await pass(10);
    rig.schemas.forget();
    await pass(100_000);
    expect(rig.asked.length).toBe(1);
    expect(rig.judge(1)).toBe('wait');
    await pass(100);
    expect(rig.asked.length).toBe(2);
  });

  test('what is foreign is so at once', async () => {
    const rig = new Rig({ onUnknown: 'hold' });
    rig.answer = () => ({ type: 'AVRO', text: '{}' });
    rig.judge(1);
    await pass(10);
    expect(rig.judge(1)).toBe('foreign');
  });
});

test('nothing is asked after the end', async () => {
  const rig = new Rig();
  rig.answer = () => 'fails';
  rig.judge(1);
  await pass(10);
  rig.schemas.stop();
  await pass(100_000);
  expect(rig.asked.length).toBe(1);
});
