/** What tenants set for themselves: what a document may say, what comes of it, and how changes are taken. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Config } from '../../../src/config/config.ts';
import { loadConfig } from '../../../src/config/load.ts';
import { MemoryDocuments } from '../../../src/ledger/memory-documents.ts';
import { readOverrides } from '../../../src/overrides/file.ts';
import { tenantSettings } from '../../../src/overrides/settings.ts';
import { type JsonObject, mergePatch, readUserDocument } from '../../../src/overrides/user-document.ts';
import { UserOverrides } from '../../../src/overrides/user-source.ts';

const config = (yaml = ''): Config => {
  const loaded = loadConfig({ file: 'c', env: {}, read: () => yaml });
  if ('problems' in loaded) throw new Error(loaded.problems.join('\n'));
  return loaded.config;
};
const read = (value: unknown) => readUserDocument(value as JsonObject, ['team']);

describe('a document', () => {
  test.each([
    [{}, { cost_attribution: {} }],
    [{ cost_attribution: null }, { cost_attribution: {} }],
    [{ cost_attribution: { dimensions: null } }, { cost_attribution: {} }],
    [{ cost_attribution: { dimensions: {} } }, { cost_attribution: { dimensions: {} } }],
    [{ cost_attribution: { dimensions: { a: null } } }, { cost_attribution: { dimensions: { a: '' } } }],
    [
      { cost_attribution: { dimensions: { a: { label: 'b', default: 'c' } } } },
      { cost_attribution: { dimensions: { a: { label: 'b', default: 'c' } } } },
    ],
  ])('%j is stored as %j', (given, stored) => {
    expect(read(given)).toMatchObject({ json: stored });
  });

  test.each([
    [[], 'the body must be a JSON object'],
    [{ forwarders: [] }, 'json: unknown field "forwarders"'],
    [{ cost_attribution: { max_cardinality: 7 } }, 'json: unknown field "max_cardinality"'],
    [{ cost_attribution: [] }, 'cost_attribution must be a map of settings'],
    [
      { trackers: { team: { dimensions: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, ''])) } } },
      'team: there may be 32 dimensions, not 33',
    ],
    [{ trackers: { nobody: {} } }, 'there is no tracker "nobody" in usage.trackers: there is team'],
    [{ cost_attribution: 'x' }, 'cost_attribution must be a map of settings'],
    [{ cost_attribution: { dimensions: ['a'] } }, 'cost_attribution.dimensions must be a map from attribute to label'],
    [
      { cost_attribution: { dimensions: { 'span.name': '__name__' } } },
      "cost_attribution.dimensions config has invalid label name: '__name__'",
    ],
    [
      { cost_attribution: { dimensions: { 'a.b': '', a_b: '' } } },
      "cost_attribution.dimensions has duplicate label name: 'a_b', both 'a.b' and 'a_b' map to it",
    ],
    [
      { cost_attribution: { dimensions: { a: { regex: '(' } } } },
      "cost_attribution.dimensions: the regex of 'a' is no regular expression of RE2",
    ],
  ])('%j is refused', (given, text) => {
    const found = read(given);
    expect('problem' in found ? found.problem.slice(0, text.length) : found).toBe(text);
  });
});

describe('a merge patch', () => {
  // The examples of RFC 7386, appendix A.
  test.each([
    ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
    ['{"a":"b"}', '{"a":null}', '{}'],
    ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
    ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
    ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
    ['{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'],
    ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
    ['["a","b"]', '["c","d"]', '["c","d"]'],
    ['{"a":"b"}', '["c"]', '["c"]'],
    ['{"a":"foo"}', 'null', 'null'],
    ['{"a":"foo"}', '"bar"', '"bar"'],
    ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
    ['[1,2]', '{"a":"b","c":null}', '{"a":"b"}'],
    ['{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
    ['{}', '{"__proto__":{"a":1}}', '{"__proto__":{"a":1}}'],
  ])('%s with %s is %s', (target, patch, result) => {
    expect(JSON.stringify(mergePatch(JSON.parse(target), JSON.parse(patch)))).toBe(result);
  });

  test('applied twice is applied once, and leaves what it was given alone', () => {
    fc.assert(
      fc.property(fc.json(), fc.json(), (target, patch) => {
        const given = [JSON.parse(target), JSON.parse(patch)] as const;
        const once = mergePatch(...given);
        expect(JSON.stringify(mergePatch(once, given[1]))).toBe(JSON.stringify(once));
        expect(JSON.stringify(given)).toBe(JSON.stringify([JSON.parse(target), JSON.parse(patch)]));
      }),
    );
  });
});

test('what a tenant sets comes before its entry and the wildcard, setting by setting; limits stay', () => {
  const file = readOverrides(
    'overrides: { acme: { cost_attribution: { dimensions: { a: "" }, max_cardinality: 7 } }, "*": { cost_attribution: { dimensions: { any: "" } } } }',
  );
  if ('problems' in file) throw new Error(file.problems.join());
  const document = read({ cost_attribution: { dimensions: { own: '' } } });
  const silent = read({});
  if ('problem' in document || 'problem' in silent) throw new Error('refused');
  const users = new Map([
    ['acme', document.block],
    ['silent', silent.block],
    ['other', document.block],
  ]);
  const of = (tenant: string) => {
    const [tracker] = tenantSettings(config(), file, users)(tenant).trackers;
    return [tracker!.dimensions.map(({ label }) => label), tracker!.limit];
  };
  expect(of('acme')).toEqual([['own'], 7]);
  expect(of('other')).toEqual([['own'], 10_000]);
  expect(of('silent')).toEqual([['any'], 10_000]);
  expect(of('nobody')).toEqual([['any'], 10_000]);
});

describe('what is stored', () => {
  const body = (label: string) => JSON.stringify({ cost_attribution: { dimensions: { a: label } } });
  const labelOf = (user: UserOverrides, tenant: string): string | undefined =>
    user.blocks.get(tenant)?.get('cost-attribution')?.dimensions?.[0]?.label;
  const begin = () => {
    const clock = { ms: 0 };
    let us = 0;
    const store = new MemoryDocuments(() => ++us);
    const user = new UserOverrides(store, () => clock.ms);
    const put = async (tenant: string, content: string | null): Promise<void> => {
      const version = (await store.get(tenant))?.version ?? '0';
      expect(await store.write(tenant, version, content)).toMatchObject({ kind: 'written' });
    };
    return { store, user, put, clock };
  };

  test('is taken when it changes, and only then', async () => {
    const { user, put } = begin();
    expect(await user.look()).toBe(false);
    await put('acme', body('x'));
    expect(await user.look()).toBe(true);
    expect(labelOf(user, 'acme')).toBe('x');
    const before = user.blocks.get('acme');
    expect(await user.look()).toBe(false);
    await put('other', body('y'));
    expect(await user.look()).toBe(true);
    expect(user.blocks.get('acme')).toBe(before);
    await put('acme', null);
    expect(await user.look()).toBe(true);
    expect([...user.blocks.keys()]).toEqual(['other']);
  });

  test('that cannot be read leaves in force what was, and others are taken', async () => {
    const { user, put } = begin();
    await put('acme', body('x'));
    await user.look();
    await put('acme', '{"cost_attribution":{"of_a_newer_version":1}}');
    await put('other', body('y'));
    await put('new', 'no JSON');
    expect(await user.look()).toBe(true);
    expect([labelOf(user, 'acme'), labelOf(user, 'other'), user.blocks.has('new')]).toEqual(['x', 'y', false]);
    expect(user.problems).toEqual([
      'the stored overrides of acme cannot be read: json: unknown field "of_a_newer_version"',
      expect.stringContaining('the stored overrides of new cannot be read: the body is not JSON'),
    ]);
    await put('acme', body('z'));
    await put('new', null);
    expect(await user.look()).toBe(true);
    expect([labelOf(user, 'acme'), user.problems]).toEqual(['z', []]);
  });

  test('is read whole after a minute, whatever its version says', async () => {
    const { store, user, put, clock } = begin();
    await put('acme', body('x'));
    await user.look();
    const asked: string[] = [];
    const all = store.all.bind(store);
    store.all = (known) => {
      asked.push(known);
      return all(known);
    };
    await user.look();
    clock.ms = 60_000;
    expect(await user.look()).toBe(false);
    expect(asked).toEqual([expect.stringMatching(/^\d+$/), '']);
  });

  test('and cannot be reached leaves in force what was', async () => {
    const { store, user, put } = begin();
    await put('acme', body('x'));
    await user.look();
    store.all = () => Promise.reject(new Error('away'));
    await expect(user.look()).rejects.toThrow('away');
    expect(labelOf(user, 'acme')).toBe('x');
  });
});
