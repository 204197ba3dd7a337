/** From the ledger's sketches of what overflowed to how many series would live without the limit. */
import { type DemandWindow, estimate, markOf, REGISTERS, raise, windowS } from '../ledger/demand.ts';
import type { LabelArena } from './label-arena.ts';

/** What is shown until the shard clock (s) reaches `untilS`. */
export type DemandStep = { readonly untilS: number; readonly series: number };

/**
 * Each window that grows too old leaves an estimate of the rest: oldest first, none where nothing overflowed. What
 * overflowed may have found a place since, so it is joined with the live series (slots of `labels` with a birth), within
 * what the two numbers allow.
 */
export const demandSteps = (
  windows: readonly DemandWindow[],
  staleS: number,
  live: number,
  labels: LabelArena,
  births: Uint32Array,
): readonly DemandStep[] => {
  if (windows.length === 0) return [];
  const overflowed = new Uint8Array(REGISTERS);
  const all = sketchOf(labels, births);
  const steps: DemandStep[] = [];
  for (const { startS, registers } of windows.toReversed()) {
    join(overflowed, registers);
    join(all, registers);
    const beyond = Math.round(estimate(overflowed));
    const joined = Math.round(estimate(all));
    const series = Math.min(live + beyond, Math.max(live, beyond, joined));
    steps.push({ untilS: startS + windowS(staleS) + staleS, series });
  }
  return steps.reverse();
};

export const demandAt = (steps: readonly DemandStep[], live: number, clockS: number): number =>
  steps.find(({ untilS }) => clockS < untilS)?.series ?? live;

const sketchOf = (labels: LabelArena, births: Uint32Array): Uint8Array => {
  const registers = new Uint8Array(REGISTERS);
  for (let slot = 0; slot < labels.count; slot++) if (births[slot]! > 0) raise(registers, markOf(labels.idAt(slot)));
  return registers;
};

const join = (registers: Uint8Array, others: Uint8Array): void => {
  for (let i = 0; i < REGISTERS; i++) registers[i] = Math.max(registers[i]!, others[i]!);
};
