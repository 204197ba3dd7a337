/** What stands in the way to Redis, in the words of the configuration. */

const ADVICE: readonly (readonly [RegExp, string])[] = [
  [/^(WRONGPASS|NOAUTH)|without any password configured/, 'look at redis.username and redis.password'],
  [/self[- ]signed|issuer cert|unable to verify/, 'redis.tls.ca_file must name who signed the certificate of Redis'],
  [/altnames/, 'the certificate of Redis names other hosts: use one of them in redis.url, cluster or sentinels'],
  [/certificate has expired|not yet valid/, 'renew the certificate of Redis'],
  [
    /wrong version number|packet length too long/,
    'it does not speak TLS there: look at redis.tls.enabled and the port',
  ],
  [/certificate required|alert/, 'it may want a certificate of ours: look at redis.tls.cert_file and key_file'],
  [
    /ECONNRESET|EPIPE|socket disconnected/,
    'does it speak TLS there, and want a certificate of ours? Look at redis.tls.enabled, redis.tls.cert_file and key_file',
  ],
  [/^NOPERM/, 'allow it to the user of redis.username'],
];

/** OpenSSL tells of itself, too: `<id>:error:<code>:<library>:<function>:<reason>:<file>:<line>:<more>`. */
const OPENSSL = /^[0-9A-F]+:error:[0-9A-F]+:[^:]*:[^:]*:([^:]+):[\s\S]*$/;

/** The same, with the way out where one is known. Holds no secret: Redis never repeats one. */
export const withAdvice = (text: string): string => {
  const said = text.replace(OPENSSL, '$1');
  const advice = ADVICE.find(([pattern]) => pattern.test(said))?.[1];
  return advice === undefined ? said : `${said} (${advice})`;
};
