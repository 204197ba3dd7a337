/** `explain`: for each span of a file where its bytes come from, and which series they go to. */
import {
  type ExplainedLabel,
  type ExplainedRecord,
  type ExplainedSpan,
  explainRecord,
} from '../attribution/explain.ts';
import { Decoder } from '../otlp/decode.ts';
import { malformedText } from '../otlp/malformed.ts';
import { seriesText } from '../publish/label-text.ts';
import { type Command, checkedConfig, refuse } from './command.ts';
import { COUNT_OPTIONS, type Counting, countingOf } from './counting.ts';
import { choice, type FileRecord, Problems, READ_OPTIONS, readRecords, readRequest } from './records.ts';
import { table } from './table.ts';

const OUTPUTS = ['table', 'json'] as const;

const seriesOf = (labels: readonly ExplainedLabel[]): Readonly<Record<string, string>> =>
  Object.fromEntries(labels.map(({ label, value }) => [label, value]));

const spanAsJson = ({ name, traceId, spanId, own, share, labels }: ExplainedSpan) => ({
  name,
  trace_id: traceId,
  span_id: spanId,
  own_bytes: own,
  share_bytes: share,
  bytes: own + share,
  dimensions: labels,
  series: seriesOf(labels),
});

/** The answer's shape for one record, as JSON. */
const asJson = (record: ExplainedRecord, { tenant, tracker, accounting }: Counting): object => ({
  bytes: record.bytes,
  outside_bytes: record.outside,
  tenant,
  tracker,
  accounting,
  regions: record.regions.map(({ rest, labels, spans }) => ({
    rest_bytes: rest,
    ...(spans.length > 0 || accounting === 'tempo' ? {} : { dimensions: labels, series: seriesOf(labels) }),
    spans: spans.map(spanAsJson),
  })),
});

const whence = ({ value, attribute, from }: ExplainedLabel): string =>
  attribute === null ? value : `${value} (${from} ${attribute})`;

const seriesName = (labels: readonly ExplainedLabel[], counting: Counting): string =>
  (
    seriesText(
      counting,
      labels.map(({ label, value }) => [label, value] as const),
    ) ?? ''
  ).trim();

const asText = (record: ExplainedRecord, counting: Counting): string => {
  const names = record.regions[0]?.labels.map(({ label }) => label) ?? [];
  const rows = record.regions.flatMap(({ rest, labels, spans }, region) => {
    const number = String(region + 1);
    if (spans.length > 0)
      return spans.map(({ name, own, share, labels: ownLabels }, span) => [
        number,
        String(span + 1),
        name,
        String(own),
        String(share),
        String(own + share),
        ...ownLabels.map(whence),
        seriesName(ownLabels, counting),
      ]);
    if (counting.accounting === 'tempo')
      return [[number, '-', 'no spans', '0', '0', '0', ...names.map(() => ''), 'nowhere']];
    return [
      [number, '-', 'no spans', '0', String(rest), String(rest), ...labels.map(whence), seriesName(labels, counting)],
    ];
  });
  return table(['region', 'span', 'name', 'own', 'share', 'bytes', ...names, 'series'], rows);
};

export const explain: Command = {
  name: 'explain',
  summary: 'says of each span in a file where its bytes go, and why',
  operands: 'FILE',
  options: {
    ...COUNT_OPTIONS,
    ...READ_OPTIONS,
    output: {
      type: 'string',
      value: 'HOW',
      doc: `${OUTPUTS.join(', ')} (default table); json: an object for each record, a line each`,
    },
  },
  run: async (values, io, files) => {
    const output = choice(values, 'output', OUTPUTS, 'table');
    const request = readRequest(values, files);
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const counting = countingOf(values, checked.config, io);
    const problems = new Problems(io);
    const decoder = new Decoder();
    const tell = ({ file, number, offset, value }: FileRecord): void => {
      const where = `${file}: record ${number} at byte ${offset}`;
      const decoded = decoder.decode(value, request.encoding);
      const record = Buffer.isBuffer(decoded) ? explainRecord(decoded, counting) : decoded;
      if ('kind' in record) {
        problems.problem(`${where}: ${record.kind === 'foreign' ? record.format : malformedText(record)}`);
      } else if (output === 'json')
        io.out(JSON.stringify({ file, record: number, offset, ...asJson(record, counting) }));
      else io.out(`${where}, ${record.bytes} bytes\n\n${asText(record, counting)}\n`);
    };
    for await (const record of readRecords(io, request, problems)) tell(record);
    return problems.end();
  },
};
