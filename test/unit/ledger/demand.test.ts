import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type DemandWindow,
  estimate,
  LocalDemand,
  markOf,
  REGISTERS,
  raise,
  unpackWindows,
  WINDOWS,
  windowS,
  withMarks,
} from '../../../src/ledger/demand.ts';

const idOf = (name: string | number): Buffer => createHash('sha256').update(String(name)).digest().subarray(0, 16);
const sketchOf = (names: Iterable<string | number>): Uint8Array => {
  const registers = new Uint8Array(REGISTERS);
  for (const name of names) raise(registers, markOf(idOf(name)));
  return registers;
};
const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);

describe('an estimate', () => {
  test.each([0, 1, 2, 5, 20, 100, 500, 1_500, 5_000, 60_000, 300_000])('of %i distinct ids', (count) => {
    const about = estimate(sketchOf(range(count)));
    // Four standard errors, and less where there are few: registers are hardly ever shared.
    expect(Math.abs(about - count)).toBeLessThanOrEqual(Math.max(0.5, count * (count < 50 ? 0.1 : 0.184)));
  });

  test('is the same whoever saw an id, how often, and in which order', () => {
    const names = fc.array(fc.nat(300));
    fc.assert(
      fc.property(names, names, (one, other) => {
        const joined = sketchOf(one);
        for (const name of [...other, ...other].reverse()) raise(joined, markOf(idOf(name)));
        expect(joined).toEqual(sketchOf([...one, ...other]));
      }),
    );
  });
});

describe('windows', () => {
  test('are as many as can still count, in whatever steps time goes', () => {
    const steps = fc.array(fc.tuple(fc.nat(60), fc.array(fc.nat(5), { maxLength: 3 })), { maxLength: 40 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 100 }), (steps, staleS) => {
        let windows: readonly DemandWindow[] = [];
        let clockS = 0;
        const seen = new Map<number, number>();
        for (const [passed, names] of steps) {
          clockS += passed;
          const local = new LocalDemand(staleS, 0);
          for (const name of names) local.add(idOf(name));
          for (const name of names) seen.set(name, clockS);
          windows = withMarks(windows, local.take(), clockS, staleS);
          expect(windows.length).toBeLessThanOrEqual(WINDOWS);
          const joined = new Uint8Array(REGISTERS);
          for (const { registers } of windows)
            registers.forEach((rank, i) => {
              joined[i] = Math.max(joined[i]!, rank);
            });
          for (const [name, at] of seen)
            if (at > clockS - staleS) expect(raise(joined, markOf(idOf(name)))).toBe(false);
        }
        const packed = Buffer.concat(
          windows.flatMap(({ startS, registers }) => [Buffer.from(Uint32Array.of(startS).buffer), registers]),
        );
        expect(unpackWindows(packed).map(({ startS, registers }) => [startS, [...registers]])).toEqual(
          windows.map(({ startS, registers }) => [startS, [...registers]]),
        );
      }),
    );
  });
});

describe('what a worker sends', () => {
  test('is each mark once in a window, and of a bomb next to nothing', () => {
    const local = new LocalDemand(900, 0);
    let sent = 0;
    const all = new Uint8Array(REGISTERS);
    for (let flush = 0; flush < 20; flush++) {
      for (const name of range(5_000, flush * 5_000)) local.add(idOf(name));
      const marks = local.take();
      sent += marks.length;
      for (let at = 0; at < marks.length; at += 2) raise(all, marks.readUInt16LE(at));
    }
    expect(all).toEqual(sketchOf(range(100_000)));
    expect(sent).toBeLessThan(2 * REGISTERS * 6);
    expect(local.take()).toHaveLength(0);
    for (const name of range(100_000)) local.add(idOf(name));
    expect(local.take()).toHaveLength(0);
  });

  test('comes again where it was not taken in, and in the next window', () => {
    const local = new LocalDemand(900, 0);
    local.addAll(Buffer.concat([idOf('a'), idOf('b')]));
    const marks = local.take();
    expect(marks).toHaveLength(4);
    local.resend();
    expect(local.take()).toEqual(marks);
    const endMs = windowS(900) * 1000;
    expect(local.turn(endMs - 1)).toBe('same');
    expect(local.turn(endMs)).toBe('new');
    expect(local.take()).toHaveLength(0);
    local.resend();
    expect(local.take()).toHaveLength(0);
    local.add(idOf('a'));
    expect(local.take()).toHaveLength(2);
    expect(local.turn(2 * endMs)).toBe('new');
    expect(local.turn(3 * endMs)).toBe('over');
  });
});
