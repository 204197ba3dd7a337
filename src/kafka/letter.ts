/**
 * A dead letter: a record that was set aside, as it was, with what is known of it in headers behind its own.
 *
 *   tracetally.topic, .partition, .offset    where it was read
 *   tracetally.timestamp                     its own, as RFC 3339 in UTC
 *   tracetally.reason, .detail               why it was set aside: of the fixed list, and for people
 *   tracetally.version                       who set it aside
 */
import type { RecordHeader, SourceRecord, TopicPartition } from './port.ts';
import type { NewRecord } from './produce.ts';

/** In this order, behind the record's own headers. */
const NAMES = ['topic', 'partition', 'offset', 'timestamp', 'reason', 'detail', 'version'] as const;
const PREFIX = 'tracetally.';
const MAX_DETAIL_BYTES = 1_024;

export type Origin = TopicPartition & {
  readonly offset: number;
  readonly timestamp: string;
  readonly reason: string;
  readonly detail: string;
  readonly version: string;
};

export type Letter = NewRecord & { readonly offset: number; readonly bytes: number };

export type WhySetAside = { readonly reason: string; readonly detail: string; readonly version: string };

/** Keeps nothing of the record's buffers. */
export const letterOf = (record: SourceRecord, { topic, partition }: TopicPartition, why: WhySetAside): Letter => {
  const { offset, timestampMs, key, value, headers } = record;
  const origin: Readonly<Record<(typeof NAMES)[number], string>> = {
    topic,
    partition: String(partition),
    offset: String(offset),
    timestamp: timestampText(timestampMs),
    reason: why.reason,
    detail: Buffer.from(why.detail).subarray(0, MAX_DETAIL_BYTES).toString(),
    version: why.version,
  };
  const all = [
    ...headers.map((header) => ({ name: header.name, value: Buffer.from(header.value) })),
    ...NAMES.map((name) => ({ name: PREFIX + name, value: Buffer.from(origin[name]) })),
  ];
  const bytes = all.reduce((sum, header) => sum + header.name.length + header.value.length + HEADER_BYTES, 0);
  return {
    offset,
    key: key === null ? null : Buffer.from(key),
    value: value === null ? null : Buffer.from(value),
    headers: all,
    bytes: bytes + (key?.length ?? 0) + (value?.length ?? 0) + RECORD_BYTES,
  };
};

/** About what a header and a record cost beside their bytes. */
const HEADER_BYTES = 8;
const RECORD_BYTES = 32;

/** A producer may write any number. */
const timestampText = (ms: number): string => {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
};

/** The record as it was, and where it came from; null where the record is no dead letter of ours. */
export const openLetter = ({
  key,
  value,
  headers,
}: NewRecord): { readonly origin: Origin; readonly record: NewRecord } | null => {
  const own = headers.length - NAMES.length;
  if (own < 0) return null;
  const texts = new Map<string, string>();
  for (const [index, name] of NAMES.entries()) {
    const header = headers[own + index]!;
    if (header.name !== PREFIX + name) return null;
    texts.set(name, Buffer.from(header.value).toString());
  }
  const text = (name: (typeof NAMES)[number]): string => texts.get(name)!;
  const [partition, offset] = [wholeNumber(text('partition')), wholeNumber(text('offset'))];
  if (partition === null || offset === null) return null;
  const origin = {
    topic: text('topic'),
    partition,
    offset,
    timestamp: text('timestamp'),
    reason: text('reason'),
    detail: text('detail'),
    version: text('version'),
  };
  return { origin, record: { key, value, headers: headers.slice(0, own) as readonly RecordHeader[] } };
};

const wholeNumber = (text: string): number | null => (/^\d{1,15}$/.test(text) ? Number(text) : null);
