/**
 * Damages what every parser reads, and looks whether it is decoded or refused, in time and in bounded memory:
 *   npm run fuzz -- [--seed N] [--count N] [--only NAME]
 */
import { parseArgs } from 'node:util';
import { RECORD_TARGETS } from './records.ts';
import { fuzz, type Target } from './target.ts';
import { WIRE_TARGETS } from './wire.ts';

const TARGETS: readonly Target[] = [...RECORD_TARGETS, ...WIRE_TARGETS];
const MEGABYTE = 1 << 20;
/** Above what the process has at the start; the largest input is 64 KiB. */
const MEMORY_BYTES = 1_024 * MEGABYTE;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    count: { type: 'string', default: '100000' },
    only: { type: 'string', default: '' },
  },
});
const [seed, count] = [Number(values.seed), Number(values.count)];
const startBytes = process.memoryUsage.rss();
let mostBytes = 0;
process.stdout.write(`seed ${seed}, ${count} pieces of damage for each\n`);
for (const target of TARGETS.filter(({ name }) => name.includes(values.only))) {
  const beganMs = performance.now();
  const { tried, outcomes, slowestMs } = await fuzz(target, seed, count);
  mostBytes = Math.max(mostBytes, process.memoryUsage.rss() - startBytes);
  const words = Object.entries(outcomes).map(([word, times]) => `${times} ${word}`);
  const seconds = ((performance.now() - beganMs) / 1_000).toFixed(1);
  process.stdout.write(
    `${target.name.padEnd(30)} ${String(tried).padStart(8)} in ${seconds} s, slowest ${slowestMs.toFixed(1)} ms: ${words.join(', ')}\n`,
  );
}
process.stdout.write(`memory: ${Math.round(mostBytes / MEGABYTE)} MB more than at the start\n`);
if (mostBytes > MEMORY_BYTES) {
  process.stderr.write('that is too much\n');
  process.exitCode = 1;
}
