/** Chance that a seed decides: the same seed, the same run. */
export type Random = {
  /** Uniform in [0, 1). */
  next(): number;
  /** An integer in [low, high]. */
  between(low: number, high: number): number;
  pick<T>(items: readonly T[]): T;
  /** True in that share of the calls. */
  chance(share: number): boolean;
  /** Picks by weight. */
  weighted<T extends { readonly weight: number }>(items: readonly T[]): T;
  bytes(count: number): Buffer;
};

/** Mulberry32: small, quick, and good enough for traffic. */
export function seeded(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number) => low + Math.floor(next() * (high - low + 1));
  return {
    next,
    between,
    pick: (items) => items[between(0, items.length - 1)]!,
    chance: (share) => next() < share,
    weighted: (items) => {
      let rest = next() * items.reduce((sum, item) => sum + item.weight, 0);
      for (const item of items) {
        rest -= item.weight;
        if (rest < 0) return item;
      }
      return items.at(-1)!;
    },
    bytes: (count) => {
      const bytes = Buffer.allocUnsafe(count);
      for (let i = 0; i < count; i += 1) bytes[i] = between(0, 255);
      return bytes;
    },
  };
}
