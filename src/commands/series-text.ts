/** Counted series as text that Prometheus reads, in the order in which Tempo prints them. */
import type { Labels } from '../attribution/series-key.ts';
import { goNumber } from '../publish/go-number.ts';
import { seriesText } from '../publish/label-text.ts';
import type { CountedSeries } from './replay-run.ts';

export type TextOptions = {
  /** Begins the names of the metrics. */
  readonly prefix: string;
  /** Families, in this order. */
  readonly measures: readonly ('bytes' | 'spans')[];
  readonly numbers: 'plain' | 'go';
};

const compareText = (a: string, b: string): number => {
  if (a === b) return 0;
  // UTF-8 sorts by code points, JavaScript by UTF-16.
  return /[\ud800-\udfff]/.test(a + b) ? Buffer.compare(Buffer.from(a), Buffer.from(b)) : a < b ? -1 : 1;
};

const exposed = ({ labels, tenant, tracker }: CountedSeries): Labels =>
  [...labels, ['tenant', tenant] as const, ['tracker', tracker] as const].sort(([a], [b]) => (a < b ? -1 : 1));

/** Those with fewer labels first, then by the values in the order of the labels' names. */
export const inTemposOrder = (series: readonly CountedSeries[]): readonly CountedSeries[] => {
  const keyed = series.map((one) => ({ one, labels: exposed(one) }));
  keyed.sort((a, b) => {
    if (a.labels.length !== b.labels.length) return a.labels.length - b.labels.length;
    for (const [i, [, value]] of a.labels.entries()) {
      const order = compareText(value, b.labels[i]![1]);
      if (order !== 0) return order;
    }
    return 0;
  });
  return keyed.map(({ one }) => one);
};

/** By tenant, tracker and labels. */
export const inOurOrder = (series: readonly CountedSeries[]): readonly CountedSeries[] =>
  series.toSorted((a, b) => {
    const order = compareText(a.tenant, b.tenant) || compareText(a.tracker, b.tracker);
    if (order !== 0) return order;
    for (const [i, [name, value]] of a.labels.entries()) {
      const other = b.labels[i];
      if (other === undefined) return 1;
      const pair = compareText(name, other[0]) || compareText(value, other[1]);
      if (pair !== 0) return pair;
    }
    return a.labels.length - b.labels.length;
  });

/** Empty where there is no series, as Tempo's answer is. */
export const seriesAsText = (series: readonly CountedSeries[], { prefix, measures, numbers }: TextOptions): string => {
  if (series.length === 0) return '';
  const sorted = inTemposOrder(series);
  const lines: string[] = [];
  for (const measure of measures) {
    const name = `${prefix}_${measure}_received_total`;
    lines.push(`# HELP ${name} ${measure} total received with these attributes`, `# TYPE ${name} counter`);
    for (const one of sorted) {
      const value = numbers === 'go' ? goNumber(one[measure]) : String(one[measure]);
      lines.push(`${name}${seriesText(one, one.labels) ?? '{} '}${value}`);
    }
  }
  return `${lines.join('\n')}\n`;
};
