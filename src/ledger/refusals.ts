/** Why a ledger will not be used, and what the operator can do about it. */
import type { Identity } from './port.ts';
import { LedgerRefused } from './port.ts';

const name = ({ clusterId, groupId }: Identity): string => `the group "${groupId}" on Kafka cluster ${clusterId}`;

/** `held`: whose it is, `mine`: who asks; null where that is not known. */
export const otherInstallation = (prefix: string, held: Identity | null, mine: Identity | null): LedgerRefused =>
  new LedgerRefused(
    `the ledger under the key prefix "${prefix}" belongs to ${held === null ? 'another installation' : name(held)}` +
      `${mine === null ? '' : `, this is ${name(mine)}`}: its positions mean nothing here. ` +
      'Set another redis.key_prefix, or the former kafka.group_id and brokers',
  );

export const noLedger = (prefix: string): LedgerRefused =>
  new LedgerRefused(
    `there is no ledger under the key prefix "${prefix}": is redis.key_prefix the one of the service, and has it run?`,
  );

export const otherFormat = (prefix: string, held: string, mine: number): LedgerRefused =>
  new LedgerRefused(
    `the ledger under the key prefix "${prefix}" has format ${held}, this version writes format ${mine}. ` +
      wayOut(held, mine),
  );

const wayOut = (held: string, mine: number): string => {
  if (held.includes('>')) return 'An upgrade of it was not finished: run `tracetally state upgrade` again';
  if (Number(held) > mine) return 'Run the newer version of Tracetally again, or set another redis.key_prefix';
  return (
    'Stop every replica and run `tracetally state upgrade` (UPGRADING.md), go back to the version that wrote it, ' +
    'or set another redis.key_prefix'
  );
};
