/** `explain`: for each span of a file where its bytes come from, and which series they go to. */
import {
  type ExplainedLabel,
  type ExplainedRecord,
  type ExplainedSpan,
  explainRecord,
} from '../attribution/explain.ts';
import { RegionReader } from '../attribution/regions.ts';
import { TenantChain } from '../attribution/tenant.ts';
import type { Config } from '../config/config.ts';
import type { SourceRecord } from '../kafka/port.ts';
import { Decoder } from '../otlp/decode.ts';
import { malformedText } from '../otlp/malformed.ts';
import { topicEncodings } from '../overrides/static.ts';
import { seriesText } from '../publish/label-text.ts';
import { table } from '../telemetry/table.ts';
import { type Command, checkedConfig, type Io, refuse, UsageError, type Values } from './command.ts';
import { COUNT_OPTIONS, type Counting, countingOf } from './counting.ts';
import { NotThere, placeOf, recordAt, withLog } from './kafka-log.ts';
import { choice, type FileRecord, Problems, READ_OPTIONS, readRecords, readRequest } from './records.ts';

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

const whence = ({ value, attribute, from, original }: ExplainedLabel): string => {
  if (attribute === null) return from === null ? value : `${value} (${from})`;
  return `${value} (${from} ${attribute}${original === undefined ? '' : ` ${JSON.stringify(original)}`})`;
};

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

type Piece = { readonly value: Buffer; readonly values: Values };

/** What of a record in Kafka is whose; a problem where it is nobody's. */
const piecesOf = (
  record: SourceRecord,
  decoded: Buffer,
  topic: string,
  config: Config,
  values: Values,
): readonly Piece[] => {
  if (typeof values.tenant === 'string') return [{ value: decoded, values }];
  const owner = new TenantChain(config.tenants.from, config.tenants.default).resolve(record, topic);
  if (owner.kind === 'discard') throw new NotThere(`${owner.reason}: ${owner.text}`);
  if (owner.kind === 'tenant') return [{ value: decoded, values: { ...values, tenant: owner.tenant } }];
  const regions = new RegionReader().read(decoded, owner);
  if ('kind' in regions) throw new NotThere(malformedText(regions));
  return regions.map(({ owner: own, start, end }) => {
    if (own.kind === 'discard') throw new NotThere(`${own.reason}: ${own.text}`);
    return { value: decoded.subarray(start, end), values: { ...values, tenant: own.tenant } };
  });
};

/** A record that lies in Kafka, for the tenant, or the tenants, that the service counts it for. */
const explainFromKafka = (values: Values, io: Io, config: Config, tell: Tell): Promise<number> => {
  const place = placeOf(values.record as string);
  return withLog(config, io, async (log) => {
    const record = await recordAt(log, place);
    if (record.value === null) throw new NotThere('null_value: the value is null');
    const encoding = topicEncodings(config)(place.topic);
    const decoded = new Decoder().decode(record.value, encoding);
    if (!Buffer.isBuffer(decoded))
      throw new NotThere(decoded.kind === 'foreign' ? decoded.format : malformedText(decoded));
    const file = `${place.topic}/${place.partition}`;
    const problems = new Problems(io);
    for (const { value, values: own } of piecesOf(record, decoded, place.topic, config, values))
      tell({ file, number: place.offset, offset: 0, value }, value, countingOf(own, config, io), problems);
    return problems.end();
  });
};

type Tell = (
  record: FileRecord,
  decoded: ReturnType<Decoder['decode']>,
  counting: Counting,
  problems: Problems,
) => void;

const teller =
  (output: (typeof OUTPUTS)[number], io: Io): Tell =>
  ({ file, number, offset }, decoded, counting, problems) => {
    const where = `${file}: record ${number} at byte ${offset}`;
    const record = Buffer.isBuffer(decoded) ? explainRecord(decoded, counting) : decoded;
    if ('kind' in record) {
      problems.problem(`${where}: ${record.kind === 'foreign' ? record.format : malformedText(record)}`);
    } else if (output === 'json') io.out(JSON.stringify({ file, record: number, offset, ...asJson(record, counting) }));
    else io.out(`${where}, ${record.bytes} bytes\n\n${asText(record, counting)}\n`);
  };

export const explain: Command = {
  name: 'explain',
  summary: 'says of each span in a file, or in a record in Kafka, where its bytes go, and why',
  operands: 'FILE',
  operandsOptional: true,
  options: {
    ...COUNT_OPTIONS,
    ...READ_OPTIONS,
    record: { type: 'string', value: 'TOPIC/PARTITION/OFFSET', doc: 'a record in Kafka instead of a file' },
    output: {
      type: 'string',
      value: 'HOW',
      doc: `${OUTPUTS.join(', ')} (default table); json: an object for each record, a line each`,
    },
  },
  run: async (values, io, files) => {
    const output = choice(values, 'output', OUTPUTS, 'table');
    if ((values.record === undefined) === (files.length === 0))
      throw new UsageError(files.length === 0 ? 'FILE is missing' : 'FILE and --record do not go together');
    const request = readRequest(values, files);
    const checked = checkedConfig(values, io);
    if ('problems' in checked) return refuse(checked.problems, io);
    const { config } = checked;
    const tell = teller(output, io);
    if (values.record !== undefined) return explainFromKafka(values, io, config, tell);
    const counting = countingOf(values, config, io);
    const problems = new Problems(io);
    const decoder = new Decoder();
    for await (const record of readRecords(io, request, problems))
      tell(record, decoder.decode(record.value, request.encoding), counting, problems);
    return problems.end();
  },
};
