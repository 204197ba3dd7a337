/** The soak's summary, as Markdown for docs/reliability.md. */
import { type Flatness, median, RISE_MB } from './soak-samples.ts';

export type FaultRecord = { readonly kind: string; readonly recoveryS: number };

export type Soak = {
  readonly seed: number;
  readonly minutes: number;
  readonly replicas: number;
  readonly bytes: number;
  readonly records: number;
  readonly tenantBytes: number;
  /** Bytes a second that were asked for. */
  readonly targetRate: number;
  readonly heldBackS: number;
  readonly faults: readonly FaultRecord[];
  readonly lives: number;
  readonly flatness: readonly Flatness[];
  readonly dips: readonly string[];
};

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function report(soak: Soak): string {
  const { bytes, minutes, faults, flatness } = soak;
  const rows: [string, string][] = [
    ['seed', String(soak.seed)],
    ['time under traffic', `${minutes.toFixed(0)} min, ${soak.replicas} replicas`],
    ['written and counted', `${whole.format(soak.records)} records, ${whole.format(bytes)} bytes`],
    ['difference', `0 of ${whole.format(soak.tenantBytes)} bytes of tenants`],
    [
      'rate',
      `${(bytes / 1e6 / minutes / 60).toFixed(1)} MB/s over all of the time (asked for: ${(soak.targetRate / 1e6).toFixed(0)}; held back for ${soak.heldBackS.toFixed(0)} s)`,
    ],
    ['faults', `${faults.length}`],
    ['counters seen to fall', String(soak.dips.length)],
    ['processes of ours that lived', String(soak.lives)],
  ];
  return [
    table(['what', 'figure'], rows),
    '',
    table(['fault', 'times', 'recovery, median s', 'longest s'], recoveryRows(faults)),
    '',
    table(
      ['process', 'judged min', 'median MB', 'highest MB', 'rise MB', 'MB a minute', 'flat'],
      flatness.map((life) => [
        life.replica,
        (life.overS / 60).toFixed(0),
        life.medianMb.toFixed(0),
        life.highestMb.toFixed(0),
        life.riseMb.toFixed(1),
        life.slopeMb.toFixed(2),
        life.isFlat ? 'yes' : 'NO',
      ]),
    ),
    '',
    `Flat: the rise is no more than ${RISE_MB} MB.`,
    ...flatness.map(
      ({ replica, minutesMb }) => `${replica}, MB minute by minute: ${minutesMb.map((mb) => mb.toFixed(0)).join(' ')}`,
    ),
  ].join('\n');
}

function recoveryRows(faults: readonly FaultRecord[]): string[][] {
  const byKind = Map.groupBy(faults, ({ kind }) => kind);
  return [...byKind].sort().map(([kind, some]) => {
    const times = some.map(({ recoveryS }) => recoveryS);
    return [kind, String(some.length), median(times).toFixed(1), Math.max(...times).toFixed(1)];
  });
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}
