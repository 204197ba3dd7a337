import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../../src/config/load.ts';
import { ServerFiles } from '../../../src/config/server-files.ts';
import { selfSigned } from '../../support/certificate.ts';

const first = selfSigned();
const second = selfSigned();
const TOKEN = 'token-of-the-first-day';
const YAML = `server:
  admin_token_file: /admin
  metrics_token_file: /metrics
  tls: { cert_file: /cert, key_file: /key }
`;

const setUp = () => {
  const files: Record<string, string> = {
    config: YAML,
    '/admin': `${TOKEN}\n`,
    '/metrics': TOKEN,
    '/cert': first.certPem,
    '/key': first.keyPem,
  };
  const read = (path: string): string => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
    return text;
  };
  const loaded = loadConfig({ file: 'config', env: {}, read });
  return { files, read, loaded };
};

describe('the files of the HTTP server', () => {
  test('nothing is new as long as they stay', () => {
    const { loaded, read } = setUp();
    if ('problems' in loaded) throw new Error(loaded.problems.join());
    const watch = new ServerFiles(loaded.config.server, read);
    expect(watch.isEmpty).toBe(false);
    expect(watch.look()).toEqual({ changed: null, problems: [] });
  });

  test('new ones are taken once', () => {
    const { files, loaded, read } = setUp();
    if ('problems' in loaded) throw new Error(loaded.problems.join());
    const watch = new ServerFiles(loaded.config.server, read);
    files['/admin'] = 'token-of-the-second-day\n';
    expect(watch.look().changed).toMatchObject({ admin: 'token-of-the-second-day', metrics: TOKEN });
    files['/cert'] = second.certPem;
    // The key has not been written yet: they do not fit.
    expect(watch.look()).toEqual({
      changed: null,
      problems: [expect.stringMatching(/^server\.tls: .*cannot be used/)],
    });
    files['/key'] = second.keyPem;
    expect(watch.look().changed?.tls).toEqual({ cert: second.certPem, key: second.keyPem });
    expect(watch.look()).toEqual({ changed: null, problems: [] });
  });

  test('what is lost, empty or no token changes nothing, and the setting is named', () => {
    const { files, loaded, read } = setUp();
    if ('problems' in loaded) throw new Error(loaded.problems.join());
    const watch = new ServerFiles(loaded.config.server, read);
    delete files['/key'];
    files['/admin'] = '';
    files['/metrics'] = 'two words that are long enough';
    const { changed, problems } = watch.look();
    expect(changed).toBeNull();
    expect(problems).toEqual([
      expect.stringMatching(/^server\.admin_token_file: must hold one token/),
      expect.stringMatching(/^server\.metrics_token_file: must hold one token/),
      'server.tls.key_file: the file /key cannot be read: ENOENT',
    ]);
  });
});

describe('at the start', () => {
  const problemsOf = (change: Record<string, string>): readonly string[] => {
    const { files, read } = setUp();
    Object.assign(files, change);
    const loaded = loadConfig({ file: 'config', env: {}, read });
    return 'problems' in loaded ? loaded.problems : [];
  };

  test.each<[string, Record<string, string>, RegExp]>([
    ['a short token', { '/admin': 'short' }, /^server\.admin_token_file: must hold one token/],
    ['two tokens', { '/metrics': `${TOKEN}\n${TOKEN}` }, /^server\.metrics_token_file: must hold one/],
    ['an empty token', { '/admin': '\n' }, /^server\.admin_token_file: the file \/admin is empty/],
    ['the key of another', { '/key': second.keyPem }, /^server\.tls: .*cannot be used/],
    ['no certificate', { '/cert': 'PEM' }, /^server\.tls: .*cannot be used/],
    [
      'half of a pair',
      { config: 'server: { tls: { cert_file: /cert } }' },
      /^server\.tls: cert_file and key_file go together/,
    ],
    [
      'an authority that is none',
      { config: 'kafka: { tls: { enabled: true, ca_file: /admin } }' },
      /^kafka\.tls\.ca_file: must hold certificates/,
    ],
    [
      'the key of a client that does not fit',
      {
        '/key': String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
        config: 'redis: { url: "rediss://h", tls: { cert_file: /cert, key_file: /key } }',
      },
      /^redis\.tls: .*cannot be used/,
    ],
  ])('%s is refused, and nothing of it is shown', (_, change, expected) => {
    const problems = problemsOf(change);
    expect(problems).toEqual([expect.stringMatching(expected)]);
    expect(problems.join()).not.toContain(TOKEN);
    expect(problems.join()).not.toContain('PRIVATE');
  });
});
