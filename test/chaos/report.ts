/** What is printed at the end: a row for each seed, and how often each fault was tried. Markdown, as docs/reliability.md keeps it. */
import type { SeedResult } from './seed.ts';

const number = new Intl.NumberFormat('en-US');

export function seedTable(results: readonly SeedResult[]): string {
  const head = [
    '| seed | Redis | faults, in their order (`+`: at once) | records | bytes | difference | readings proven | exact after, s | shown after, s |',
    '| ---: | --- | --- | ---: | ---: | ---: | ---: | --- | --- |',
  ];
  return [...head, ...results.map(row)].join('\n');
}

function row({ plan, steps, records, bytes, problems, looks }: SeedResult): string {
  const faults = plan.steps.map((step) => step.faults.map(({ name }) => name).join(' + ')).join(', ');
  const ground = plan.conditions.length === 0 ? '' : ` (${plan.conditions.join(', ')})`;
  const times = (of: 'exactMs' | 'shownMs') => steps.map((step) => (step[of] / 1000).toFixed(1)).join(', ');
  const cells = [
    plan.seed,
    `${plan.form}, ${plan.flavour}`,
    faults + ground,
    number.format(records),
    number.format(bytes),
    problems.length === 0 ? 0 : 'FAILED',
    number.format(looks),
    times('exactMs'),
    times('shownMs'),
  ];
  return `| ${cells.join(' | ')} |`;
}

/** Each fault with the seeds that met it, and its recovery times where it was alone in its step or with others. */
export function faultTable(results: readonly SeedResult[]): string {
  const faults = new Map<string, { seeds: Set<number>; shown: number[] }>();
  const entry = (name: string) => {
    const found = faults.get(name) ?? { seeds: new Set(), shown: [] };
    faults.set(name, found);
    return found;
  };
  for (const { plan, steps } of results) {
    for (const name of plan.conditions) entry(name).seeds.add(plan.seed);
    for (const { step, shownMs } of steps)
      for (const { name } of step.faults) {
        entry(name).seeds.add(plan.seed);
        entry(name).shown.push(shownMs / 1000);
      }
  }
  const rows = [...faults]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { seeds, shown }]) => {
      const times = shown.toSorted((a, b) => a - b);
      const said = times.length === 0 ? '' : `${times[times.length >> 1]!.toFixed(1)} (${times.at(-1)!.toFixed(1)})`;
      return `| ${name} | ${seeds.size} | ${[...seeds].join(', ')} | ${said} |`;
    });
  return ['| fault | seeds | which | recovery in s: median (longest) |', '| --- | ---: | --- | --- |', ...rows].join(
    '\n',
  );
}
