/** `replay`: counts OTLP from files as the service would, without Kafka and without Redis. */
import { MISSING, OVERFLOW } from '../attribution/label-value.ts';
import type { TenantResolver } from '../attribution/tenant.ts';
import type { Gather } from '../ledger/gatherer.ts';
import type { Encoding } from '../otlp/decode.ts';
import { Pipeline } from '../pipeline.ts';
import { table } from '../telemetry/table.ts';
import { type Command, checkedConfig, type Io, refuse } from './command.ts';
import { COUNT_OPTIONS, type Counting, countingOf } from './counting.ts';
import { choice, Problems, READ_OPTIONS, type ReadRequest, readRecords, readRequest } from './records.ts';
import { type CountedSeries, ReplayRun } from './replay-run.ts';
import { inOurOrder, seriesAsText } from './series-text.ts';

type Totals = { records: number; bytes: number; spans: number; clamped: number };

type Replayed = {
  readonly totals: Readonly<Totals>;
  /** Records by reason. */
  readonly discarded: ReadonlyMap<string, number>;
  readonly series: readonly CountedSeries[];
};

const OUTPUTS = ['prometheus', 'json', 'table'] as const;

const replayed = async (io: Io, request: ReadRequest, counting: Counting, problems: Problems): Promise<Replayed> => {
  const totals: Totals = { records: 0, bytes: 0, spans: 0, clamped: 0 };
  const discarded = new Map<string, number>();
  let fault = '';
  const gather = gatherFor(counting, request.encoding, {
    accepted: (bytes, spans, clamped) => {
      totals.records++;
      totals.bytes += bytes;
      totals.spans += spans;
      totals.clamped += clamped;
    },
    discarded: (reason, detail) => {
      discarded.set(reason, (discarded.get(reason) ?? 0) + 1);
      fault = detail.startsWith(reason) ? detail : `${reason}: ${detail}`;
    },
  });
  const run = new ReplayRun();
  await run.begin();
  for await (const { file, number, offset, value } of readRecords(io, request, problems)) {
    fault = '';
    run.add(gather, value);
    if (fault !== '') problems.problem(`${file}: record ${number} at byte ${offset}: ${fault}`);
    if (run.isFull) await run.flush();
  }
  await run.flush();
  const labels = [...new Set(counting.dimensions.map(({ label }) => label))].sort();
  const series: CountedSeries[] = [];
  for await (const one of run.series(counting, labels)) series.push(one);
  return { totals, discarded, series };
};

type Watch = {
  accepted(bytes: number, spans: number, clamped: number): void;
  discarded(reason: string, detail: string): void;
};

const gatherFor = (counting: Counting, encoding: Encoding, watch: Watch): Gather => {
  const { tenant, tracker, dimensions, limit, staleS, maxLabelValueLength, accounting } = counting;
  const settings = { trackers: [{ name: tracker, dimensions, limit, staleS }] };
  const tenants: TenantResolver = { resolve: () => ({ kind: 'tenant', tenant }) };
  const pipeline = new Pipeline({
    tenants,
    settings: () => settings,
    maxLabelValueLength,
    encoding: () => encoding,
    accounting,
    watch: {
      accepted: watch.accepted,
      discarded: (reason, _record, _where, detail) => watch.discarded(reason, detail),
      regionDiscarded: () => {},
    },
  });
  return pipeline.gather;
};

const asJson = ({ totals, discarded, series }: Replayed): string => {
  const { records, bytes, spans } = totals;
  const rows = inOurOrder(series).map(({ tenant, tracker, labels, ...values }) => ({
    tenant,
    tracker,
    labels: Object.fromEntries(labels),
    values: { bytes: values.bytes, spans: values.spans },
  }));
  const reasons = [...discarded].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify({ records, bytes, spans, discarded: Object.fromEntries(reasons), series: rows });
};

const share = (part: number, whole: number): string => (whole === 0 ? '-' : `${((100 * part) / whole).toFixed(2)}%`);

const sumBytes = (series: readonly CountedSeries[]): number => series.reduce((sum, { bytes }) => sum + bytes, 0);

/** Largest first, then what a person asks next: the sums, what is missing, what found no place. */
const asTable = ({ totals, discarded, series }: Replayed, { dimensions, limit, tenant }: Counting): string => {
  const names = [...new Set(dimensions.map(({ label }) => label))].sort();
  const counted = sumBytes(series);
  const rows = inOurOrder(series)
    .toSorted((a, b) => b.bytes - a.bytes)
    .map(({ labels, bytes, spans }) => {
      const values = new Map(labels);
      return [...names.map((name) => values.get(name) ?? ''), String(bytes), share(bytes, counted), String(spans)];
    });
  const isOverflow = ({ labels }: CountedSeries) =>
    labels.length > 0 && labels.every(([, value]) => value === OVERFLOW);
  const overflow = series.filter(isOverflow);
  const lines: (readonly string[])[] = [
    ['tenant', tenant],
    ['records', String(totals.records)],
    ['bytes of the records', String(totals.bytes)],
    ['bytes in series', String(counted)],
    ['spans', String(totals.spans)],
    ['series', `${series.length - overflow.length} of at most ${limit}`],
  ];
  for (const name of names) {
    const missing = sumBytes(series.filter(({ labels }) => labels.some(([n, v]) => n === name && v === MISSING)));
    lines.push([`bytes without ${name}`, `${missing} (${share(missing, counted)})`]);
  }
  lines.push(['bytes in overflow', `${sumBytes(overflow)} (${share(sumBytes(overflow), counted)})`]);
  for (const [reason, count] of discarded) lines.push([`records discarded, ${reason}`, String(count)]);
  if (totals.clamped > 0) lines.push(['shares below zero, counted as 0', String(totals.clamped)]);
  const width = Math.max(...lines.map(([name]) => name!.length));
  const foot = lines.map(([name, value]) => `${name!.padEnd(width)}  ${value}`).join('\n');
  return `${table([...names, 'bytes', 'share', 'spans'], rows)}\n\n${foot}`;
};

const printed = (result: Replayed, output: (typeof OUTPUTS)[number], counting: Counting, prefix: string): string => {
  if (output === 'json') return asJson(result);
  if (output === 'table') return asTable(result, counting);
  const isTempo = counting.accounting === 'tempo';
  const measures = isTempo ? (['bytes'] as const) : (['bytes', 'spans'] as const);
  return seriesAsText(result.series, { prefix, measures, numbers: isTempo ? 'go' : 'plain' }).trimEnd();
};

export const replay: Command = {
  name: 'replay',
  summary: 'counts OTLP traces from files, without Kafka and Redis',
  operands: 'FILE...',
  options: {
    ...COUNT_OPTIONS,
    'max-cardinality': {
      type: 'string',
      value: 'N',
      doc: 'live series (default by the configuration); 0: all overflow',
    },
    ...READ_OPTIONS,
    output: {
      type: 'string',
      value: 'HOW',
      doc: `${OUTPUTS.join(', ')} (default table on a terminal, else prometheus)`,
    },
  },
  run: async (values, io, files) => {
    const output = choice(values, 'output', OUTPUTS, io.isTerminal === true ? 'table' : 'prometheus');
    const request = readRequest(values, files);
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const counting = countingOf(values, checked.config, io);
    const problems = new Problems(io);
    const result = await replayed(io, request, counting, problems);
    const text = printed(result, output, counting, checked.config.publish.metricPrefix);
    if (text !== '') io.out(text);
    return problems.end();
  },
};
