/** What is in the files that settings name: whether a token, a certificate, a key can be used. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';

const TOKEN = /^[\x21-\x7e]{16,1024}$/;

/** The token of a file, without white space around it; empty for none. */
export const tokenIn = (text: string | undefined): string => text?.trim() ?? '';

/** What looks like a path is shown; anything else may be the secret itself, put where its file belongs. */
export const shownFile = (path: string): string =>
  /^\.{0,2}\/[^=+]{1,250}$/.test(path) ? `the file ${path}` : 'the file that it names';

/** Null: it can be used. */
export const tokenProblem = (text: string): string | null =>
  TOKEN.test(tokenIn(text)) ? null : 'must hold one token: 16 to 1024 visible ASCII characters, without spaces';

/** Null: they can be used. No part of a key is in the answer. */
export const pairProblem = (cert: string, key: string): string | null => {
  try {
    createSecureContext({ cert, key });
    // OpenSSL alone takes a key of another kind beside the certificate.
    if (new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) return null;
    return 'the certificate and the key cannot be used: they do not belong together';
  } catch (error) {
    return `the certificate and the key cannot be used: ${(error as Error).message}`;
  }
};

/** OpenSSL passes over what is no certificate without a word, and then trusts nobody. */
const caProblem = (ca: string): string | null => {
  try {
    new X509Certificate(ca);
    return null;
  } catch {
    return 'must hold certificates (PEM)';
  }
};

const TOKENS = ['server.admin_token_file', 'server.metrics_token_file'];
const SECTIONS = ['server.tls', 'kafka.tls', 'redis.tls'];

/** Of files that could be read; those that are empty were complained of. `contents`: by path of the setting. */
export const contentProblems = (contents: ReadonlyMap<string, string>): readonly string[] => {
  const problems: string[] = [];
  const note = (path: string, problem: string | null): void => {
    if (problem !== null) problems.push(`${path}: ${problem}`);
  };
  const textAt = (path: string): string | undefined => contents.get(path)?.trim() || undefined;
  for (const path of TOKENS) {
    const text = textAt(path);
    if (text !== undefined) note(path, tokenProblem(text));
  }
  for (const section of SECTIONS) {
    const [ca, cert, key] = ['ca_file', 'cert_file', 'key_file'].map((name) => textAt(`${section}.${name}`));
    if (ca !== undefined) note(`${section}.ca_file`, caProblem(ca));
    if (cert !== undefined && key !== undefined) note(section, pairProblem(cert, key));
  }
  return problems;
};
