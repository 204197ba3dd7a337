/** What is fuzzed, and how one piece of damage is judged. */
import type { Random } from '../support/random.ts';
import { seeded } from '../support/random.ts';
import { damaged } from './mutate.ts';

export type Target = {
  readonly name: string;
  /** Sound input, and input that is built to do harm. */
  readonly seeds: readonly Buffer[];
  /** Answers the outcome in a word; throws where what must hold does not. */
  check(input: Buffer, random: Random): Promise<string>;
  /** Of so many inputs one is tried: of those that cost more than others. */
  readonly every?: number;
};

export type Report = {
  readonly name: string;
  readonly tried: number;
  /** By word. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
};

export class Finding extends Error {
  override readonly name = 'Finding';
}

/** A single input of at most 64 KiB that takes longer is a finding: the consumer would stand still. */
const LIMIT_MS = 5_000;

const tell = (name: string, seed: number, number: number, input: Buffer, why: string, cause?: unknown): Finding =>
  new Finding(`${name}, seed ${seed}, input ${number}: ${why}\n${input.toString('hex').slice(0, 4_000)}`, { cause });

/** The seeds as they are, then `count` pieces of damage. Rejects with the first `Finding`. */
export const fuzz = async (target: Target, seed: number, count: number): Promise<Report> => {
  const random = seeded(seed);
  const outcomes: Record<string, number> = {};
  let slowestMs = 0;
  const all = target.seeds.length + Math.ceil(count / (target.every ?? 1));
  for (let number = 0; number < all; number++) {
    const input = target.seeds[number] ?? damaged(target.seeds, random);
    const beganMs = performance.now();
    let outcome: string;
    try {
      outcome = await target.check(input, random);
    } catch (error) {
      throw tell(target.name, seed, number, input, String(error), error);
    }
    const tookMs = performance.now() - beganMs;
    if (tookMs > LIMIT_MS) throw tell(target.name, seed, number, input, `took ${Math.round(tookMs)} ms`);
    slowestMs = Math.max(slowestMs, tookMs);
    outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
  }
  return { name: target.name, tried: all, outcomes, slowestMs };
};
