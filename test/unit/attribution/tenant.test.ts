import { describe, expect, test } from '@jest/globals';
import { RECORDS_TENANT } from '../../../src/attribution/reserved.ts';
import { refuseTenantId, TenantChain, type TenantHeader, type TenantSource } from '../../../src/attribution/tenant.ts';
import { INT, STRING, Values } from '../../../src/otlp/scan.ts';

const header = (name: string, value: string | Buffer) => ({ name, value: Buffer.from(value as string) });
const resolve = (from: TenantChain, headers: readonly TenantHeader[]) => from.resolve({ key: null, headers }, 'spans');
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
  expect(resolve(chain, headers)).toEqual(outcome);
  expect(resolve(chain, headers)).toEqual(outcome);
});

test('the first source with a value decides', () => {
  const two = new TenantChain(
    [
      { kind: 'header', name: 'first' },
      { kind: 'header', name: 'second' },
    ],
    '',
  );
  expect(resolve(two, [header('second', 'b'), header('first', 'a')])).toEqual(tenant('a'));
  expect(resolve(two, [header('second', 'b'), header('first', '')])).toEqual(tenant('b'));
  expect(resolve(two, [])).toMatchObject({ kind: 'discard', reason: 'no_tenant' });
});

test('an answer does not depend on the ones before, and nothing of a header is kept', () => {
  const value = Buffer.from('acme');
  expect(resolve(chain, [{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('acme'));
  value.write('evil');
  expect(resolve(chain, [{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('evil'));
  expect(resolve(chain, [header('X-Scope-OrgID', 'acme')])).toEqual(tenant('acme'));
  expect(resolve(chain, [{ name: 'X-Scope-OrgID', value }])).toEqual(tenant('evil'));
  for (let i = 0; i < 3000; i++) expect(resolve(chain, [header('X-Scope-OrgID', `t${i}`)])).toEqual(tenant(`t${i}`));
  expect(resolve(chain, [header('X-Scope-OrgID', 'a'.repeat(200))])).toEqual(
    invalid('tenant ID is too long: max 150 characters'),
  );
  const huge = resolve(chain, [header('X-Scope-OrgID', '|'.repeat(1_000_000))]);
  expect([huge.kind, JSON.stringify(huge).length < 1000]).toEqual(['discard', true]);
  expect(resolve(chain, [header('X-Scope-OrgID', 'a'.repeat(150))])).toEqual(tenant('a'.repeat(150)));
});

describe('sources', () => {
  const chainOf = (...sources: readonly TenantSource[]) => new TenantChain(sources, 'default');
  const byKey = { kind: 'key' } as const;
  const byHeader = { kind: 'header', name: 'X-Scope-OrgID' } as const;
  const byTopic = { kind: 'topic', pattern: '^traces-(?<tenant>.+)$' } as const;
  const byResource = { kind: 'resource', attribute: 'tenant.id' } as const;
  const no = { key: null, headers: [] };
  const yes = { key: Buffer.from('k'), headers: [header('X-Scope-OrgID', 'h')] };

  test.each<[string, TenantSource[], typeof yes | typeof no, string, string]>([
    ['the key', [byKey], yes, 'spans', 'k'],
    ['no key', [byKey], no, 'spans', 'default'],
    ['an empty key', [byKey], { ...no, key: Buffer.alloc(0) }, 'spans', 'default'],
    ['the topic', [byTopic], no, 'traces-acme', 'acme'],
    ['another topic', [byTopic], no, 'spans', 'default'],
    ['a group that took no part', [{ kind: 'topic', pattern: '^a(?<tenant>b)?' }], no, 'ac', 'default'],
    ['the header before the key', [byHeader, byKey], yes, 'spans', 'h'],
    ['the key before the header', [byKey, byHeader], yes, 'spans', 'k'],
    ['the topic where there is no key', [byKey, byTopic], no, 'traces-acme', 'acme'],
  ])('%s', (_, sources, record, topic, wanted) => {
    const chain = chainOf(...sources);
    expect(chain.resolve(record, topic)).toEqual(tenant(wanted));
    expect(chain.resolve(record, topic)).toEqual(tenant(wanted));
  });

  test('a topic that makes no valid tenant is discarded, not given to the default', () => {
    expect(chainOf(byTopic).resolve(no, 'traces-__records__')).toEqual(invalid("tenant ID '__records__' is reserved"));
  });

  test('a resource is asked for where nothing before it has a value, and what comes behind it where it has none', () => {
    const chain = chainOf(byHeader, byResource, byKey);
    expect(chain.resolve(yes, 'spans')).toEqual(tenant('h'));
    const keyed = chain.resolve({ key: Buffer.from('k'), headers: [] }, 'spans');
    if (keyed.kind !== 'regions') throw new Error('the resources are not asked for');
    expect(keyed.keys.keys).toEqual(['tenant.id']);
    expect(keyed.of(Buffer.alloc(0), null)).toEqual(tenant('k'));
    const values = new Values();
    values.clear(1);
    expect(keyed.of(Buffer.alloc(0), values)).toEqual(tenant('k'));
    const text = Buffer.from('acme|globex');
    Object.assign(values, { kinds: [STRING], starts: [0], ends: [4] });
    expect(keyed.of(text, values)).toEqual(tenant('acme'));
    values.ends[0] = text.length;
    expect(keyed.of(text, values)).toMatchObject({ kind: 'discard', reason: 'invalid_tenant' });
    Object.assign(values, { kinds: [INT], ends: [1] });
    expect(keyed.of(Buffer.from([42]), values)).toEqual(tenant('42'));
  });
});
