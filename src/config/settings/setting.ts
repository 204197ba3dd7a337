/** What a setting is, and the pieces that several sections share. */
import type { FormatName } from '../formats.ts';
import type { Constraints } from '../scalars.ts';

export type Setting = Constraints & {
  readonly doc: string;
  readonly format: FormatName;
  /** As it would be written in the file. */
  readonly default: string | number | boolean | readonly string[] | readonly (readonly [string, string])[];
  /** Never printed. */
  readonly sensitive?: boolean;
};

export type Tree = { readonly [key: string]: Setting | Tree };

const PORT = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';
export const HOST_PORT = new RegExp(`^(?:[A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\]):${PORT}$`);
export const MB = 1_048_576;
export const HOUR_MS = 3_600_000;

export const file = (doc: string) => ({ doc, format: 'text', default: '' }) as const satisfies Setting;
/** Its value may be the secret itself, put where a path belongs. */
export const secretFile = (doc: string) => ({ ...file(doc), sensitive: true }) as const satisfies Setting;
export const secret = (doc: string) =>
  ({ doc, format: 'text', default: '', sensitive: true }) as const satisfies Setting;

export const tls = (peer: string) =>
  ({
    enabled: { doc: `Speak TLS to ${peer}.`, format: 'flag', default: false },
    ca_file: file('File with the certificates (PEM) to trust instead of the system ones.'),
    cert_file: file('File with the client certificate (PEM).'),
    key_file: secretFile("File with the client certificate's key (PEM)."),
  }) as const satisfies Tree;
