import { readFileSync } from 'node:fs';

/** Of the package, as in package.json beside `src/` or `dist/`. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;
