/** Settings of the process itself: its HTTP server, its log. */
import { file, HOUR_MS, MB, secretFile, type Tree } from './setting.ts';

export const SERVER = {
  host: { doc: 'Address that the HTTP server binds to.', format: 'text', default: '0.0.0.0', required: true },
  port: {
    doc: 'Port of the HTTP server; 0 takes a free one.',
    format: 'count',
    default: 3200,
    max: 65_535,
  },
  admin_token_file: secretFile(
    'File with the bearer token for everything but the health and metrics endpoints. It is read again when it changes.',
  ),
  metrics_token_file: secretFile(
    'File with the bearer token for /metrics and /usage_metrics. It is read again when it changes.',
  ),
  tls: {
    cert_file: file(
      'File with the certificate (PEM, with its chain): HTTPS is spoken then, and nothing else. It is read again when it changes.',
    ),
    key_file: secretFile("File with the certificate's key (PEM)."),
  },
  max_connections: {
    doc: 'HTTP connections at the same time; beyond them the longest idle one is closed.',
    format: 'count',
    default: 512,
    min: 8,
    max: 100_000,
  },
  max_scrapes: {
    doc: 'Answers of usage metrics at the same time; beyond them one whose client does not read is cut off, else 503 is answered.',
    format: 'count',
    default: 16,
    min: 1,
    max: 1_000,
  },
  max_header_size: {
    doc: 'Bytes of a request line with its headers; above them 431 is answered.',
    format: 'size',
    default: '16KiB',
    min: 1_024,
    max: MB,
  },
  request_timeout: {
    doc: 'A request that has not arrived whole after that long is answered 408.',
    format: 'duration',
    default: '10s',
    min: 100,
    max: 300_000,
  },
  answer_timeout: {
    doc: 'An answer that is not taken after that long is cut off; one to Prometheus already after the time-out that it names.',
    format: 'duration',
    default: '1m',
    min: 100,
    max: HOUR_MS,
  },
  shutdown_timeout: {
    doc: 'After SIGTERM: the time for the last flush, the last commits and leaving the group. Then the process ends.',
    format: 'duration',
    default: '25s',
    min: 1_000,
  },
} as const satisfies Tree;

export const LOG = {
  level: {
    doc: 'debug, info, warn or error.',
    format: 'choice',
    default: 'info',
    choices: ['debug', 'info', 'warn', 'error'],
  },
  format: {
    doc: 'json, logfmt or pretty.',
    format: 'choice',
    default: 'json',
    choices: ['json', 'logfmt', 'pretty'],
  },
} as const satisfies Tree;
