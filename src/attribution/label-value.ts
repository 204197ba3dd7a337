/** An attribute's value as the text of a label. Runs when a series is first seen, not for every span. */
import { BOOL, DOUBLE, INT } from '../otlp/scan.ts';

/** The value of a label whose attribute is absent. */
export const MISSING = '__missing__';

/** What every label of the series of overflow says. */
export const OVERFLOW = '__overflow__';

// A byte order mark is a character of the value like any other.
const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * `kind` and `payload` as the scanner found them. Text is valid UTF-8 of at most `maxBytes`, cut before the code point
 * that would pass it; integers are exact; doubles are the shortest decimal that reads back as the same number.
 */
export function labelValue(kind: number, payload: Buffer, maxBytes: number): string {
  const text = textOf(kind, payload);
  const cut = cutUtf8(text, maxBytes);
  return cut === '' ? MISSING : cut;
}

/** Bytes of a string value that can matter for a label of `maxBytes`: the rest of a code point may lie behind them. */
export function significantBytes(maxBytes: number): number {
  return maxBytes + 4;
}

function textOf(kind: number, payload: Buffer): string {
  if (kind === BOOL) return payload.every((byte) => (byte & 0x7f) === 0) ? 'false' : 'true';
  if (kind === INT) return int64(payload).toString();
  if (kind === DOUBLE) return String(payload.readDoubleLE(0));
  return utf8.decode(payload);
}

function int64(varint: Buffer): bigint {
  let value = 0n;
  for (const [i, byte] of varint.entries()) value |= BigInt(byte & 0x7f) << BigInt(7 * i);
  return BigInt.asIntN(64, value);
}

/** The longest beginning of `text` that takes at most `maxBytes` in UTF-8 and does not end inside a code point. */
export function cutUtf8(text: string, maxBytes: number): string {
  if (text.length * 3 <= maxBytes) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  let end = maxBytes;
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}
