/** What Tempo refuses at load, or counts and then cannot show, is refused by `check` in its own words. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { runCli } from '../../../src/cli.ts';
import { readVectors, type Vector } from '../../support/tempo-vectors.ts';
import { capture } from '../cli/capture.ts';

let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tracetally-refusals-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const check = async (dimensions: Readonly<Record<string, string>>) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, JSON.stringify({ overrides: { defaults: { cost_attribution: { dimensions } } } }));
  const captured = capture();
  const code = await runCli(['check', '--config', file], captured.io);
  return { code, err: captured.err() };
};

/** Values that are lost for their bytes are another matter: those are repaired. */
const losesLabels = ({ category, expected_dropped }: Vector): boolean =>
  expected_dropped !== undefined && category !== 'invalid_utf8';

describe('check', () => {
  test('refuses the dimensions whose series Tempo loses, and no others', async () => {
    const wrong: string[] = [];
    for (const vector of readVectors()) {
      if (Object.keys(vector.config.dimensions).length === 0) continue;
      const { code } = await check(vector.config.dimensions);
      if (code !== (losesLabels(vector) ? 1 : 0)) wrong.push(vector.name);
    }
    expect(wrong).toEqual([]);
  });

  test.each([
    [{ 'service.name': '__x' }, "cost_attribution.dimensions config has invalid label name: '__x'"],
    [{ '--test': '' }, "cost_attribution.dimensions config has invalid label name: '__test'"],
    [{ tenant: '' }, "cost_attribution.dimensions config has reserved label name: 'tenant'"],
    [{ a: 'tracker' }, "cost_attribution.dimensions config has reserved label name: 'tracker'"],
  ])('says of %j what is wrong', async (dimensions, text) => {
    const { code, err } = await check(dimensions);
    expect(code).toBe(1);
    expect(err).toContain(text);
  });

  test("lists everything that is wrong in the file of overrides, in Tempo's words", async () => {
    const overrides = join(dir, 'overrides.yaml');
    const file = join(dir, 'with-overrides.yaml');
    writeFileSync(file, JSON.stringify({ overrides: { per_tenant_override_config: overrides } }));
    const checked = async (tenants: object | null) => {
      rmSync(overrides, { force: true });
      if (tenants !== null) writeFileSync(overrides, JSON.stringify({ overrides: tenants }));
      const captured = capture();
      return { code: await runCli(['check', '--config', file], captured.io), err: captured.err() };
    };
    const wrong = { cost_attribution: { dimensions: { 'a-b': '', 'a.b': '', c: '__c' } } };
    const { code, err } = await checked({ acme: wrong, globex: wrong });
    expect(code).toBe(1);
    expect(err).toContain('the configuration has 4 problems:');
    expect(err).toContain(
      `${overrides}: validating overrides for acme failed: cost_attribution.dimensions has duplicate label name: 'a_b', both 'a-b' and 'a.b' map to it`,
    );
    expect(err).toContain(
      "validating overrides for globex failed: cost_attribution.dimensions config has invalid label name: '__c'",
    );
    expect(await checked(null)).toMatchObject({ code: 1, err: expect.stringContaining('there is no such file') });
    expect(await checked({ acme: { ingestion: {} } })).toEqual({ code: 0, err: '' });
  });

  test('warns of two dimensions on one label, which Tempo takes in its defaults alone', async () => {
    const { code, err } = await check({ 'a-b': '', 'a.b': '' });
    expect(code).toBe(0);
    expect(err).toContain(
      "cost_attribution.dimensions has duplicate label name: 'a_b', both 'a-b' and 'a.b' map to it; where both",
    );
  });
});
