/**
 * Preloaded into a replica (`node --import`): its wall clock is off by CHAOS_CLOCK_OFFSET_MS, and jumps by
 * CHAOS_CLOCK_JUMP_MS after CHAOS_CLOCK_JUMP_AFTER_MS, as a clock does that is set. The monotonic clock is left alone.
 */
const offsetMs = numberOf('CHAOS_CLOCK_OFFSET_MS');
const jumpMs = numberOf('CHAOS_CLOCK_JUMP_MS');
const jumpAfterMs = numberOf('CHAOS_CLOCK_JUMP_AFTER_MS');

const RealDate = Date;
const startedMs = performance.now();

function skewedNow(): number {
  const jumped = performance.now() - startedMs >= jumpAfterMs ? jumpMs : 0;
  return RealDate.now() + offsetMs + jumped;
}

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [skewedNow()] : args, newTarget),
  apply: () => new RealDate(skewedNow()).toString(),
  get: (target, name, receiver) => (name === 'now' ? skewedNow : Reflect.get(target, name, receiver)),
});

function numberOf(variable: string): number {
  return Number(process.env[variable] ?? 0);
}
