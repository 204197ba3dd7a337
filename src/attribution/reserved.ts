/** Tenants that are ours. No record may name one: `refuseTenantId` sees to it. */

/** What a record's own fate is counted under: accepted, or discarded with a reason. */
export const RECORDS_TENANT = '__records__';

/** Who is charged, in total only, for tenants that have no place in the shard. */
export const overflowTenant = (shard: number): string => `__overflow_${shard}__`;

/** Who keeps, as retired amounts, the totals of accounts that were removed. */
export const removedTenant = (shard: number): string => `__removed_${shard}__`;

const RESERVED = /^__(?:records|(?:overflow|removed)_[0-9]+)__$/;

export const isReservedTenant = (tenant: string): boolean => RESERVED.test(tenant);
