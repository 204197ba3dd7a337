/** The Lua scripts, read once from the files beside this one, with what they include. */
import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Script = { readonly name: string; readonly text: string; readonly sha: string };

const folder = join(import.meta.dirname, 'lua');

const load = (name: string): Script => {
  const text = readFileSync(join(folder, `${name}.lua`), 'utf8').replace(/^--#include (.+)$/gm, (_line, file: string) =>
    readFileSync(join(folder, file), 'utf8'),
  );
  return { name, text, sha: hash('sha1', text, 'hex') };
};

export const SCRIPTS = {
  changes: load('changes'),
  claim: load('claim'),
  commit: load('commit'),
  cut: load('cut'),
  forget: load('forget'),
  forgetAccount: load('forget-account'),
  liveIds: load('live-ids'),
  move: load('move'),
  page: load('page'),
  probe: load('probe'),
  purge: load('purge'),
  release: load('release'),
  removeAccount: load('remove-account'),
  renew: load('renew'),
  retire: load('retire'),
  setFormat: load('set-format'),
  setMarkers: load('set-markers'),
  signedIn: load('signed-in'),
  signIn: load('sign-in'),
  take: load('take'),
  view: load('view'),
  writeDocument: load('write-document'),
} as const;
