/** Releasing, as far as no service outside of this machine is needed. */
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { installChartTools } from '../support/services/install-chart-tools.ts';
import { run } from '../support/services/tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const { version, dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  version: string;
  dependencies: Record<string, string>;
};
const release = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> =>
  run(join(ROOT, 'deploy/release.sh'), args, { env: { ...process.env, ...env, REUSE_DIST: '1' } });

test('one command builds the package, the chart and the lists of what is in them, and tries them', async () => {
  const { helm } = await installChartTools();
  const out = mkdtempSync(join(tmpdir(), 'tracetally-release-'));
  try {
    const NODE = process.execPath;
    await release(['--build-only', `v${version}`], { OUTPUT: out, HELM: helm, NODE });
    const files = readdirSync(out, { recursive: true, encoding: 'utf8' }).filter((file) => file.includes('.'));
    expect(files.sort()).toEqual([
      `chart/tracetally-${version}.tgz`,
      `npm/tracetally-${version}.tgz`,
      `sbom/tracetally-${version}.cdx.json`,
      `sbom/tracetally-${version}.spdx.json`,
    ]);
    for (const line of readFileSync(join(out, 'SHA256SUMS'), 'utf8').trim().split('\n')) {
      const [sum, file] = line.split(/\s+/);
      expect(
        createHash('sha256')
          .update(readFileSync(join(out, file!)))
          .digest('hex'),
      ).toBe(sum);
    }
    const sbom = JSON.parse(readFileSync(join(out, `sbom/tracetally-${version}.cdx.json`), 'utf8')) as {
      components: { name: string; version: string }[];
    };
    const listed = new Map(sbom.components.map((component) => [component.name, component.version]));
    for (const [name, of] of Object.entries(dependencies)) expect([name, listed.get(name)]).toEqual([name, of]);
    for (const name of ['typescript', 'jest', 'node']) expect([name, listed.has(name)]).toEqual([name, false]);
    const packed = await run('tar', ['-tzf', join(out, `npm/tracetally-${version}.tgz`)]);
    expect(packed).toContain('package/dist/ledger/lua/commit.lua');
    expect(packed).not.toMatch(/package\/(?:src|test)\//);
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}, 600_000);

test('a tag that is not the version of the files is refused, and so is what is no version', async () => {
  const out = mkdtempSync(join(tmpdir(), 'tracetally-release-'));
  try {
    await expect(release(['--build-only', 'v99.0.0'], { OUTPUT: out })).rejects.toThrow(
      `package.json says ${version}, the tag 99.0.0`,
    );
    await expect(release(['--build-only', 'latest'], { OUTPUT: out })).rejects.toThrow('latest is no version');
    await expect(release([])).rejects.toThrow('which version?');
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});

describe('the workflow', () => {
  type Step = { readonly uses?: string; readonly run?: string };
  type Job = { readonly needs?: string; readonly steps: readonly Step[]; readonly permissions?: object };
  type Workflow = { readonly permissions: object; readonly jobs: Readonly<Record<string, Job>> };
  const { jobs, permissions } = parse(readFileSync(join(ROOT, '.github/workflows/release.yml'), 'utf8')) as Workflow;

  test('publishes with the command above, after every test, with no right that it does not need', () => {
    expect(permissions).toEqual({ contents: 'read' });
    expect(jobs.release!.needs).toBe('test');
    expect(jobs.test!.steps.map(({ run: command }) => command)).toContain('make test');
    expect(jobs.release!.steps.map(({ run: command }) => command)).toContain('deploy/release.sh "$GITHUB_REF_NAME"');
    expect(jobs.release!.permissions).toEqual({ contents: 'write', packages: 'write', 'id-token': 'write' });
    for (const { uses } of Object.values(jobs).flatMap(({ steps }) => steps))
      expect(uses ?? 'a/b@v1').toMatch(/@v\d+$/);
  });
});
