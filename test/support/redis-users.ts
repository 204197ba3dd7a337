/** The user of deploy/redis/users.acl, as tests give it to servers. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Redis } from 'ioredis';

const FILE = readFileSync(join(import.meta.dirname, '../../deploy/redis/users.acl'), 'utf8');

export const REDIS_USER = 'tracetally';
export const SHIPPED_PREFIX = 'tracetally';

export type ShippedUser = {
  readonly commands: readonly string[];
  readonly keys: readonly string[];
  /** Everything but the password. */
  readonly rules: readonly string[];
};

/** For keys that begin with `prefix` instead of the shipped one. */
export function shippedUser(prefix = SHIPPED_PREFIX): ShippedUser {
  const line = FILE.split('\n').find((text) => text.startsWith(`user ${REDIS_USER} `));
  if (line === undefined) throw new Error('deploy/redis/users.acl names no user of ours');
  const rules = line
    .split(' ')
    .slice(2)
    .filter((rule) => !rule.startsWith('>'))
    .map((rule) => (rule.startsWith('~') ? rule.replace(SHIPPED_PREFIX, prefix) : rule));
  return {
    commands: rules.filter((rule) => rule.startsWith('+')).map((rule) => rule.slice(1)),
    keys: rules.filter((rule) => rule.startsWith('~')).map((rule) => rule.slice(1)),
    rules,
  };
}

/** Makes it, or makes it anew, with this password; `without`: rules that are left out. */
export async function makeShippedUser(
  admin: Redis,
  password: string,
  prefix = SHIPPED_PREFIX,
  without: readonly string[] = [],
): Promise<void> {
  const rules = shippedUser(prefix).rules.filter((rule) => !without.includes(rule));
  await admin.call('ACL', 'SETUSER', REDIS_USER, ...rules, `>${password}`);
}
