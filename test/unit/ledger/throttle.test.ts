import { expect, test } from '@jest/globals';
import type { Clock } from '../../../src/ledger/clock.ts';
import { Throttle } from '../../../src/ledger/throttle.ts';

/** A clock whose timers run when the test says so. */
const handClock = () => {
  let now = 0;
  let timers: { readonly at: number; readonly fn: () => void }[] = [];
  const clock: Clock = {
    wallMs: () => now,
    monotonicMs: () => now,
    after: (ms, fn) => {
      const timer = { at: now + ms, fn };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    turn: () => Promise.resolve(),
  };
  const pass = (ms: number): void => {
    now += ms;
    for (const { fn } of timers.filter(({ at }) => at <= now)) fn();
    timers = timers.filter(({ at }) => at > now);
  };
  return { clock, pass, waiting: () => timers.length };
};

const rig = () => {
  const { clock, pass, waiting } = handClock();
  const told: string[] = [];
  const state = { full: true, roomy: false };
  const throttle = new Throttle({
    clock,
    isFull: () => state.full,
    isRoomy: () => state.roomy,
    pause: () => told.push('pause'),
    resume: () => told.push('resume'),
  });
  return { throttle, state, told, pass, waiting };
};

test('a batch goes on when the ledger has taken some, and nothing was paused', async () => {
  const { throttle, state, told, pass, waiting } = rig();
  const batches = [throttle.room(), throttle.room()];
  pass(100);
  throttle.relieve();
  state.full = false;
  state.roomy = true;
  throttle.relieve();
  expect(await Promise.all(batches)).toEqual([true, true]);
  expect([told, throttle.heldMs, waiting()]).toEqual([[], 100, 0]);
});

test('after half a second fetching is paused, once, and every batch is given back', async () => {
  const { throttle, told, pass } = rig();
  const first = throttle.room();
  pass(300);
  const second = throttle.room();
  pass(200);
  expect(await Promise.all([first, second, throttle.room()])).toEqual([false, false, false]);
  expect([told, throttle.isPaused, throttle.heldMs]).toEqual([['pause'], true, 500]);
});

test('what is paused goes on when there is room, and its time is counted', async () => {
  const { throttle, state, told, pass } = rig();
  const batch = throttle.room();
  pass(500);
  await batch;
  pass(1000);
  throttle.relieve();
  expect(throttle.isPaused).toBe(true);
  state.full = false;
  state.roomy = true;
  throttle.relieve();
  throttle.relieve();
  pass(1000);
  expect([told, throttle.isPaused, throttle.heldMs]).toEqual([['pause', 'resume'], false, 1500]);
});
