import { expect, test } from '@jest/globals';
import { AnswerSlots } from '../../../src/publish/answer-slots.ts';

test('where there is no room, what stands still for the longest time gives way; what moves does not', () => {
  let now = 0;
  const cut: string[] = [];
  const slots = new AnswerSlots(2, () => now);
  const take = (name: string) => slots.take(() => cut.push(name));
  const a = take('a')!;
  now = 1_000;
  const b = take('b')!;
  expect(take('c')).toBeNull();
  now = 3_500;
  a.moved();
  now = 3_900;
  // b stands still for 2.9 s, a for 0.4 s.
  expect(take('c')).toBeNull();
  now = 4_000;
  const c = take('c')!;
  expect(cut).toEqual(['b']);
  b.moved();
  b.free();
  expect(take('d')).toBeNull();
  c.free();
  c.free();
  expect(take('d')).not.toBeNull();
  now = 10_000;
  expect(take('e')).not.toBeNull();
  expect(cut).toEqual(['b', 'a']);
});
