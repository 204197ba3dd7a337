/** A whole shard, read through the port. */
import { RECORDS_TENANT } from '../../src/attribution/reserved.ts';
import { shardOf } from '../../src/ledger/keys.ts';
import type { AccountName, SeriesRow, ShardView, Totals } from '../../src/ledger/port.ts';
import type { AnyLedger } from './faulty-ledger.ts';

export const RECORDS_SHARD = shardOf(RECORDS_TENANT);

export type ReadAccount = {
  readonly name: AccountName;
  readonly totals: Totals;
  readonly rows: readonly SeriesRow[];
};

export const readShard = async (
  ledger: AnyLedger,
  shard: number,
): Promise<{ readonly view: ShardView; readonly accounts: readonly ReadAccount[] } | null> => {
  const changes = await ledger.changes(shard, 0);
  if (changes === null) return null;
  const accounts: ReadAccount[] = [];
  for (const name of changes.accounts) {
    const rows = new Map<string, SeriesRow>();
    let totals: Totals | null = null;
    for (let cursor: string | null = null; ; ) {
      const page = await ledger.page(shard, name, cursor, 1000);
      if (page === null) break;
      totals = page.totals;
      for (const row of page.rows) rows.set(row.id.toString('latin1'), row);
      cursor = page.cursor;
      if (cursor === null) break;
    }
    if (totals !== null) accounts.push({ name, totals, rows: [...rows.values()] });
  }
  return { view: changes.view, accounts };
};
