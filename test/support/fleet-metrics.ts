/** What replicas say of themselves: self-metrics and log lines. */
import { parseExposition } from './exposition.ts';
import type { Replica } from './services/replica.ts';

type Labels = Readonly<Record<string, string>>;

/** The self-metrics as they are now: the sum over the samples of that name which have these labels. */
export async function selfMetrics(replica: Replica): Promise<(name: string, labels?: Labels) => number> {
  const samples = parseExposition(await replica.scrape('/metrics'));
  return (name, labels = {}) => {
    const found = samples.filter(
      (sample) =>
        sample.name === name && Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    );
    return found.reduce((sum, { value }) => sum + value, 0);
  };
}

export type LogLine = Readonly<Record<string, unknown>> & { readonly level: string; readonly msg: string };

/** The JSON lines of the present process; with `event`, those of that name. */
export function logLines(replica: Replica, event?: string): LogLine[] {
  const lines = replica
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as LogLine);
  return event === undefined ? lines : lines.filter(({ msg }) => msg === event);
}
