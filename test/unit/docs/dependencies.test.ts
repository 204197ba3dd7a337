import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { openConfluentRegistry } from '../../../src/schemas/confluent.ts';
import { allowedScripts, packages } from '../../support/dependencies.ts';

const names = (found: readonly { readonly name: string }[]): string[] => found.map(({ name }) => name);
const LICENCES = ['MIT', 'Apache-2.0', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD'];

describe('package-lock.json', () => {
  const all = packages();

  test('holds packages of the registry alone: no link, no repository, no archive from elsewhere', () => {
    const strange = all.filter(
      ({ resolved, isLink }) => isLink || (resolved !== null && !resolved.startsWith('https://registry.npmjs.org/')),
    );
    expect(names(strange)).toEqual([]);
  });

  test('pins what is installed everywhere by a strong hash', () => {
    expect(names(all.filter(({ isOptional, integrity }) => !isOptional && !integrity?.startsWith('sha512-')))).toEqual(
      [],
    );
  });

  test('lets nothing run at installation that was not looked at, and nothing at all of what is shipped', () => {
    expect(
      names(all.filter(({ name, hasInstallScript }) => hasInstallScript && !allowedScripts().includes(name))),
    ).toEqual([]);
    expect(names(all.filter(({ isShipped, hasInstallScript }) => isShipped && hasInstallScript))).toEqual([]);
  });

  test('what is shipped has licences that go with ours', () => {
    expect(names(all.filter(({ isShipped, license }) => isShipped && !LICENCES.includes(license)))).toEqual([]);
  });
});

describe('the client of schema registries', () => {
  const { overrides } = JSON.parse(readFileSync(join(import.meta.dirname, '../../../package.json'), 'utf8')) as {
    overrides: Readonly<Record<string, Readonly<Record<string, string>>>>;
  };
  const emptied = Object.keys(overrides['@confluentinc/schemaregistry']!);

  test('comes without what it does not need here: no SDK of a cloud is shipped', () => {
    const stubs = packages().filter(({ alias }) => alias === '@favware/skip-dependency');
    expect(names(stubs).toSorted()).toEqual(emptied.toSorted());
    const clouds = packages().filter(
      ({ name, alias, isShipped }) =>
        isShipped && alias === null && /aws|azure|google|msal|smithy|vault|grpc/.test(name),
    );
    expect(names(clouds)).toEqual([]);
  });

  test('loads all the same', async () => {
    const registry = await openConfluentRegistry({
      url: 'http://127.0.0.1:1',
      username: 'u',
      password: 'p',
      ca: null,
      timeoutMs: 1_000,
    });
    await expect(registry.lookup(1)).rejects.toThrow(/ECONNREFUSED|no answer/);
  });
});
