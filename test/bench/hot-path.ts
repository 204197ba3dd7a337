/**
 * The hot path on one core: a record's bytes to series. Beside it what there is to be faster than: protobufjs decoding
 * the same records (with the decoder that it generates at run time; as of protobufjs 8 its static code is no faster),
 * and, where spans need not be looked into, memory itself.
 */
import { join } from 'node:path';
import protobuf from 'protobufjs';
import { Attributor } from '../../src/attribution/attribute.ts';
import { parseDimensions } from '../../src/attribution/dimensions.ts';
import { SeriesTable } from '../../src/attribution/series-table.ts';
import { Decoder } from '../../src/otlp/decode.ts';
import { makeCorpus, readCorpus } from './corpus.ts';
import { type BenchRow, median } from './row.ts';

const ROUNDS = 7;
const MADE_BYTES = 30_000_000;
/** Bytes that a slow yardstick is given in a round. */
const SLOW_BYTES = 10_000_000;
const UNIT = 'MB per CPU second';

type Work = (record: Buffer) => void;

/** `corpus`: a file of records, each behind its length as a varint; without one, records are made. */
export async function rows(options: { readonly corpus?: string }): Promise<BenchRow[]> {
  const records = options.corpus === undefined ? makeCorpus(MADE_BYTES, 20_260_821) : readCorpus(options.corpus);
  const few = beginning(records, SLOW_BYTES);
  const request = protobuf
    .loadSync(join(import.meta.dirname, '../fixtures/otlp/trace.proto'))
    .lookupType('otlp.ExportTraceServiceRequest');
  const target = Buffer.alloc(records.reduce((largest, record) => Math.max(largest, record.length), 0));
  return [
    compare('scan, attribute, gather by 3 dimensions / protobufjs decode', [
      { records: few, work: (record) => request.decode(record) },
      { records, work: gather(['service.name', 'deployment.environment.name', 'span.http.route']) },
    ]),
    compare('the same by 2 resource dimensions / Buffer.copy', [
      { records, work: (record) => record.copy(target) },
      { records, work: gather(['resource.service.name', 'resource.deployment.environment.name']) },
    ]),
  ];
}

/** Attributes a record and adds its rows to arrays by slot. */
function gather(attributes: readonly string[]): Work {
  const { dimensions } = parseDimensions(
    attributes.map((attribute) => [attribute, ''] as const),
    { sharedLabels: 'refuse' },
  );
  const trackers = [{ name: 'cost-attribution', dimensions, limit: 100_000, staleS: 900 }];
  const table = new SeriesTable({ settings: () => ({ trackers }), maxLabelValueLength: 2048 });
  const plan = table.plan('bench');
  const attributor = new Attributor();
  const decoder = new Decoder();
  let totals = new Float64Array(1024);
  return (record) => {
    const decoded = decoder.decode(record, 'auto');
    if (!Buffer.isBuffer(decoded) || attributor.attribute(decoded, table, plan) !== null)
      throw new Error('the corpus has a malformed record');
    if (table.size * 2 > totals.length) {
      const larger = new Float64Array(table.size * 4);
      larger.set(totals);
      totals = larger;
    }
    for (let row = 0; row < attributor.rows; row++) {
      const total = attributor.slots[row]! * 2;
      totals[total]! += attributor.values[row * 2]!;
      totals[total + 1]! += attributor.values[row * 2 + 1]!;
    }
  };
}

type Side = { readonly records: readonly Buffer[]; readonly work: Work };

/** Rounds of both in turn, so that a busy machine is busy for both; medians. */
function compare(row: string, [yardstick, ours]: readonly [Side, Side]): BenchRow {
  const speeds: [number[], number[]] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const pair = [speed(yardstick), speed(ours)] as const;
    if (round === 0) continue;
    speeds[0].push(pair[0]);
    speeds[1].push(pair[1]);
  }
  const [slow, fast] = [median(speeds[0]), median(speeds[1])];
  return {
    group: 'hot path',
    row,
    yardstick: Math.round(slow),
    ours: Math.round(fast),
    unit: UNIT,
    ratio: fast / slow,
  };
}

/** MB (10^6 bytes) per second of this process's CPU time, over at least a fifth of a second. */
function speed({ records, work }: Side): number {
  const start = process.cpuUsage();
  let bytes = 0;
  let us = 0;
  do {
    for (const record of records) {
      work(record);
      bytes += record.length;
    }
    const { user, system } = process.cpuUsage(start);
    us = user + system;
  } while (us < 200_000);
  return bytes / us;
}

function beginning(records: readonly Buffer[], bytes: number): readonly Buffer[] {
  let sum = 0;
  let end = 0;
  while (end < records.length && sum < bytes) sum += records[end++]!.length;
  return records.slice(0, end);
}
