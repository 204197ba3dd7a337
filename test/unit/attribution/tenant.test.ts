import { expect, test } from '@jest/globals';
import { RECORDS_TENANT } from '../../../src/attribution/reserved.ts';
import { parseTenantSource, refuseTenantId, TenantChain } from '../../../src/attribution/tenant.ts';

const header = (name: string, value: string | Buffer) => ({ name, value: Buffer.from(value as string) });
const chain = new TenantChain([{ kind: 'header', name: 'X-Scope-OrgID' }], 'single-tenant');
const tenant = (id: string) => ({ kind: 'tenant', tenant: id });
const invalid = (text: string) => ({ kind: 'discard', reason: 'invalid_tenant', text });

test.each([
  ["acme-1_2.3!*'()", null],
  ['a'.repeat(150), null],
  ['*', null],
  ['...', null],
  ['', null],
  ['a'.repeat(151), 'tenant ID is too long: max 150 characters'],
  ['.', "tenant ID is '.' or '..'"],
  ['..', "tenant ID is '.' or '..'"],
  ['acme|globex', "tenant ID 'acme|globex' contains unsupported character '|'"],
  ['a b', "tenant ID 'a b' contains unsupported character ' '"],
  ['a/b', "tenant ID 'a/b' contains unsupported character '/'"],
  ['a{b}', "tenant ID 'a{b}' contains unsupported character '{'"],
  ['caf\u00e9', "tenant ID 'caf\u00e9' contains unsupported character '\u00c3'"],
  ['a\n', "tenant ID 'a\n' contains unsupported character '\n'"],
  [`${'a'.repeat(151)}|`, `tenant ID '${'a'.repeat(151)}|' contains unsupported character '|'`],
  ['__overflow_7__', "tenant ID '__overflow_7__' is reserved"],
  ['__overflow_700__', "tenant ID '__overflow_700__' is reserved"],
  [RECORDS_TENANT, `tenant ID '${RECORDS_TENANT}' is reserved`],
  ['__removed_0__', "tenant ID '__removed_0__' is reserved"],
  ['__overflow__', null],
  ['__overflow_x__', null],
])("tenant id '%s': %s", (id, problem) => {
  expect(refuseTenantId(id)).toBe(problem);
});

test.each([
  ['no header: the default', [], tenant('single-tenant')],
  ['its header', [header('X-Scope-OrgID', 'acme')], tenant('acme')],
  ['names compare without case', [header('x-scope-orgid', 'acme')], tenant('acme')],
  ['another header says nothing', [header('X-Scope-OrgIDs', 'acme')], tenant('single-tenant')],
  ['an empty value says nothing', [header('X-Scope-OrgID', '')], tenant('single-tenant')],
  ['the first of two', [header('X-Scope-OrgID', 'static'), header('x-scope-orgid', 'acme')], tenant('static')],
  ['the first that is not empty', [header('X-Scope-OrgID', ''), header('X-Scope-OrgID', 'acme')], tenant('acme')],
  [
    'an invalid value is not passed over',
    [header('X-Scope-OrgID', 'acme|globex'), header('X-Scope-OrgID', 'acme')],
    invalid("tenant ID 'acme|globex' contains unsupported character '|'"),
  ],
  [
    'bytes that are no text',
    [header('X-Scope-OrgID', Buffer.from([0x61, 0xff]))],
    invalid("tenant ID 'a\ufffd' contains unsupported character '\u00ef'"),
  ],
])('%s', (_, headers, outcome) => {
  expect(chain.resolve(headers)).toEqual(outcome);
  expect(chain.resolve(headers)).toEqual(outcome);
});

test('the first source with a value decides', () => {
  const two = new TenantChain(
    [
      { kind: 'header', name: 'first' },
      { kind: 'header', name: 'second' },
    ],
    '',
  );
  expect(two.resolve([header('second', 'b'), header('first', 'a')])).toEqual(tenant('a'));
  expect(two.resolve([header('second', 'b'), header('first', '')])).toEqual(tenant('b'));
  expect(two.resolve([])).toMatchObject({ kind: 'discard', reason: 'no_tenant' });
});

test('an answer does not depend on the ones before, and nothing of a header is kept', () => {
  const value = Buffer.from('acme');
  expect(chain.resolve([{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('acme'));
  value.write('evil');
  expect(chain.resolve([{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('evil'));
  expect(chain.resolve([header('X-Scope-OrgID', 'acme')])).toEqual(tenant('acme'));
  expect(chain.resolve([{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('evil'));
  for (let i = 0; i < 3000; i++) expect(chain.resolve([header('X-Scope-OrgID', `t${i}`)])).toEqual(tenant(`t${i}`));
  expect(chain.resolve([header('X-Scope-OrgID', 'a'.repeat(200))])).toEqual(
    invalid('tenant ID is too long: max 150 characters'),
  );
  const huge = chain.resolve([header('X-Scope-OrgID', '|'.repeat(1_000_000))]);
  expect([huge.kind, JSON.stringify(huge).length < 1000]).toEqual(['discard', true]);
  expect(chain.resolve([header('X-Scope-OrgID', 'a'.repeat(150))])).toEqual(tenant('a'.repeat(150)));
});

test('sources as configuration spells them', () => {
  expect(parseTenantSource('header:X-Scope-OrgID')).toEqual({ kind: 'header', name: 'X-Scope-OrgID' });
  expect(parseTenantSource('header:')).toBeNull();
  expect(parseTenantSource('cookie:x')).toBeNull();
});
