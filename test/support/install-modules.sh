#!/bin/sh
# Installs what package-lock.json names, and sees to it that node_modules/.bin/node is the Node that the project is
# pinned to: it comes with the npm package `node`, whose install script some npm versions do not run by themselves.
set -eu
cd "$(dirname "$0")/../.."

wanted=$(sed -n '/"node_modules\/node": {/,/}/s/.*"version": "\([^"]*\)".*/v\1/p' package-lock.json | head -n 1)
pinned() { [ "$(node_modules/.bin/node --version 2>/dev/null)" = "$wanted" ]; }

echo "[modules] npm ci (npm $(npm --version), Node $(node --version))"
# npm ci refuses a lock file that does not name a package for every platform, as npm writes it where the registry
# keeps only some of them; npm install takes the same versions from it.
npm ci --no-audit --no-fund --loglevel=error || {
  echo "[modules] npm ci failed: npm install --no-save, with the versions of the lock file"
  npm install --no-save --no-audit --no-fund --loglevel=error
}

if ! pinned; then
  echo "[modules] the install script of the package node did not run: npm rebuild node"
  npm rebuild node --no-audit --no-fund --foreground-scripts --ignore-scripts=false || true
fi
if ! pinned; then
  echo "[modules] running that script by hand"
  (cd node_modules/node && node installArchSpecificPackage.js) || true
fi
if ! pinned; then
  echo "[modules] cannot get Node $wanted. Tried: npm ci, npm install, npm rebuild node, the install script of the package node." >&2
  echo "[modules] node_modules/.bin/node says: $(node_modules/.bin/node --version 2>&1 || true)" >&2
  exit 1
fi
echo "[modules] Node $wanted at node_modules/.bin/node"
