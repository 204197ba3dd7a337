/** The demo's table: truth, counted, difference. */
import type { Truth } from '../support/traffic.ts';
import type { Count } from './demo-count.ts';

type Row = readonly (string | number)[];

const number = new Intl.NumberFormat('en-US');

export function format(value: number): string {
  return number.format(value);
}

export function tenantTable(truth: Truth, counted: Count, increase: ReadonlyMap<string, number> | undefined): string {
  const header = ['tenant', 'truth (bytes)', 'counted', 'difference', 'live', 'limit', 'in overflow'];
  const rows = [...new Set([...truth.tenants.keys(), ...counted.tenants.keys()])].sort().map((tenant): Row => {
    const should = truth.tenants.get(tenant)?.bytes ?? 0;
    const is = counted.tenants.get(tenant);
    const row = [
      tenant,
      should,
      is?.bytes ?? 0,
      (is?.bytes ?? 0) - should,
      is?.live ?? 0,
      is?.limit ?? 0,
      is?.overflowBytes ?? 0,
    ];
    return increase === undefined ? row : [...row, increase.get(tenant) ?? 0];
  });
  return table(increase === undefined ? header : [...header, 'increase() in Prometheus'], rows);
}

export function discardTable(truth: Truth, counted: Count): string {
  const reasons = [...new Set<string>([...truth.discarded.keys(), ...counted.discarded.keys()])].sort();
  const should = new Map<string, { records: number; bytes: number }>(truth.discarded);
  const rows = reasons.map((reason): Row => {
    const is = counted.discarded.get(reason);
    const was = should.get(reason);
    return [reason, was?.records ?? 0, is?.records ?? 0, was?.bytes ?? 0, is?.bytes ?? 0];
  });
  return table(['discarded', 'truth (records)', 'counted', 'truth (bytes)', 'counted'], rows);
}

function table(header: readonly string[], rows: readonly Row[]): string {
  const cells = [header, ...rows.map((row) => row.map((cell) => (typeof cell === 'number' ? format(cell) : cell)))];
  const widths = header.map((_name, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ');
  return [line(cells[0]!), widths.map((width) => '-'.repeat(width)).join('  '), ...cells.slice(1).map(line)].join('\n');
}
