/** What package-lock.json says of the packages that are used. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

export type Package = {
  readonly name: string;
  /** What is installed under that name instead; null: what the name says. */
  readonly alias: string | null;
  readonly version: string;
  readonly license: string;
  /** Null: npm takes what the registry has of that version. */
  readonly integrity: string | null;
  /** Where it comes from, if that is told. */
  readonly resolved: string | null;
  readonly isLink: boolean;
  /** For other machines than most, or done without. */
  readonly isOptional: boolean;
  /** Comes with what users install. */
  readonly isShipped: boolean;
  readonly hasInstallScript: boolean;
};

type Entry = {
  /** Where it is not that of the directory. */
  readonly name?: string;
  readonly version: string;
  readonly license?: string;
  readonly integrity?: string;
  readonly resolved?: string;
  readonly link?: boolean;
  readonly optional?: boolean;
  readonly dev?: boolean;
  readonly devOptional?: boolean;
  readonly hasInstallScript?: boolean;
};

export const packages = (): readonly Package[] => {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { packages: Record<string, Entry> };
  return Object.entries(lock.packages)
    .filter(([path]) => path !== '')
    .map(([path, entry]) => ({
      name: path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length),
      alias: entry.name ?? null,
      version: entry.version,
      license: entry.license ?? '',
      integrity: entry.integrity ?? null,
      resolved: entry.resolved ?? null,
      isLink: entry.link === true,
      isOptional: entry.optional === true,
      isShipped: entry.dev !== true && entry.devOptional !== true,
      hasInstallScript: entry.hasInstallScript === true,
    }));
};

/** Names of packages whose install scripts may run. */
export const allowedScripts = (): readonly string[] => {
  const { allowScripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    allowScripts: Record<string, boolean>;
  };
  return Object.keys(allowScripts);
};
