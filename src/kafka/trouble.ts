/** What an error of Kafka means to whoever runs the service, and whether waiting mends it. */
import type { SOURCE_TROUBLES } from '../words/reasons.ts';
import { asError, protocolError } from './errors.ts';

export type SourceTrouble = (typeof SOURCE_TROUBLES)[number];

const ADVICE: Readonly<Record<string, string>> = {
  GROUP_AUTHORIZATION_FAILED: 'not authorized for the consumer group: it needs Read on the group; trying again',
  TOPIC_AUTHORIZATION_FAILED: 'not authorized for a topic: it needs Read and Describe on it; trying again',
  CLUSTER_AUTHORIZATION_FAILED: 'not authorized for the cluster; trying again',
  INCONSISTENT_GROUP_PROTOCOL:
    'the group has members of another program, or of a version that divides partitions otherwise: stop them, or choose another kafka.group_id; trying again',
  GROUP_MAX_SIZE_REACHED: 'the group is full (group.max.size of the broker); trying again',
  GROUP_LOAD_IN_PROGRESS: 'the broker is loading the group; trying again',
  INVALID_SESSION_TIMEOUT:
    'kafka.session_timeout is outside of what the broker allows (its group.min.session.timeout.ms and group.max.session.timeout.ms)',
  INVALID_GROUP_ID: 'kafka.group_id is none that Kafka takes',
  UNSUPPORTED_VERSION: 'the broker is too old: Kafka 2.3 or newer is needed',
  UNSUPPORTED_SASL_MECHANISM: 'the broker does not offer the SASL mechanism of kafka.sasl; trying again',
};

/** What TLS says when two do not come together. */
const TLS_ADVICE: readonly (readonly [RegExp, string])[] = [
  [/self[- ]signed|issuer cert|unable to verify/, 'kafka.tls.ca_file must name who signed the certificate of Kafka'],
  [/altnames/, 'the certificate of Kafka names other hosts than kafka.brokers, or than its brokers advertise'],
  [/certificate has expired|not yet valid/, 'renew the certificate of Kafka'],
  [/wrong version number|packet length too long/, 'Kafka speaks no TLS there: look at kafka.tls.enabled and the port'],
  [/certificate required|alert/, 'Kafka may want a certificate of ours: look at kafka.tls.cert_file and key_file'],
];

const BEYOND_REPAIR = new Set(['INVALID_SESSION_TIMEOUT', 'INVALID_GROUP_ID']);

export const isBeyondRepair = (error: unknown): boolean => BEYOND_REPAIR.has(protocolError(error));

/** Of what ended an attempt to be a member of the group. */
export const troubleOf = (error: unknown): SourceTrouble => {
  const type = protocolError(error);
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++)
    if (e.name === 'KafkaJSSASLAuthenticationError') return 'not_authorized';
  if (type.endsWith('_AUTHORIZATION_FAILED') || type === 'UNSUPPORTED_SASL_MECHANISM') return 'not_authorized';
  return type in ADVICE ? 'group_refused' : 'broker_silent';
};

/** What can be done about it, in the words of the configuration; null where the error itself says as much as is known. */
export const wayOut = (error: unknown): string | null => advised(error)?.replace(/; trying again$/, '') ?? null;

/** One line for the log. */
export const adviceFor = (error: unknown): string => {
  const advice = advised(error);
  if (advice !== null) return advice;
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++)
    if (e.name === 'KafkaJSConnectionError') return 'Kafka cannot be reached; trying again';
  return asError(error).name === 'SourceUnavailable'
    ? 'Kafka does not answer as it should; trying again'
    : 'reading was disturbed; trying again';
};

const advised = (error: unknown): string | null => {
  const advice = ADVICE[protocolError(error)];
  if (advice !== undefined) return advice;
  for (let e: unknown = error, depth = 0; e instanceof Error && depth < 5; e = e.cause, depth++) {
    if (e.name === 'KafkaJSSASLAuthenticationError') return 'Kafka refuses the credentials of kafka.sasl; trying again';
    const { message } = e;
    const tls = e.name === 'KafkaJSConnectionError' ? TLS_ADVICE.find(([pattern]) => pattern.test(message)) : undefined;
    if (tls !== undefined) return `Kafka cannot be reached (${tls[1]}); trying again`;
  }
  return null;
};
