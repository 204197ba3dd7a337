/**
 * A series is its exposed label set, and the series key is that set as bytes: tenant and tracker left out, labels
 * sorted by name, each
 *
 *   label = length name length value        lengths as varints, in bytes of UTF-8
 *
 * Different label sets have different keys, whatever characters are in them, and a label set has one key.
 */
import { hash } from 'node:crypto';

export type Labels = readonly (readonly [name: string, value: string])[];

/** Bytes of a series id. */
export const SERIES_ID_BYTES = 16;

/** Names must differ. Text that is not well-formed Unicode is encoded with U+FFFD. */
export function encodeSeriesKey(labels: Labels): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of labels.toSorted(byName)) parts.push(...lengthPrefixed(name), ...lengthPrefixed(value));
  return Buffer.concat(parts);
}

/** The labels of a key that `encodeSeriesKey` made, sorted by name. Throws a RangeError for other bytes. */
export function decodeSeriesKey(key: Buffer): [name: string, value: string][] {
  const labels: [string, string][] = [];
  let at = 0;
  const text = (): string => {
    let length = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = key[at++];
      if (byte === undefined) throw new RangeError('not a series key');
      length += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    if (at + length > key.length) throw new RangeError('not a series key');
    at += length;
    return key.toString('utf8', at - length, at);
  };
  while (at < key.length) labels.push([text(), text()]);
  return labels;
}

/** Names a series in the ledger: clients choose label values, so a hash that cannot be steered. */
export function seriesId(key: Buffer): Buffer {
  return hash('sha256', key, 'buffer').subarray(0, SERIES_ID_BYTES);
}

function byName(a: readonly [string, string], b: readonly [string, string]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

function lengthPrefixed(text: string): [Buffer, Buffer] {
  const bytes = Buffer.from(text);
  const length: number[] = [];
  let rest = bytes.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) length.push((rest & 0x7f) | 0x80);
  length.push(rest);
  return [Buffer.from(length), bytes];
}
