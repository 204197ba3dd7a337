/**
 * Names: of keys in Redis, of markers, of the tenants that are ours. Nothing else in the house spells a key.
 *
 * A name is written injectively with characters that mean nothing to Redis: no brace of a tenant can move a key to
 * another slot, and no colon can make one account's key that of another.
 */
import { hash } from 'node:crypto';
import { isReservedTenant, RECORDS_TENANT } from '../attribution/reserved.ts';
import type { AccountName, Identity, MarkerField } from './port.ts';
import { SHARDS } from './port.ts';

/** The tracker of `RECORDS_TENANT`. */
export const RECORDS_TRACKER = 'records';
export const RECORDS_MEASURES: readonly string[] = ['bytes', 'records'];
export const RECORDS_LABEL = 'outcome';

/** Whether a tenant needs a place among the bounded number of the shard's tenants; names of ours that came from outside get none. */
export const placeOf = (tenant: string): 'bounded' | 'always' | 'never' => {
  if (!isReservedTenant(tenant)) return 'bounded';
  return tenant === RECORDS_TENANT ? 'always' : 'never';
};

export const shardOf = (tenant: string): number => hash('sha256', tenant, 'buffer').readUInt32BE(0) % SHARDS;

/** Tenants that one shard may hold per tracker, so that `maxTenants` in all find room in spite of chance. */
export const maxTenantsPerShard = (maxTenants: number): number => {
  const mean = Math.ceil(maxTenants / SHARDS);
  return mean + Math.ceil(6 * Math.sqrt(mean)) + 8;
};

/** `topicId` is an id in hex or a topic's name; neither holds a slash. */
export const markerField = (topicId: string, partition: number): MarkerField =>
  `${topicId}/${partition}` as MarkerField;

/** The two parts of a marker's name. */
export const markerParts = (field: MarkerField): { topicId: string; partition: number } => {
  const slash = field.lastIndexOf('/');
  return { topicId: field.slice(0, slash), partition: Number(field.slice(slash + 1)) };
};

/** Partitions of a topic that the markers know of; null where they know none. */
export const partitionsAmong = (fields: Iterable<MarkerField>, topicId: string): number | null => {
  let partitions: number | null = null;
  for (const field of fields) {
    const parts = markerParts(field);
    if (parts.topicId === topicId) partitions = Math.max(partitions ?? 0, parts.partition + 1);
  }
  return partitions;
};

/** What a shard is stamped with, so that another cluster's or group's offsets are never compared with its markers. */
export const installationOf = (identity: Identity, prefix: string): string =>
  hash('sha256', JSON.stringify([identity.clusterId, identity.groupId, prefix]), 'hex').slice(0, 32);

/** The name of an account inside a shard; reversed by `accountOf`. */
export const accountMember = (account: AccountName): string =>
  `${encodeName(account.tenant)}:${encodeName(account.tracker)}`;

export const accountOf = (member: string): AccountName => {
  const colon = member.indexOf(':');
  return { tenant: decodeName(member.slice(0, colon)), tracker: decodeName(member.slice(colon + 1)) };
};

/** The field of `:meta` that counts the tenants of a tracker which took a place. */
export const trackerCount = (tracker: string): string => `tenants:${encodeName(tracker)}`;

/** The field of a document among others; reversed by `documentName`. Never a field of another use. */
export const documentField = (name: string): string => `of:${encodeName(name)}`;

export const documentName = (field: string): string => decodeName(field.slice('of:'.length));

export type ShardKeys = {
  readonly meta: string;
  readonly markers: string;
  readonly tenants: string;
  readonly owner: string;
  /** Change counter -> what a marker jumped over then. */
  readonly moves: string;
  /** Accounts of a forgotten life whose keys are still to be deleted. */
  readonly forgotten: string;
};

export type AccountKeys = { readonly totals: string; readonly series: string; readonly labels: string };

export type LedgerKeys = {
  /** The configured one, as it is written in keys. */
  readonly prefix: string;
  readonly ledger: string;
  readonly replicas: string;
  /** What tenants set for themselves. */
  readonly overrides: string;
  /** Two keys of no other use, in one slot. */
  readonly probes: readonly string[];
  shard(shard: number): ShardKeys;
  account(shard: number, account: AccountName): AccountKeys;
};

export const ledgerKeys = (prefix: string): LedgerKeys => {
  const safe = encodeName(prefix, /[A-Za-z0-9_.:-]/);
  const tag = (shard: number): string => `{${safe}:${shard}}`;
  const shards: ShardKeys[] = [];
  return {
    prefix: safe,
    ledger: `${safe}:ledger`,
    replicas: `${safe}:replicas`,
    overrides: `${safe}:overrides`,
    probes: [`${tag(0)}:probe:a`, `${tag(0)}:probe:b`],
    shard: (shard) => {
      shards[shard] ??= {
        meta: `${tag(shard)}:meta`,
        markers: `${tag(shard)}:markers`,
        tenants: `${tag(shard)}:tenants`,
        owner: `${tag(shard)}:owner`,
        moves: `${tag(shard)}:moves`,
        forgotten: `${tag(shard)}:forgotten`,
      };
      return shards[shard];
    },
    account: (shard, account) => {
      const member = accountMember(account);
      return {
        totals: `${tag(shard)}:totals:${member}`,
        series: `${tag(shard)}:series:${member}`,
        labels: `${tag(shard)}:labels:${member}`,
      };
    },
  };
};

/**
 * name = *( plain / "%" 2HEX / "%u" 4HEX ): the UTF-8 bytes, and the code unit where half of a surrogate pair stands
 * alone (UTF-8 would make all of those the same character).
 */
const encodeName = (name: string, plain = /[A-Za-z0-9_.-]/): string => {
  if (PLAIN_NAME.test(name)) return name;
  let text = '';
  for (const char of name) {
    if (plain.test(char)) text += char;
    else if (char.isWellFormed()) for (const byte of Buffer.from(char)) text += `%${hex(byte, 2)}`;
    else text += `%u${hex(char.charCodeAt(0), 4)}`;
  }
  return text;
};

/** Nearly all: of characters that are plain wherever a name is written. */
const PLAIN_NAME = /^[A-Za-z0-9_.-]*$/;

const decodeName = (text: string): string =>
  text.replace(/%u([0-9A-F]{4})|(?:%[0-9A-F]{2})+/g, (run: string, unit: string | undefined) =>
    unit === undefined
      ? Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8')
      : String.fromCharCode(Number.parseInt(unit, 16)),
  );

const hex = (value: number, digits: number): string => value.toString(16).toUpperCase().padStart(digits, '0');
