/** The files of the HTTP server that may change while it runs: tokens are renewed, certificates expire. */
import { readFileSync } from 'node:fs';
import type { Config, ServerTls } from './config.ts';
import { pairProblem, shownFile, tokenIn, tokenProblem } from './secrets.ts';

export type ServerSecrets = { readonly admin: string; readonly metrics: string; readonly tls: ServerTls | null };

export type Look = {
  /** Null: nothing is new that can be used. */
  readonly changed: ServerSecrets | null;
  /** Each with the path of its setting. What cannot be used changes nothing. */
  readonly problems: readonly string[];
};

type Read = (path: string) => string;

export class ServerFiles {
  readonly #files: Config['server']['files'];
  readonly #read: Read;
  #used: ServerSecrets;

  constructor(server: Config['server'], read: Read = (path) => readFileSync(path, 'utf8')) {
    this.#files = server.files;
    this.#read = read;
    this.#used = { admin: server.adminToken, metrics: server.metricsToken, tls: server.tls };
  }

  get isEmpty(): boolean {
    const { adminToken, metricsToken, cert } = this.#files;
    return adminToken === '' && metricsToken === '' && cert === '';
  }

  /** Reads them again. Never throws. */
  look(): Look {
    const problems: string[] = [];
    const { admin, metrics, tls } = this.#used;
    const next: ServerSecrets = {
      admin: this.#token('server.admin_token_file', this.#files.adminToken, admin, problems),
      metrics: this.#token('server.metrics_token_file', this.#files.metricsToken, metrics, problems),
      tls: this.#pair(tls, problems),
    };
    const isNew = next.admin !== admin || next.metrics !== metrics || next.tls !== tls;
    if (isNew) this.#used = next;
    return { changed: isNew ? next : null, problems };
  }

  #token(setting: string, path: string, used: string, problems: string[]): string {
    if (path === '') return used;
    const text = this.#text(setting, path, problems);
    if (text === null) return used;
    const problem = tokenProblem(text);
    if (problem === null) return tokenIn(text);
    problems.push(`${setting}: ${problem}`);
    return used;
  }

  /** Certificate and key are often written one after the other: in between they do not fit, and the next look will do. */
  #pair(used: ServerTls | null, problems: string[]): ServerTls | null {
    if (used === null) return null;
    const cert = this.#text('server.tls.cert_file', this.#files.cert, problems);
    const key = this.#text('server.tls.key_file', this.#files.key, problems);
    if (cert === null || key === null || (cert === used.cert && key === used.key)) return used;
    const problem = pairProblem(cert, key);
    if (problem === null) return { cert, key };
    problems.push(`server.tls: ${problem}`);
    return used;
  }

  #text(setting: string, path: string, problems: string[]): string | null {
    try {
      return this.#read(path);
    } catch (error) {
      problems.push(`${setting}: ${shownFile(path)} cannot be read: ${(error as { code?: string }).code}`);
      return null;
    }
  }
}
